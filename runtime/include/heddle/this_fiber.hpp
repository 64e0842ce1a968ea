// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string_view>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/wait_description.hpp"
#include "heddle/fiber.hpp"

namespace heddle {
namespace this_fiber {
HEDDLE_EXPORT void yield() noexcept;
}
namespace detail {
/// Suspends the fiber, or the plain thread, until the monotonic clock shows `deadline` (ns).
HEDDLE_EXPORT void sleep_until(nanoseconds_t deadline) noexcept;
/// The same until a stop is requested; false if it was.
inline bool sleep_until(nanoseconds_t deadline, const stop_token& stop) {
  const wait_bounds bounds{deadline, &stop};
  if (over(bounds)) {
    if (stop.stop_requested()) return false;
    this_fiber::yield();
    return true;
  }
  bounded_waiter self(bounds);
  return self.park(commit_nothing, nullptr) == wait_state::timed_out;
}
}  // namespace detail

/// What a fiber says to the runtime about itself. Everything works on a plain thread too, for that thread.
namespace this_fiber {

/// Lets others run. The caller queues behind all fibers of its processor that are runnable and have run before, woken
/// or yielded themselves: each of those runs before yield() returns. Of fibers that have not begun one begins, the
/// newest: at each yield() if no other is runnable, else at each second one. (Each 61st choice of the processor is
/// fair, and may begin the oldest.) So six yields begin six fresh fibers; to have fibers done, join them. Other
/// processors may take fibers from this one meanwhile. Returns at once if nothing else is runnable. About 10 ns.
HEDDLE_EXPORT void yield() noexcept;

/// Whether the caller is a fiber rather than a plain thread.
HEDDLE_EXPORT bool is_fiber() noexcept;

/// The number of the running fiber; fiber_id() on a plain thread.
HEDDLE_EXPORT fiber_id get_id() noexcept;

/// The name given when it was made or by name(n); empty if none. Valid until the name is changed.
HEDDLE_EXPORT std::string_view name() noexcept;
/// Names the fiber, for reports; copied. Ignored on a plain thread. Throws std::bad_alloc.
HEDDLE_EXPORT void name(std::string_view n);

/// Bytes of the stack between its top and the caller; 0 on a plain thread. A fiber that runs on the stack of the one
/// that joins it counts that one's part too. O(1). deepest_stack() has the most that any fiber ever used.
HEDDLE_EXPORT std::size_t stack_used() noexcept;

/// Suspends the fiber for at least `d` of monotonic time; blocks only the fiber. O(log sleepers). As yield() if `d` is
/// not positive. This and every other wait of heddle takes any duration and any time: min(), max(), infinities, in any
/// unit. A time further ahead than 292 years never comes; a time that is no number (NaN) has passed.
template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> d) {
  detail::sleep_until(detail::deadline_after(d));
}

/// The same, but not longer than until a stop is requested (of a std::stop_token): returns false if it was, at once if
/// it has been already.
template <class Rep, class Period>
bool sleep_for(std::chrono::duration<Rep, Period> d, const detail::stop_token& stop) {
  return detail::sleep_until(detail::deadline_after(d), stop);
}

/// Suspends the fiber until `t` of any clock; as yield() if that has passed. Other clocks than the monotonic one may be
/// set. If a clock was set back, the wait goes on. If it was set forward, that is seen only when the time has passed
/// for which the wait was begun. All waits until a time do so.
template <class Clock, class Duration>
void sleep_until(std::chrono::time_point<Clock, Duration> t) {
  detail::attempt_until(t, [](detail::nanoseconds_t deadline) {
    detail::sleep_until(deadline);
    return false;
  });
}

/// The same, but not longer than until a stop is requested: returns false if it was.
template <class Clock, class Duration>
bool sleep_until(std::chrono::time_point<Clock, Duration> t, const detail::stop_token& stop) {
  return !detail::attempt_until(t,
                                [&](detail::nanoseconds_t deadline) { return !detail::sleep_until(deadline, stop); });
}

}  // namespace this_fiber
}  // namespace heddle
