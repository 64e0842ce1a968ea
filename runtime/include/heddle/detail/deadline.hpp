// SPDX-License-Identifier: BSL-1.0
//
// From std::chrono to deadlines: nanoseconds of the monotonic clock. Only here are times that users give compared and
// computed with: chrono's own operators overflow for times far away, for clocks of other units, and for those that
// count without a sign.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <numeric>
#include <ratio>
#include <type_traits>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

HEDDLE_EXPORT nanoseconds_t monotonic_now() noexcept;

/// As far as a deadline can lie ahead, some 292 years: a sleeper is a sleeper, and no deadlock.
inline constexpr nanoseconds_t last_deadline = no_deadline - 1;

__extension__ typedef __int128 wide_int;
__extension__ typedef unsigned __int128 unsigned_wide_int;

/// Counts that are used in computations as they are. All others, floating or of any type, become long double.
template <class Rep>
concept exact_count = std::integral<Rep> && sizeof(Rep) <= sizeof(std::int64_t);

/// `n` times Period in nanoseconds, rounded up; last_deadline if that is less.
template <class Period>
constexpr nanoseconds_t in_nanoseconds(unsigned_wide_int n) noexcept {
  constexpr std::intmax_t billion = 1'000'000'000;
  constexpr std::intmax_t common = std::gcd(std::intmax_t{Period::den}, billion);
  constexpr auto multiplier = static_cast<unsigned_wide_int>(Period::num) * (billion / common);
  constexpr auto divisor = static_cast<unsigned_wide_int>(Period::den / common);
  constexpr unsigned_wide_int most = last_deadline * divisor / multiplier;  // and so nothing below overflows
  if (n > most) return last_deadline;
  return static_cast<nanoseconds_t>((n * multiplier + (divisor - 1)) / divisor);
}
/// The same for nanoseconds with a fraction. 0 for a count that is not positive, or is no number.
constexpr nanoseconds_t in_nanoseconds(long double ns) noexcept {
  if (!(ns > 0)) return 0;
  if (ns >= static_cast<long double>(last_deadline)) return last_deadline;
  const auto whole = static_cast<nanoseconds_t>(ns);
  return whole + (static_cast<long double>(whole) < ns);
}
/// in_nanoseconds(f(a, b)), computed with all the bits that a long double has, and without a trap, whatever the caller
/// has set in the control word of its x87 unit: with 24 bits a time of today is known to two minutes.
template <class F>
constexpr nanoseconds_t precisely(long double a, long double b, F f) noexcept {
  if (std::is_constant_evaluated()) return in_nanoseconds(f(a, b));
  constexpr std::uint16_t usual = 0x37f, no_traps = 0x3f;
  std::uint16_t own = 0;
  asm volatile("fnstcw %0" : "=m"(own));
  // The values go through these, so that what is computed from them stays in between.
  asm volatile("fldcw %2" : "+m"(a), "+m"(b) : "m"(usual));
  nanoseconds_t result = in_nanoseconds(f(a, b));
  if ((own & no_traps) != no_traps) asm volatile("fnclex" : "+m"(result));
  asm volatile("fldcw %1" : "+m"(result) : "m"(own));
  return result;
}
template <class Period>
constexpr long double fractional_nanoseconds(long double count) noexcept {
  constexpr std::intmax_t billion = 1'000'000'000;
  constexpr std::intmax_t common = std::gcd(std::intmax_t{Period::den}, billion);
  return count * Period::num * (billion / common) / (Period::den / common);
}

/// How long to wait for `d`: in nanoseconds, rounded up, at most last_deadline; 0 unless it is positive.
template <class Rep, class Period>
constexpr nanoseconds_t time_to_wait(std::chrono::duration<Rep, Period> d) noexcept {
  if constexpr (exact_count<Rep>)
    return d.count() > 0 ? in_nanoseconds<Period>(static_cast<unsigned_wide_int>(d.count())) : 0;
  else
    return precisely(static_cast<long double>(d.count()), 0,
                     [](long double count, long double) { return fractional_nanoseconds<Period>(count); });
}

