// SPDX-License-Identifier: BSL-1.0
//
// What the runtime says before it ends the process.
#pragma once

#include <cstddef>

#include "heddle/detail/current_exception.hpp"

namespace heddle::detail {

class fiber;
class fiber_pool;

/// Prints each fiber with its id, name and state to stderr, the descriptor for which it waits, if it does, and the
/// stacks of those that are parked. Only when nothing runs any more: it visits the parked fibers' stacks.
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

/// A fiber returned in a forked child, where no scheduler is left to go on with.
[[noreturn]] void forked_child_returned() noexcept;

/// In a forked child, a handle is joined of a parent's fiber that had not ended.
[[noreturn]] void report_join_of_parents(const fiber& f) noexcept;

}  // namespace heddle::detail
