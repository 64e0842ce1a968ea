// SPDX-License-Identifier: BSL-1.0
//
// How times become deadlines. For the waits that use them see test/sync/times_test.cpp.
#include "heddle/detail/deadline.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <ratio>

#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::detail::any_nanoseconds;
using heddle::detail::any_steady_time;
using heddle::detail::attempt_until;
using heddle::detail::deadline_after;
using heddle::detail::deadline_at;
using heddle::detail::last_deadline;
using heddle::detail::later_by;
using heddle::detail::monotonic_now;
using heddle::detail::nanoseconds_t;
using heddle::detail::no_deadline;
using heddle::detail::time_left;
using heddle::detail::time_to_wait;
using std::chrono::duration;
using std::chrono::hours;
using std::chrono::nanoseconds;
using steady = std::chrono::steady_clock;

template <class Duration>
constexpr Duration most = Duration::max();
template <class Duration>
constexpr Duration least = Duration::min();
constexpr double infinite = std::numeric_limits<double>::infinity();
constexpr double no_number = std::numeric_limits<double>::quiet_NaN();
using thirds = duration<std::int64_t, std::ratio<1, 3>>;
using frames = duration<std::int64_t, std::ratio<1001, 30000>>;
using exaseconds = duration<std::int64_t, std::exa>;
using attoseconds = duration<std::int64_t, std::atto>;

// --- durations -------------------------------------------------------------------------------------------

static_assert(time_to_wait(0ns) == 0 && time_to_wait(-1ns) == 0 && time_to_wait(1ns) == 1);
static_assert(time_to_wait(least<nanoseconds>) == 0 && time_to_wait(least<hours>) == 0);
static_assert(time_to_wait(most<nanoseconds>) == last_deadline);
static_assert(time_to_wait(nanoseconds(last_deadline - 1)) == last_deadline - 1);
static_assert(time_to_wait(most<hours>) == last_deadline &&
              time_to_wait(most<duration<std::uint64_t>>) == last_deadline);
static_assert(time_to_wait(hours(2562047)) == 2562047 * 3'600'000'000'000 &&
              time_to_wait(hours(2562048)) == last_deadline);
