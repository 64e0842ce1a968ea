// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/timer.hpp"

namespace heddle::detail {

/// One timer of a processor. It has its timer's deadline, so that a comparison touches no timer: those of a million
/// sleepers lie on as many stacks. Of a sleep, which nothing but the time ends, only the fiber is kept.
class timer_entry {
 public:
  timer_entry() noexcept = default;
  explicit timer_entry(timer& t) noexcept
      : deadline(t.deadline),
        bits_(is_sleep(t) ? reinterpret_cast<std::uintptr_t>(t.sleeper) | sleeps
                          : reinterpret_cast<std::uintptr_t>(&t)) {}
  bool is_sleep() const noexcept { return (bits_ & sleeps) != 0; }
  fiber* sleeper() const noexcept { return reinterpret_cast<fiber*>(bits_ & ~sleeps); }
  timer& get() const noexcept { return *reinterpret_cast<timer*>(bits_); }
  /// Fetches what is needed next, the fiber's block or the timer.
  void prefetch() const noexcept { __builtin_prefetch(reinterpret_cast<const void*>(bits_ & ~sleeps), 1); }

  nanoseconds_t deadline = no_deadline;

 private:
  static constexpr std::uintptr_t sleeps = 1;
  static bool is_sleep(const timer& t) noexcept { return t.state == nullptr && t.fire == nullptr; }
  std::uintptr_t bits_ = 0;
};

}  // namespace heddle::detail
