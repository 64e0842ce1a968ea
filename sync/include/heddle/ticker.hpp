// SPDX-License-Identifier: BSL-1.0
//
// Channels that the time is sent to.
#pragma once

#include <chrono>
#include <mutex>
#include <stdexcept>

#include "heddle/channel.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/detail/room_case.hpp"
#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/select.hpp"
#include "heddle/this_fiber.hpp"

namespace heddle {
namespace detail {

/// What ticker and timer share: a fiber that sleeps until a deadline and then sends the time to a channel with room for
/// one value, unless that is full. All in this header, since a fiber whose stack grows must run code that was compiled
/// for that.
///
/// 1. A value is sent under the lock, and only while the deadline for which it is sent stands. So when set() has
///    replaced the deadline and taken an old value out, none from before can arrive any more.
/// 2. `changed_` has a value if the fiber might sleep for a deadline that is no longer the one set.
/// 3. While a value waits to be received, those that follow are left out, and the fiber sleeps until it is received. So
///    a ticker whose values nobody takes costs nothing, however short its period.
class clockwork {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  clockwork(nanoseconds_t deadline, nanoseconds_t period)
      : deadline_(deadline), period_(period), fiber_(spawn({.name = "clockwork"}, [this] { run(); })) {}
  clockwork(const clockwork&) = delete;
  clockwork& operator=(const clockwork&) = delete;
  ~clockwork() {
    changed_.close();
    fiber_.join();
  }

  channel<time_point>& ticks() noexcept { return ticks_; }
  /// From now on for this deadline, and then every `period` if that is not 0. Returns whether something was still to
  /// come, sent and not received included.
  bool set(nanoseconds_t deadline, nanoseconds_t period) {
    bool pending;
    {
      const std::lock_guard hold(lock_);
      pending = deadline_ != no_deadline;
      if (!HEDDLE_PLANTED(stale_tick_stays) && ticks_.try_receive()) pending = true;
      deadline_ = deadline;
      period_ = period;
    }
    (void)changed_.try_send('!');
    return pending;
  }

 private:
  void run() {
    try {
      while (step()) {
      }
    } catch (const channel_closed&) {  // the user has closed the channel: no more ticks
    }
  }
  /// False: the end.
  bool step() {
    const nanoseconds_t next = deadline();
    if (next == no_deadline) return changed_.receive().has_value();
    const channel_status how = changed_.receive_until(at(next)).status();
    if (how != channel_status::timed_out) return how != channel_status::closed;
    const nanoseconds_t left_out = fire(next);
    if (left_out != no_deadline) return wait_for_room(left_out);
    // A period so short that the next has begun already: on this processor the others come first.
    if (monotonic_now() >= deadline()) this_fiber::yield();
    return true;
  }
  nanoseconds_t deadline() {
    const std::lock_guard hold(lock_);
    return deadline_;
  }
  /// Returns no_deadline; or, if the value before has not been received yet, the deadline for which it is set now.
  nanoseconds_t fire(nanoseconds_t slept_until) {
    const std::lock_guard hold(lock_);
    if (deadline_ != slept_until && !HEDDLE_PLANTED(fires_though_reset)) return no_deadline;
    const nanoseconds_t now = monotonic_now();
    const bool sent = ticks_.try_send(at(now));
    if (period_ == 0)
      deadline_ = no_deadline;
    else
      leave_out_missed(now);
    return sent ? no_deadline : deadline_;
  }
  bool wait_for_room(nanoseconds_t left_out) {
    receive_case again{changed_};
    room_case room{ticks_.inner_};
    if (select(again, room) == 0) return again.result().has_value();
    const std::lock_guard hold(lock_);
    const nanoseconds_t now = monotonic_now();
    if (deadline_ == left_out && deadline_ <= now) leave_out_missed(now);
    return true;
  }
  void leave_out_missed(nanoseconds_t now) noexcept {
    deadline_ = later_by(deadline_, period_ * (1 + (now - deadline_) / period_));
  }
  static time_point at(nanoseconds_t t) noexcept { return time_point(std::chrono::nanoseconds(t)); }

