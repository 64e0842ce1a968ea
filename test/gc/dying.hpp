// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "heddle/gc/collect.hpp"

namespace heddle::testing {

/// Calls f far down the stack. The addresses that it leaves there are below all frames that a collection meets: what
/// only f pointed to is dead when this returns.
template <class F>
[[gnu::noinline]] void far_below(F f) {
  volatile char gap[24 * 1024];
  gap[0] = 0;
  f();
  asm volatile("" : : "r"(&gap[0]) : "memory");
}

/// Collects until `holds()` does, for ten seconds at most: destructors and cleanups run later than the cycle that finds
/// their objects dead.
template <class Predicate>
bool collect_until(Predicate holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  do {
    gc::collect();
    if (holds()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

/// Says when it is constructed, and when its destructor runs.
struct counted {
  counted() noexcept { ++alive; }
  counted(const counted&) noexcept { ++alive; }
  counted& operator=(const counted&) noexcept = default;
  ~counted() { --alive; }

  static inline std::atomic<int> alive{0};
};

}  // namespace heddle::testing
