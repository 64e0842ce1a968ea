// SPDX-License-Identifier: BSL-1.0
//
// What the runtime says before it ends the process.
#pragma once

#include <cstddef>

#include "heddle/detail/current_exception.hpp"

namespace heddle::detail {

class fiber;
class fiber_pool;

/// Prints each fiber with its id, name and state to stderr, what it waits for, and the stacks of those that are parked;
/// then those that wait for each other in a circle, as far as that is known. Only when nothing runs any more: it reads
/// the parked fibers' stacks, and the queues in which they stand, without locks. It allocates: fibers that do not run
/// hold no lock of malloc's, unless malloc itself suspends them.
void report_fibers(fiber_pool& fibers) noexcept;

/// "fiber 12 "reader"" into `buffer`.
const char* describe(const fiber& f, char* buffer, std::size_t size) noexcept;

/// Throws std::invalid_argument that names the size and the limits.
void check_stack_size(std::size_t size, bool grows = false);
/// Throws std::invalid_argument: a segmented stack was asked for, and cannot be had for code that was compiled for it,
/// or was not.
[[noreturn]] void refuse_segments(bool compiled);

/// Ends the process, naming the running fiber and the exception in flight.
[[noreturn]] void report_escaped_exception() noexcept;

/// f has ended, and nobody will ask for its result: if that is an exception it is lost.
void lose_exception_of(fiber& f, const char* since) noexcept;

/// A fiber returned in a forked child, where no scheduler is left to go on with.
[[noreturn]] void forked_child_returned() noexcept;

/// In a forked child, a handle is joined of a parent's fiber that had not ended.
[[noreturn]] void report_join_of_parents(const fiber& f) noexcept;

}  // namespace heddle::detail
