// SPDX-License-Identifier: BSL-1.0
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/mman.h>
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

/// Unmaps a page that has been written. No processor on which the process runs may keep its address, so each is
/// interrupted. For kernels, and filters of system calls, without membarrier. False: there is no memory.
bool unmap_a_page() noexcept {
  constexpr long os_page = 4096;
  const long at = quiet_call(SYS_mmap, nullptr, os_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
  if (at < 0) return false;
  *reinterpret_cast<volatile char*>(at) = 1;
  return quiet_call(SYS_munmap, at, os_page) == 0;
}

}  // namespace

void heavy_barrier() noexcept {
  // Not a static local with its guard: a thread that forks while another holds the guard leaves it held in the child.
  static constinit std::atomic<bool> registered{false};
  if (!registered.load(std::memory_order_relaxed) && register_membarrier())
    registered.store(true, std::memory_order_relaxed);
  if (quiet_call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return;
  if (quiet_call(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0) return;
  if (unmap_a_page()) return;
  // Without a barrier of some kind neither the scheduler nor fork() is safe.
  std::fputs("heddle: the kernel refuses membarrier(2), and memory to do without\n", stderr);
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
