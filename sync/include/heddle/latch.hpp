// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/countdown.hpp"
#include "heddle/detail/deadline.hpp"

namespace heddle {

/// A gate that opens once, for good, when it has been counted down to zero. wait() blocks the calling fiber only.
///
///     heddle::run([] {
///       heddle::latch ready(3);
///       for (int i = 0; i < 3; ++i) heddle::go([&] { prepare(); ready.count_down(); });
///       ready.wait();
///     });
///
/// As std::latch; waits may have a deadline or a stop token besides, counting down below zero ends the process with a
/// message, and it may be destroyed as soon as wait() has returned to all who called it, even if a count_down() has not
/// returned yet. What was done before count_down() is seen after wait().
///
/// O(1), but the last count_down() O(those who wait). From fibers and plain threads.
class latch {
 public:
  static constexpr std::ptrdiff_t max() noexcept { return 0xffff'ffff; }

  /// Opens after `expected` count-downs; from 0 to max().
  constexpr explicit latch(std::ptrdiff_t expected) noexcept : count_(narrow(expected)) {}
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;
  ~latch() {
    if (count_.has_waiters()) [[unlikely]]
      destroyed_in_use();
  }

  /// Counts down by n; the one who reaches zero wakes all who wait. Never blocks.
  void count_down(std::ptrdiff_t n = 1) noexcept { count_.done(narrow(n), words); }
  /// Whether it is open. Unlike std it does not fail spuriously.
  [[nodiscard]] bool try_wait() const noexcept { return count_.is_zero(); }
  /// Blocks the fiber (or the plain thread) until it is open.
  void wait() const noexcept { count_.wait(words); }
  void arrive_and_wait(std::ptrdiff_t n = 1) noexcept {
    count_down(n);
    wait();
  }

  /// Until a stop is requested, not longer than `d`, or until `t` of any clock has passed. True: it is open.
  bool wait(const detail::stop_token& stop) const { return count_.wait({.stop = &stop}, words); }
  template <class Rep, class Period>
  bool wait_for(const std::chrono::duration<Rep, Period>& d) const {
    return count_.is_zero() || count_.wait({.deadline = detail::deadline_after(d)}, words);
  }
  template <class Clock, class Duration>
  bool wait_until(const std::chrono::time_point<Clock, Duration>& t) const {
    return detail::attempt_until(t, [this](detail::nanoseconds_t deadline) { return count_.wait({deadline}, words); });
  }

 private:
  static constexpr detail::countdown::words words{"latch", "latch", "count_down",
                                                  "count down no more than it was made for",
                                                  "for %s %p, until it has been counted down by %u more"};
  constexpr std::uint32_t narrow(std::ptrdiff_t n) const noexcept {
    if (n < 0 || n > max()) [[unlikely]]
      out_of_range();
    return static_cast<std::uint32_t>(n);
  }
  [[noreturn]] HEDDLE_EXPORT void out_of_range() const noexcept;
  HEDDLE_EXPORT void destroyed_in_use() const noexcept;

  mutable detail::countdown count_;
};

}  // namespace heddle
