// SPDX-License-Identifier: BSL-1.0
//
// Facts about the process that a thread must know which the program has not asked for. Nothing here allocates or takes
// a lock, and errno stays as it was.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail::process {

/// The time of platform::now(), as of the last tick of the kernel's clock: 1 to 10 ms ago. It costs 3 ns instead of 20.
nanoseconds_t coarse_now() noexcept;

/// Bytes of each thread's stack that thread-local variables take, as far as they were there when the program began.
/// 0 before constructors run.
std::size_t thread_locals() noexcept;

/// Makes the thread one like those with which the process began: of the normal scheduling class, on all CPUs that the
/// process had then.
void make_normal(pthread_t thread) noexcept;

/// The filters of system calls (seccomp) that the calling thread is under: equal numbers, the same filters. Reads a
/// file of /proc, some 30 us. That may be a call for which the thread is killed: so it reads nothing, and they are
/// unknown, once the program has been heard to ask for filters.
using call_filters = std::uint64_t;
inline constexpr call_filters no_filters = 0;
inline constexpr call_filters unknown_filters = ~call_filters{0};
call_filters filters() noexcept;
/// The program has asked for a filter, or is about to. From now on it is left to the calls that it must expect: those
/// for memory. Only the shim hears it (heard_calls.cpp).
void hear_of_filters() noexcept;
bool has_heard_of_filters() noexcept;

}  // namespace heddle::detail::process