  mutex lock_;
  nanoseconds_t deadline_;  // no_deadline: nothing is to come
  nanoseconds_t period_;
  channel<time_point> ticks_{1};
  channel<char> changed_{1};
  join_handle<void> fiber_;  // begins when all else is there
};

}  // namespace detail

/// Sends the time to a channel, again and again.
///
///     heddle::ticker t(10ms);
///     for (auto now : t.channel()) {            // std::chrono::steady_clock::time_point
///       if (done(now)) break;
///     }
///
/// The channel has room for one tick. For a slow receiver ticks are left out, so no period is too short: a ticker of
/// one nanosecond ticks as fast as somebody receives. Ticks follow the monotonic clock from the beginning, so they do
/// not drift. As in Go, stop() does not close the channel: a fiber that receives then waits for ever.
/// Each ticker has a fiber of its own; the destructor ends and joins it, and nobody may receive by then.
/// From fibers and plain threads; reset() and stop() from several at once.
/// Source: Go's time.Ticker (as of 1.23: after stop() and reset() no tick from before is received).
class ticker {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Ticks every `d`, which is rounded up to nanoseconds, and down to 292 years.
  /// \throws std::invalid_argument unless d is positive; exceptions of spawn().
  template <class Rep, class Period>
  explicit ticker(std::chrono::duration<Rep, Period> d) : clock_(detail::deadline_after(d), checked(d)) {}

  heddle::channel<time_point>& channel() noexcept { return clock_.ticks(); }
  /// From now on every `d`, next in `d`. Throws std::invalid_argument unless d is positive.
  template <class Rep, class Period>
  void reset(std::chrono::duration<Rep, Period> d) {
    const detail::nanoseconds_t period = checked(d);
    clock_.set(detail::deadline_after(d), period);
  }
  /// No more ticks, until reset().
  void stop() { clock_.set(detail::no_deadline, 0); }

 private:
  template <class Rep, class Period>
  static detail::nanoseconds_t checked(std::chrono::duration<Rep, Period> d) {
    if (!(d > d.zero())) throw std::invalid_argument("heddle::ticker: the period must be positive");
    return detail::time_to_wait(d);
  }

  detail::clockwork clock_;
};

/// Sends the time to a channel, once.
///
///     heddle::timer t(1s);
///     heddle::select(heddle::on_receive(answers, use), heddle::on_receive(t.channel(), [](auto) { give_up(); }));
///
/// For a single select, on_timeout() does without the fiber that each timer has; a timer bounds several together.
/// The destructor ends and joins the fiber, and nobody may receive by then.
/// From fibers and plain threads; reset() and stop() from several at once.
/// Source: Go's time.Timer (as of 1.23: after stop() and reset() no value from before is received).
class timer {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// Fires in `d`; at once if that is not positive. Throws what spawn() throws.
  template <class Rep, class Period>
  explicit timer(std::chrono::duration<Rep, Period> d) : clock_(detail::deadline_after(d), 0) {}

  heddle::channel<time_point>& channel() noexcept { return clock_.ticks(); }
  /// Fires in `d` from now, and not otherwise. Returns whether a value was still to come or to be received.
  template <class Rep, class Period>
  bool reset(std::chrono::duration<Rep, Period> d) {
    return clock_.set(detail::deadline_after(d), 0);
  }
  /// Does not fire any more, until reset(). Returns whether a value was still to come or to be received: false if the
  /// timer was stopped before or its value has been received.
  bool stop() { return clock_.set(detail::no_deadline, 0); }

 private:
  detail::clockwork clock_;
};

/// A timer for one expression: `after(1s).channel().receive()`. Ends with it, so nothing is left behind.
template <class Rep, class Period>
[[nodiscard]] timer after(std::chrono::duration<Rep, Period> d) {
  return timer(d);
}

}  // namespace heddle