static_assert(time_to_wait(duration<std::int8_t, std::ratio<3600>>(127)) == 127 * 3'600'000'000'000);
static_assert(time_to_wait(duration<std::uint8_t, std::milli>(255)) == 255'000'000);
static_assert(time_to_wait(duration<bool>(true)) == 1'000'000'000);
// Rounded up, never down.
static_assert(time_to_wait(thirds(1)) == 333'333'334 && time_to_wait(thirds(2)) == 666'666'667);
static_assert(time_to_wait(thirds(3)) == 1'000'000'000);
static_assert(time_to_wait(attoseconds(1)) == 1 && time_to_wait(attoseconds(1'000'000'000)) == 1);
static_assert(time_to_wait(attoseconds(1'000'000'001)) == 2);
static_assert(time_to_wait(duration<std::int64_t, std::pico>(1001)) == 2);
// Units of which the count of nanoseconds fits, but not chrono's product on the way.
static_assert(time_to_wait(thirds(27'000'000'000)) == 9'000'000'000'000'000'000);
static_assert(time_to_wait(thirds(27'670'116'111)) == last_deadline);
static_assert(time_to_wait(frames(30'000'000'000)) == 1001'000'000'000'000'000);
static_assert(time_to_wait(exaseconds(1)) == last_deadline && time_to_wait(exaseconds(0)) == 0);

static_assert(time_to_wait(duration<double>(0.0)) == 0 && time_to_wait(duration<double>(-1e-300)) == 0);
static_assert(time_to_wait(duration<double>(1e-300)) == 1 && time_to_wait(duration<double>(1.5)) == 1'500'000'000);
static_assert(time_to_wait(duration<double, std::nano>(1.0)) == 1 &&
              time_to_wait(duration<double, std::nano>(1.5)) == 2);
static_assert(time_to_wait(duration<double>(infinite)) == last_deadline &&
              time_to_wait(duration<double>(-infinite)) == 0);
static_assert(time_to_wait(duration<double>(1e300)) == last_deadline);
static_assert(time_to_wait(duration<double>(9.3e9)) == last_deadline &&
              time_to_wait(duration<double>(9.2e9)) == 9'200'000'000'000'000'000);
static_assert(time_to_wait(duration<float, std::ratio<60>>(0.5f)) == 30'000'000'000);

// --- from now to a time ----------------------------------------------------------------------------------

static_assert(time_left(5ns, 5ns) == 0 && time_left(5ns, 6ns) == 0 && time_left(6ns, 5ns) == 1);
static_assert(time_left(least<nanoseconds>, 1ns) == 0 && time_left(least<nanoseconds>, most<nanoseconds>) == 0);
static_assert(time_left(most<nanoseconds>, -1ns) == last_deadline);
static_assert(time_left(most<nanoseconds>, least<nanoseconds>) == last_deadline);
static_assert(time_left(least<nanoseconds> + 7ns, least<nanoseconds>) == 7);
static_assert(time_left(most<nanoseconds>, most<nanoseconds> - 7ns) == 7);
static_assert(time_left(most<hours>, nanoseconds(1)) == last_deadline && time_left(least<hours>, nanoseconds(1)) == 0);
static_assert(time_left(1ns, least<hours>) == last_deadline && time_left(1ns, most<hours>) == 0);
// Far from the epoch, but near to one another.
static_assert(time_left(most<hours>, most<hours> - 1h) == 3'600'000'000'000);
static_assert(time_left(hours(20'000'000), std::chrono::minutes(20'000'000 * 60LL - 1)) == 60'000'000'000);
static_assert(time_left(most<exaseconds>, most<exaseconds>) == 0);
// Without a sign.
using unsigned_ms = duration<std::uint32_t, std::milli>;
static_assert(time_left(unsigned_ms(0), unsigned_ms(1)) == 0 && time_left(unsigned_ms(2), unsigned_ms(1)) == 1'000'000);
static_assert(time_left(most<unsigned_ms>, unsigned_ms(0)) == 4'294'967'295'000'000);
static_assert(time_left(duration<std::uint64_t, std::nano>(0), most<duration<std::uint64_t, std::nano>>) == 0);
static_assert(time_left(most<duration<std::uint64_t, std::nano>>, least<nanoseconds>) == last_deadline);
static_assert(time_left(-1ns, duration<std::uint64_t, std::nano>(0)) == 0);
static_assert(time_left(duration<std::uint64_t, std::nano>(1), -1ns) == 2);
// Units that have no nanoseconds in common.
static_assert(time_left(thirds(1), 333'333'333ns) == 1 && time_left(thirds(1), 333'333'334ns) == 0);
static_assert(time_left(attoseconds(1), 0ns) == 1 && time_left(attoseconds(5), attoseconds(4)) == 1);
static_assert(time_left(attoseconds(5), attoseconds(5)) == 0);
static_assert(time_left(duration<std::int64_t, std::pico>(500), duration<std::int64_t, std::femto>(600'000)) == 0);

static_assert(time_left(duration<double>(infinite), 1ns) == last_deadline);
static_assert(time_left(duration<double>(-infinite), 1ns) == 0);
static_assert(time_left(duration<double>(infinite), duration<double>(infinite)) == 0);
static_assert(time_left(duration<double>(1), duration<double>(-infinite)) == last_deadline);
static_assert(time_left(duration<double>(1.5), 1s) == 500'000'000 && time_left(duration<double>(1.5), 2s) == 0);
static_assert(time_left(duration<double>(1e-20), duration<double>(0)) == 1);  // no less than what comes first
static_assert(time_left(duration<double>(2.25), duration<double>(2)) == 250'000'000);

static_assert(later_by(0, 0) == 0 && later_by(5, 6) == 11 && later_by(5, last_deadline) == last_deadline);
static_assert(later_by(5, last_deadline - 6) == last_deadline - 1 && later_by(last_deadline, 1) == last_deadline);

// --- what other units convert to -------------------------------------------------------------------------

static_assert(any_nanoseconds(5s) == 5s && any_nanoseconds(-5s) == -5s &&
              any_nanoseconds(most<nanoseconds>) == most<nanoseconds>);
static_assert(any_nanoseconds(least<nanoseconds>) == least<nanoseconds>);
static_assert(any_nanoseconds(most<hours>) == most<nanoseconds> &&
              any_nanoseconds(least<hours>).count() < -last_deadline + 2);
static_assert(any_nanoseconds(duration<double>(infinite)) == most<nanoseconds> &&
              any_nanoseconds(duration<double>(0.5)) == 500ms);
static_assert(any_nanoseconds(duration<double>(-infinite)) < -200h);
static_assert(any_steady_time(std::chrono::time_point<steady, hours>::max()) == steady::time_point::max());
static_assert(any_steady_time(std::chrono::time_point<steady, hours>(3h)) == steady::time_point(3h));
static_assert(std::is_convertible_v<hours, any_nanoseconds> && std::is_convertible_v<any_nanoseconds, nanoseconds>);
static_assert(!std::is_convertible_v<std::chrono::system_clock::time_point, any_steady_time>);

/// A clock that shows the time it is told to, and counts how often it is asked.
struct told {
  using duration = nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<told>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  static time_point now() {
    ++asked;
    return time_point(shows);
  }
  static inline duration shows{0};
  static inline int asked = 0;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(deadlines, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(durations_from_now) {
  const nanoseconds_t earlier = monotonic_now();
  const nanoseconds_t in_an_hour = deadline_after(1h);
  BOOST_TEST(in_an_hour >= earlier + 3'600'000'000'000);
  BOOST_TEST(in_an_hour <= monotonic_now() + 3'600'000'000'000);
  BOOST_TEST(deadline_after(most<hours>) == last_deadline);
  BOOST_TEST(deadline_after(most<nanoseconds>) == last_deadline);  // and not no_deadline, which no sleep ends at
  const nanoseconds_t long_ago = deadline_after(least<hours>);
  BOOST_TEST(long_ago <= monotonic_now());
  BOOST_TEST(last_deadline < no_deadline);
}

BOOST_AUTO_TEST_CASE(times_of_the_monotonic_clock_are_deadlines) {
  const auto bound = deadline_at(steady::time_point(5s));
  BOOST_TEST(bound.deadline == 5'000'000'000);
  BOOST_TEST(bound.final);
  BOOST_TEST(deadline_at(steady::time_point::min()).deadline == 0);
  BOOST_TEST(deadline_at(steady::time_point::max()).deadline == last_deadline);
  BOOST_TEST(deadline_at(std::chrono::time_point<steady, hours>::max()).deadline == last_deadline);
  BOOST_TEST(deadline_at(std::chrono::time_point<steady, hours>::min()).deadline == 0);
}

BOOST_AUTO_TEST_CASE(times_of_other_clocks_are_looked_at_again) {
  told::shows = 1h;
  const nanoseconds_t earlier = monotonic_now();
  const auto bound = deadline_at(told::time_point(1h + 5ns));
  BOOST_TEST(bound.deadline >= earlier + 5);
  BOOST_TEST(bound.deadline <= monotonic_now() + 5);
  BOOST_TEST(!bound.final);
  BOOST_TEST(deadline_at(told::time_point(1h)).deadline == 0);
  BOOST_TEST(deadline_at(told::time_point(1h)).final);
  BOOST_TEST(deadline_at(told::time_point::max()).deadline >= last_deadline - 3'600'000'000'000);
  told::shows = -1h;
  BOOST_TEST(deadline_at(told::time_point::max()).deadline == last_deadline);
  BOOST_TEST(deadline_at(told::time_point::min()).final);
}

BOOST_AUTO_TEST_CASE(what_is_no_number_has_passed) {
  const duration<double> never(no_number);
  BOOST_TEST(time_to_wait(never) == 0);
  BOOST_TEST(time_left(never, 1ns) == 0);
  BOOST_TEST(time_left(1h, never) == 0);
  BOOST_TEST(time_left(never, never) == 0);
  BOOST_TEST((any_nanoseconds(never) == 0ns));
  BOOST_TEST(deadline_at(std::chrono::time_point<steady, duration<double>>(never)).deadline == 0);
  BOOST_TEST(deadline_at(std::chrono::time_point<told, duration<double>>(never)).final);
}

namespace {

std::uint16_t x87_control() {
  std::uint16_t word = 0;
  asm volatile("fnstcw %0" : "=m"(word));
  return word;
}
struct x87_set {
  std::uint16_t earlier = x87_control();
  explicit x87_set(std::uint16_t word) { asm volatile("fldcw %0" : : "m"(word)); }
  ~x87_set() { asm volatile("fnclex\n\tfldcw %0" : : "m"(earlier)); }
};

/// Opaque to the compiler, which would compute with it otherwise.
template <class T>
T given(T value) {
  asm volatile("" : "+m"(value));
  return value;
}

}  // namespace

/// 24 bits instead of 64, rounded up or down, and a trap at each result that is not exact.
BOOST_AUTO_TEST_CASE(the_control_word_of_the_caller_changes_nothing) {
  for (const std::uint16_t word : std::initializer_list<std::uint16_t>{0x07f, 0x47f, 0x87f, 0xc7f, 0x340}) {
    const x87_set set(word);
    const duration<double> t(given(1'796'000'005.75));
    const nanoseconds now(given(1'796'000'000'000'000'000));
    const nanoseconds_t left = time_left(t, now);
    const nanoseconds_t right = time_left(now + 5750ms, duration<double>(given(1'796'000'000.0)));
    const nanoseconds_t wait = time_to_wait(duration<double>(given(1'796'000'000.5)));
    const nanoseconds_t minutes =
        time_left(duration<double, std::ratio<60>>(given(1e7 + 1.5)), duration<double, std::ratio<60>>(given(1e7)));
    const nanoseconds_t over = time_left(t, now + 6s);
    BOOST_TEST(x87_control() == word);
    const x87_set usual(0x37f);
    BOOST_TEST(left == 5'750'000'000);
    BOOST_TEST(right == 5'750'000'000);
    BOOST_TEST(wait == 1'796'000'000'500'000'000);
    BOOST_TEST(minutes == 90'000'000'000);
    BOOST_TEST(over == 0);
  }
}

BOOST_AUTO_TEST_CASE(attempts) {
  int made = 0;
  told::shows = 0ns;
  const auto fail_and_set = [&](std::initializer_list<nanoseconds> to) {
    return [&made, to](nanoseconds_t) {
      told::shows = to.begin()[made];
      return ++made > 100;
    };
  };
  // Not reached, set back, reached.
  BOOST_TEST(!attempt_until(told::time_point(10ns), fail_and_set({9ns, -1h, 10ns})));
  BOOST_TEST(made == 3);
  // One attempt is made in any case, and the clock is not asked after it.
  made = told::asked = 0;
  BOOST_TEST(!attempt_until(told::time_point(10ns), fail_and_set({-1h})));
  BOOST_TEST(made == 1);
  BOOST_TEST(told::asked == 1);
  // Success is believed at any time.
  told::shows = 0ns;
  BOOST_TEST(attempt_until(told::time_point(10ns), [](nanoseconds_t) { return 7; }) == 7);
  BOOST_TEST(attempt_until(steady::time_point::min(), [](nanoseconds_t at) { return at == 0; }));
  BOOST_TEST(!attempt_until(steady::time_point::max(), [](nanoseconds_t at) { return at != last_deadline; }));
}

BOOST_AUTO_TEST_SUITE_END()
