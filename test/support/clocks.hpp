// SPDX-License-Identifier: BSL-1.0
//
// Clocks that users may have, and the times by them that have passed, or never will.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <ratio>

namespace heddle::testing {

/// A clock that shows the time it is told to. Each Rep and Period has its own.
template <class Rep, class Period>
struct told_clock {
  using rep = Rep;
  using period = Period;
  using duration = std::chrono::duration<Rep, Period>;
  using time_point = std::chrono::time_point<told_clock>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  static time_point now() noexcept { return time_point(duration(shows.load())); }
  static inline std::atomic<Rep> shows{};
};

using signed_clock = told_clock<std::int64_t, std::nano>;
using unsigned_clock = told_clock<std::uint32_t, std::milli>;
using coarse_clock = told_clock<std::int64_t, std::ratio<3600>>;
using floating_clock = told_clock<double, std::ratio<1>>;

inline constexpr double infinite = std::numeric_limits<double>::infinity();
inline constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

/// use(name, duration) with all durations that leave no time to wait.
template <class Use>
void with_durations_over(Use use) {
  using namespace std::chrono;
  use("0 ns", nanoseconds(0));
  use("-1 ns", nanoseconds(-1));
  use("nanoseconds::min()", nanoseconds::min());
  use("hours::min()", hours::min());
  use("no seconds, unsigned", duration<std::uint64_t>(0));
  use("-infinity", duration<double>(-infinite));
  use("NaN", duration<double>(no_number));
}
/// The same with all durations that last for ever.
template <class Use>
void with_durations_for_ever(Use use) {
  using namespace std::chrono;
  use("nanoseconds::max()", nanoseconds::max());
  use("hours::max()", hours::max());
  use("2^64 - 1 seconds", duration<std::uint64_t>::max());
  use("infinity", duration<double>(infinite));
  use("1e300 seconds", duration<double>(1e300));
}

template <class Clock, class Duration>
constexpr auto at(Duration since_epoch) {
  return std::chrono::time_point<Clock, Duration>(since_epoch);
}
template <class Clock, class Rep>
constexpr auto count(Rep n) {
  return typename Clock::time_point(typename Clock::duration(n));
}

template <class Use>
void with_times_over(Use use) {
  using namespace std::chrono;
  use("steady min()", steady_clock::time_point::min());
  use("steady 1 ns ago", steady_clock::now() - nanoseconds(1));
  use("system min()", system_clock::time_point::min());
  use("system epoch", system_clock::time_point());
  use("system 1 ns ago", system_clock::now() - nanoseconds(1));
  use("system min() in hours", at<system_clock>(hours::min()));
  use("system -infinity", at<system_clock>(duration<double>(-infinite)));
  use("system NaN", at<system_clock>(duration<double>(no_number)));

  signed_clock::shows = 5;
  use("now", count<signed_clock>(5));
  use("min()", signed_clock::time_point::min());
  signed_clock::shows = std::numeric_limits<std::int64_t>::max();
  use("min() at max()", signed_clock::time_point::min());
  signed_clock::shows = std::numeric_limits<std::int64_t>::min();
  use("min() at min()", signed_clock::time_point::min());

  unsigned_clock::shows = 1000;
  use("unsigned 0", count<unsigned_clock>(0u));
  use("unsigned 1 ms ago", count<unsigned_clock>(999u));
  use("unsigned now", count<unsigned_clock>(1000u));
  unsigned_clock::shows = std::numeric_limits<std::uint32_t>::max();
  use("unsigned 0 at max()", count<unsigned_clock>(0u));

  coarse_clock::shows = 500'000;
  use("coarse min()", coarse_clock::time_point::min());
  use("coarse an hour ago", count<coarse_clock>(499'999));
  use("coarse now", count<coarse_clock>(500'000));

  floating_clock::shows = 1.5;
  use("floating -infinity", count<floating_clock>(-infinite));
  use("floating now", count<floating_clock>(1.5));
  use("floating NaN", count<floating_clock>(no_number));
  floating_clock::shows = no_number;
  use("floating at NaN", count<floating_clock>(1.5));
}

template <class Use>
void with_times_never(Use use) {
  using namespace std::chrono;
  use("steady max()", steady_clock::time_point::max());
  use("system max()", system_clock::time_point::max());
  use("system max() in hours", at<system_clock>(hours::max()));
  use("system infinity", at<system_clock>(duration<double>(infinite)));

  signed_clock::shows = -5;
  use("max()", signed_clock::time_point::max());
  signed_clock::shows = std::numeric_limits<std::int64_t>::min();
  use("max() at min()", signed_clock::time_point::max());

  unsigned_clock::shows = 1000;
  use("unsigned max()", unsigned_clock::time_point::max());

  coarse_clock::shows = std::numeric_limits<std::int64_t>::max() - 1;
  use("coarse in an hour", coarse_clock::time_point::max());
  coarse_clock::shows = -1;
  use("coarse max()", coarse_clock::time_point::max());

  floating_clock::shows = -infinite;
  use("floating at -infinity", count<floating_clock>(1.5));
  floating_clock::shows = 1.5;
  use("floating infinity", count<floating_clock>(infinite));
}

}  // namespace heddle::testing