/// How long it is from `now` to `t`, both since the same epoch: as above; 0 exactly if `t` has been reached, or if
/// either of them is no number.
template <class Rep, class Period, class NowRep, class NowPeriod>
constexpr nanoseconds_t time_left(std::chrono::duration<Rep, Period> t,
                                  std::chrono::duration<NowRep, NowPeriod> now) noexcept {
  if constexpr (exact_count<Rep> && exact_count<NowRep>) {
    using common = typename std::common_type_t<std::chrono::duration<std::intmax_t, Period>,
                                               std::chrono::duration<std::intmax_t, NowPeriod>>::period;
    // A count has 64 bits, a factor 63: their product fits, and so does the distance of two of them, without a sign.
    const wide_int until = wide_int{t.count()} * std::ratio_divide<Period, common>::num;
    const wide_int from = wide_int{now.count()} * std::ratio_divide<NowPeriod, common>::num;
    if (until <= from) return 0;
    return in_nanoseconds<common>(static_cast<unsigned_wide_int>(until) - static_cast<unsigned_wide_int>(from));
  } else if constexpr (std::is_same_v<Period, NowPeriod>) {
    // Compared without units: the computation below may round a small distance away.
    const auto until = static_cast<long double>(t.count()), from = static_cast<long double>(now.count());
    if (!(until > from)) return 0;
    const nanoseconds_t left =
        precisely(until, from, [](long double a, long double b) { return fractional_nanoseconds<Period>(a - b); });
    return left > 0 ? left : 1;
  } else {
    return precisely(static_cast<long double>(t.count()), static_cast<long double>(now.count()),
                     [](long double a, long double b) {
                       return fractional_nanoseconds<Period>(a) - fractional_nanoseconds<NowPeriod>(b);
                     });
  }
}

/// base + wait, at most last_deadline; base is not negative.
constexpr nanoseconds_t later_by(nanoseconds_t base, nanoseconds_t wait) noexcept {
  return wait >= last_deadline - base ? last_deadline : base + wait;
}

/// The deadline of a wait that may take `d` from now on.
template <class Rep, class Period>
nanoseconds_t deadline_after(std::chrono::duration<Rep, Period> d) noexcept {
  return later_by(monotonic_now(), time_to_wait(d));
}

/// The monotonic clock's deadline for a time of any clock, as that clock goes now.
struct deadline_for_now {
  nanoseconds_t deadline;
  bool final;  ///< The time is over at that deadline; else the clock may be set, and has to be asked again.
};
template <class Clock, class Duration>
deadline_for_now deadline_at(std::chrono::time_point<Clock, Duration> t) {
  if constexpr (std::is_same_v<Clock, std::chrono::steady_clock>) {
    return {time_to_wait(t.time_since_epoch()), true};
  } else {
    const nanoseconds_t left = time_left(t.time_since_epoch(), Clock::now().time_since_epoch());
    if (left == 0) return {0, true};
    return {later_by(monotonic_now(), left), false};
  }
}

/// Whether a clock has reached `t`.
template <class Clock, class Duration>
bool reached(std::chrono::time_point<Clock, Duration> t) {
  return time_left(t.time_since_epoch(), Clock::now().time_since_epoch()) == 0;
}

/// The deadline of a further attempt: a clock that stands still just before its time must not keep a loop running.
inline nanoseconds_t not_at_once(nanoseconds_t deadline) noexcept {
  constexpr nanoseconds_t least = 1'000'000;
  const nanoseconds_t earliest = later_by(monotonic_now(), least);
  return deadline < earliest ? earliest : deadline;
}

/// Calls attempt(deadline) for a time of any clock. Returns its last result: true, or a value that converts to it, for
/// success. Other clocks than the monotonic one may be set, so a failure is believed only when that clock has reached
/// `t`. One attempt at least is made, with a deadline in the past if `t` is. An exception of a clock's now() comes out.
template <class Clock, class Duration, class F>
auto attempt_until(std::chrono::time_point<Clock, Duration> t, F attempt) {
  for (bool again = false;; again = true) {
    const deadline_for_now bound = deadline_at(t);
    auto outcome = attempt(again && !bound.final ? not_at_once(bound.deadline) : bound.deadline);
    if (static_cast<bool>(outcome) || bound.final || reached(t)) return outcome;
  }
}

/// A duration that any other converts to: one too long, or too far below zero, is cut off, not wrapped round.
struct any_nanoseconds : std::chrono::nanoseconds {
  template <class Rep, class Period>
  constexpr any_nanoseconds(std::chrono::duration<Rep, Period> d) noexcept : duration(cut(d)) {}

 private:
  template <class Rep, class Period>
  static constexpr std::int64_t cut(std::chrono::duration<Rep, Period> d) noexcept {
    if constexpr (std::is_same_v<std::chrono::duration<Rep, Period>, std::chrono::nanoseconds>) return d.count();
    const nanoseconds_t ahead = time_to_wait(d);
    if (ahead == last_deadline) return max().count();
    return ahead > 0 ? ahead : -time_left(std::chrono::duration<Rep, Period>(0), d);
  }
};
/// The same for a time of the monotonic clock.
struct any_steady_time : std::chrono::steady_clock::time_point {
  template <class Duration>
  constexpr any_steady_time(std::chrono::time_point<std::chrono::steady_clock, Duration> t) noexcept
      : time_point(any_nanoseconds(t.time_since_epoch())) {}
};

}  // namespace heddle::detail
