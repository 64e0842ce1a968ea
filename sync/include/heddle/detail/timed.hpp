// SPDX-License-Identifier: BSL-1.0
//
// What the timed forms of the locks have in common.
#pragma once

#include <chrono>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/deadline.hpp"

namespace heddle::detail {

/// What attempt(bounds) returns, true for success, with bounds that leave it the time `d` from now.
template <class Rep, class Period, class F>
bool within(const std::chrono::duration<Rep, Period>& d, F attempt) {
  return attempt(wait_bounds{deadline_after(d)});
}
/// The same until `t` of any clock.
template <class Clock, class Duration, class F>
bool within(const std::chrono::time_point<Clock, Duration>& t, F attempt) {
  return attempt_until(t, [&](nanoseconds_t deadline) { return attempt(wait_bounds{deadline}); });
}

}  // namespace heddle::detail
