// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

namespace perf {

/// Two parties, 0 and 1, of which one runs and the other sleeps in the kernel. In shared memory they may be
/// processes.
class turns {
 public:
  /// Wakes the other party and sleeps until it passes the turn back: one switch when both share a processor.
  void pass(std::uint32_t me) {
    give(me);
    await(me);
  }
  void give(std::uint32_t me) {
    turn_.store(1 - me);
    syscall(SYS_futex, &turn_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
  }
  void await(std::uint32_t me) {
    while (turn_.load() != me) syscall(SYS_futex, &turn_, FUTEX_WAIT, 1 - me, nullptr, nullptr, 0);
  }

 private:
  std::atomic<std::uint32_t> turn_{0};
};

}  // namespace perf
