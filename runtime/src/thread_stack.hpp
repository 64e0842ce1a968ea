// SPDX-License-Identifier: BSL-1.0
//
// The part of a kernel thread's stack that is needed beside the code of the thread. It differs from process to process,
// and from CPU to CPU.
#pragma once

#include <cstddef>

namespace heddle::detail {

/// Bytes that the C library takes out of a new thread's stack before the thread has any of it: above all the
/// thread-locals of the program and its libraries. Those of libraries opened later may be in it or not. O(libraries).
std::size_t taken_from_thread_stack() noexcept;

/// Bytes of a stack for signal handlers: the kernel's frame, which grows with the registers of the CPU, and room for a
/// report.
std::size_t signal_stack_size() noexcept;

}  // namespace heddle::detail
