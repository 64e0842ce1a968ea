// SPDX-License-Identifier: BSL-1.0
//
// From std::chrono to deadlines: nanoseconds of the monotonic clock.
#pragma once

#include <chrono>
#include <type_traits>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

HEDDLE_EXPORT nanoseconds_t monotonic_now() noexcept;

/// As far as a deadline can lie ahead, some 292 years: a sleeper is a sleeper, and no deadlock.
inline constexpr nanoseconds_t last_deadline = no_deadline - 1;

/// base + d, rounded up, without overflow: base if that lies in the past.
template <class Rep, class Period>
nanoseconds_t deadline_at(nanoseconds_t base, std::chrono::duration<Rep, Period> d) noexcept {
  const std::chrono::duration<long double, std::nano> ns = d;
  if (!(ns.count() > 0)) return base;
  if (ns.count() >= static_cast<long double>(last_deadline - base)) return last_deadline;
  return base + std::chrono::ceil<std::chrono::nanoseconds>(ns).count();
}

/// Now + d.
template <class Rep, class Period>
nanoseconds_t deadline_after(std::chrono::duration<Rep, Period> d) noexcept {
  return deadline_at(monotonic_now(), d);
}

/// attempt(deadline) for a time of any clock, and what it returned last: true, or something that converts to it, for
/// success. Other clocks than the monotonic one may be set, so a failure is believed only when that clock has passed
/// `t`.
template <class Clock, class Duration, class F>
auto attempt_until(std::chrono::time_point<Clock, Duration> t, F attempt) {
  if constexpr (std::is_same_v<Clock, std::chrono::steady_clock>) {
    return attempt(deadline_at(0, t.time_since_epoch()));
  } else {
    for (;;) {
      auto outcome = attempt(deadline_after(t - Clock::now()));
      if (static_cast<bool>(outcome) || Clock::now() >= t) return outcome;
    }
  }
}

}  // namespace heddle::detail
