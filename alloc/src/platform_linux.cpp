// SPDX-License-Identifier: BSL-1.0
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "heddle/detail/platform.hpp"
#include "heddle/detail/trusted.hpp"

namespace heddle::detail::platform {
namespace {

/// A system call that leaves errno as it was: free() comes by here.
template <class... Args>
long quiet_call(long number, Args... args) noexcept {
  const int error = errno;
  const long result = ::syscall(number, args...);
  errno = error;
  return result;
}

bool register_membarrier() noexcept {
  return quiet_call(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

}  // namespace

void heavy_barrier() noexcept {
  // Not a static local with its guard: a thread that forks while another holds the guard leaves it held in the child.
  static constinit std::atomic<bool> registered{false};
  if (!registered.load(std::memory_order_relaxed) && register_membarrier())
    registered.store(true, std::memory_order_relaxed);
  if (quiet_call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return;
  if (quiet_call(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  // A kernel without membarrier cannot run this runtime safely.
  std::fputs("heddle: the kernel refuses membarrier(2), which the scheduler needs\n", stderr);
  std::abort();
}

void futex_wait(atomic<std::uint32_t>& word, std::uint32_t expected, nanoseconds_t deadline) noexcept {
  timespec until;
  timespec* limit = nullptr;
  if (deadline != no_deadline) {
    until.tv_sec = static_cast<time_t>(deadline / 1'000'000'000);
    until.tv_nsec = static_cast<long>(deadline % 1'000'000'000);
    limit = &until;
  }
  // FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock.
  quiet_call(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, limit, nullptr, FUTEX_BITSET_MATCH_ANY);
}

void futex_wake(atomic<std::uint32_t>& word, unsigned count) noexcept {
  quiet_call(SYS_futex, &word, FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}

void yield_thread() noexcept { ::sched_yield(); }

}  // namespace heddle::detail::platform
