// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// Above 0 while the thread runs what must not be preempted: user code under a thread_mutex. A count of the thread,
/// since a fiber does not leave its thread meanwhile.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
struct preemption_guard {
  static void begin() noexcept {}
  static void end() noexcept {}
};
#else
HEDDLE_EXPORT extern constinit thread_local unsigned unpreemptible __attribute__((tls_model("initial-exec")));

struct preemption_guard {
  static void begin() noexcept { add<1>(); }
  static void end() noexcept { add<-1>(); }

 private:
  // In assembly, since a compiler, above all one that instruments for ThreadSanitizer, may keep the address of a
  // thread-local across a suspension, after which it is that of another thread.
  template <int change>
  static void add() noexcept {
    std::uintptr_t offset = 0;
    asm volatile(
        "movq _ZN6heddle6detail13unpreemptibleE@gottpoff(%%rip), %0\n\t"
        "addl %1, %%fs:(%0)"
        : "=&r"(offset)
        : "i"(change)
        : "memory", "cc");
  }
};
#endif

}  // namespace heddle::detail
