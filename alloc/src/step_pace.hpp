// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

/// Decides when calls of the program give memory back, and how much. A step costs a hundredth of the time for which the
/// program had not called: 200 us at least, so that a busy program is served in steps that nobody notices, and 50 ms at
/// most. A program that calls once a second would get nothing done in 200 us. After a step there is a pause, so long
/// that all steps together take no more than a fiftieth of the time.
///
/// Times are nanoseconds of one monotonic clock, which may be a few milliseconds behind. A cost is the time that the
/// work takes as a rule: a clock goes on while a thread waits for a processor. Several threads may come by; only one of
/// them at a time begins a step.
class step_pace {
 public:
  static constexpr nanoseconds_t least = 200'000;
  static constexpr nanoseconds_t most = 50'000'000;
  static constexpr nanoseconds_t share = 100;  ///< of the time between calls
  static constexpr nanoseconds_t pause = 50;   ///< times the cost of a step until the next
  /// A program that has not called for so long is at rest: two ticks of a coarse clock, since one proves little.
  static constexpr nanoseconds_t rest = 8'000'000;

  constexpr step_pace() noexcept = default;

  /// Memory begins to wait: the first step is due then, not before.
  void begin(nanoseconds_t now, nanoseconds_t due) noexcept {
    last_call_.store(now, std::memory_order_relaxed);
    due_.store(due, std::memory_order_relaxed);
  }
  /// A call comes by while memory waits. Returns the most that its step may cost; 0: no step is due.
  nanoseconds_t come_by(nanoseconds_t now) noexcept {
    const nanoseconds_t gap = now - last_call_.load(std::memory_order_relaxed);
    last_call_.store(now, std::memory_order_relaxed);
    was_at_rest_.store(gap >= rest, std::memory_order_relaxed);
    return now < due_.load(std::memory_order_relaxed) ? 0 : std::clamp(gap / share, least, most);
  }
  /// A step is done; `cost`: what it took. `next`: before then there is nothing to do.
  void end(nanoseconds_t now, nanoseconds_t cost, nanoseconds_t next) noexcept {
    due_.store(std::max(now + pause * cost, next), std::memory_order_relaxed);
  }
  /// Whether the program had not called for a while when it came by last.
  bool was_at_rest() const noexcept { return was_at_rest_.load(std::memory_order_relaxed); }

 private:
  atomic<nanoseconds_t> last_call_{0};
  atomic<nanoseconds_t> due_{0};
  atomic<bool> was_at_rest_{false};
};

}  // namespace heddle::detail
