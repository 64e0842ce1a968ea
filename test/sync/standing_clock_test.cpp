// SPDX-License-Identifier: BSL-1.0
//
// Waits by a clock that stands still, or ticks seldom: they see what happens meanwhile, and let others run.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>

#include "heddle/heddle.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;

/// Stands still 1 ns before `soon`, for so many looks at it that no right wait takes them.
struct standing_clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<standing_clock>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  static constexpr int most_looks = 5'000;

  static time_point now() {
    const int look = ++looks;
    if (look == 3 && at_third_look) at_third_look();
    return time_point(look < most_looks ? 999ns : 1000ns);
  }
  static void reset() {
    looks = 0;
    at_third_look = {};
  }
  static inline std::atomic<int> looks{0};
  static inline std::function<void()> at_third_look;
};
constexpr standing_clock::time_point soon(1000ns);

constexpr auto late = 20s;

/// One processor, and nobody who would take it from a fiber that does not let go.
void on_one_processor(const std::function<void()>& f) {
  standing_clock::reset();
  heddle::run(f, {.procs = 1, .monitor = false});
  BOOST_TEST(standing_clock::looks < standing_clock::most_looks);
}

/// The third look at the clock comes when one wait is over and the next has not begun.
template <class Mutex, class Condition>
void notified_between_two_looks() {
  Mutex m;
  Condition changed;
  bool flag = false;
  std::unique_lock lock(m);
  standing_clock::at_third_look = [&] {
    flag = true;
    changed.notify_all();
  };
  BOOST_TEST(changed.wait_until(lock, soon, [&] { return flag; }));
  BOOST_TEST(lock.owns_lock());
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(standing_clock_waits, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(a_notify_between_two_looks_is_seen) {
  on_one_processor(notified_between_two_looks<heddle::mutex, heddle::condition_variable>);
  on_one_processor(notified_between_two_looks<heddle::mutex, heddle::condition_variable_any>);
}

BOOST_AUTO_TEST_CASE(a_notify_between_two_looks_is_seen_with_a_stop_token) {
  on_one_processor([] {
    heddle::mutex m;
    heddle::condition_variable changed;
    bool flag = false;
    std::unique_lock lock(m);
    const std::stop_source never;
    standing_clock::at_third_look = [&] {
      flag = true;
      changed.notify_all();
    };
    BOOST_TEST(changed.wait_until(lock, never.get_token(), soon, [&] { return flag; }));
  });
}

BOOST_AUTO_TEST_CASE(without_a_predicate_the_wake_is_a_spurious_one) {
  on_one_processor([] {
    heddle::mutex m;
    heddle::condition_variable changed;
    std::unique_lock lock(m);
    BOOST_CHECK(changed.wait_until(lock, soon) == std::cv_status::no_timeout);
  });
}

BOOST_AUTO_TEST_CASE(select_looks_at_its_channels) {
  on_one_processor([] {
    heddle::channel<int> c;
    auto chosen = heddle::spawn([&] {
      std::optional<int> got;
      const auto i =
          heddle::select(heddle::on_receive(c, [&](std::optional<int> v) { got = v; }), heddle::on_deadline(soon));
      BOOST_TEST(i == 0u);
      BOOST_CHECK(got == 7);
    });
    heddle::this_fiber::yield();
    BOOST_TEST(c.send_for(7, late));
    chosen.join();
  });
}

BOOST_AUTO_TEST_CASE(a_channel_is_looked_at) {
  on_one_processor([] {
    heddle::channel<int> c;
    auto received = heddle::spawn([&] { return c.receive_until(soon).value_or(0); });
    heddle::this_fiber::yield();
    BOOST_TEST(c.send_for(7, late));
    BOOST_TEST(received.join() == 7);
  });
}

BOOST_AUTO_TEST_CASE(a_sleep_that_is_over_yields_with_a_stop_token_too) {
  const std::stop_source never;
  const std::stop_token token = never.get_token();
  const std::function<bool()> sleeps[] = {
      [&] { return heddle::this_fiber::sleep_for(0ns, token); },
      [&] { return heddle::this_fiber::sleep_for(-1h, token); },
      [&] { return heddle::this_fiber::sleep_until(std::chrono::steady_clock::now() - 1s, token); }};
  for (const auto& sleep : sleeps)
    on_one_processor([&] {
      bool ran = false;
      auto other = heddle::spawn([&] { ran = true; });
      BOOST_TEST(sleep());
      BOOST_TEST(ran);
      other.join();
    });
}

BOOST_AUTO_TEST_CASE(a_sleep_that_was_stopped_returns_at_once) {
  on_one_processor([] {
    std::stop_source stopped;
    stopped.request_stop();
    bool ran = false;
    auto other = heddle::spawn([&] { ran = true; });
    BOOST_TEST(!heddle::this_fiber::sleep_for(0ns, stopped.get_token()));
    BOOST_TEST(!ran);
    other.join();
  });
}

BOOST_AUTO_TEST_SUITE_END()
