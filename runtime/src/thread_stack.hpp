// SPDX-License-Identifier: BSL-1.0
//
// What a kernel thread of this process needs of stack beside what its code needs: that differs from process to process,
// and from CPU to CPU.
#pragma once

#include <cstddef>

namespace heddle::detail {

/// What the C library takes out of a new thread's stack before the thread has any of it: the thread-locals of the
/// program and its libraries, above all. Those of libraries that are opened later may be in it or not. O(libraries).
std::size_t taken_from_thread_stack() noexcept;

/// Bytes of a stack for signal handlers: what the kernel puts there, which grows with the registers of the CPU, and
/// room for a report.
std::size_t signal_stack_size() noexcept;

}  // namespace heddle::detail
