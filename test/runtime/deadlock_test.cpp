// SPDX-License-Identifier: BSL-1.0
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <string>
#include <thread>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

// Outside of the unnamed namespace: the report shows the names of exported functions.
[[gnu::noinline]] void waits_in_vain(heddle::channel<int>& c);
void waits_in_vain(heddle::channel<int>& c) {
  (void)c.receive();
  asm volatile("");
}

namespace {

using namespace std::chrono_literals;
using heddle::testing::death_of;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(deadlock, heddle::testing::leak_check)

// In a forked child ThreadSanitizer has threads of its own that look like the program's.
BOOST_AUTO_TEST_CASE(names_every_fiber_within_a_second,
                     *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  bool in_time = false;
  for (int i = 0; i != 10 && !in_time; ++i) {  // a machine with other things to do delays one, but not all
    const auto start = std::chrono::steady_clock::now();
    const auto end = death_of([] {
      heddle::run([] {
        heddle::channel<int> never;
        heddle::mutex held;
        held.lock();
        heddle::go({.name = "reader"}, [&] { waits_in_vain(never); });
        heddle::go({.name = "locker"}, [&] { held.lock(); });
        waits_in_vain(never);
      });
    });
    in_time = std::chrono::steady_clock::now() - start < 1s || heddle::testing::sanitized;
    BOOST_TEST(end.signal == SIGABRT);
    BOOST_TEST(end.says("all fibers are asleep"));
    BOOST_TEST(end.says("\"reader\""));
    BOOST_TEST(end.says("\"locker\""));
    BOOST_TEST(end.says("\"main\""));
    if (!heddle::testing::sanitized) BOOST_TEST(end.says("waits_in_vain"));
  }
  BOOST_TEST(in_time);
}

BOOST_AUTO_TEST_CASE(on_one_processor_too, *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const auto end = death_of([] { heddle::run([] { heddle::channel<int>().send(1); }, {.procs = 1}); });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("all fibers are asleep"));
}

BOOST_AUTO_TEST_CASE(may_be_left_unreported) {
  const auto end = death_of([] {
    ::alarm(2);  // longer than it takes to see a deadlock, where a machine has nothing else to do
    heddle::run([] { heddle::channel<int>().send(1); }, {.procs = 1, .detect_deadlock = false});
  });
  BOOST_TEST(end.signal == SIGALRM);
  BOOST_TEST(end.text == "");
}

BOOST_AUTO_TEST_CASE(shows_a_hundred_and_counts_the_others,
                     *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const auto end = death_of([] {
    heddle::run(
        [] {
          heddle::channel<int> never;
          auto ended = heddle::spawn(heddle::fiber_options{.name = "ready"}, [] { return 1; });
          heddle::this_fiber::yield();
          for (int i = 0; i != 150; ++i) heddle::go({.name = "one of many"}, [&] { (void)never.receive(); });
          (void)never.receive();
        },
        {.procs = 1});
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("deadlock (151 fibers;"), end.text);  // without the one that has ended
  BOOST_TEST(end.says("... and 52 more"), end.text);
  BOOST_TEST(end.says("\"ready\": ended, not joined"), end.text);
  std::size_t shown = 0;
  for (std::size_t at = 0; (at = end.text.find("\"one of many\": parked", at)) != std::string::npos; ++at) ++shown;
  BOOST_TEST(shown == 98u);  // beside main, and that one
}

BOOST_AUTO_TEST_CASE(shows_who_joins_whom, *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const auto end = death_of([] {
    heddle::run(
        [] {
          heddle::channel<int> never;
          heddle::spawn(heddle::fiber_options{.name = "joined"}, [&] { waits_in_vain(never); }).join();
        },
        {.procs = 1});
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("\"main\": joins a fiber on its own stack"));
  BOOST_TEST(end.says("\"joined\": parked"));
}

BOOST_AUTO_TEST_CASE(is_not_seen_while_something_can_still_wake) {
  heddle::run([] {
    heddle::channel<int> c;
    std::thread plain([&] {
      std::this_thread::sleep_for(300ms);
      c.send(1);
    });
    BOOST_TEST(c.receive().value() == 1);  // a plain thread
    plain.join();
    heddle::go([&] {
      heddle::this_fiber::sleep_for(300ms);
      c.send(2);
    });
    BOOST_TEST(c.receive().value() == 2);  // a timer
    heddle::go([&] {
      heddle::blocking([] { ::usleep(300'000); });
      c.send(3);
    });
    BOOST_TEST(c.receive().value() == 3);  // a blocking call
  });
}

BOOST_AUTO_TEST_CASE(is_not_seen_falsely_under_stress) {
  for (int i = 0; i != heddle::testing::times(50); ++i)
    heddle::run(
        [] {
          heddle::channel<int> there, back;
          auto echo = heddle::spawn([&] {
            for (int n : there) back.send(n);
            back.close();
          });
          for (int n = 0; n != 50; ++n) {
            there.send(n);
            BOOST_REQUIRE(back.receive().value() == n);
            if (n % 10 == 0) heddle::this_fiber::sleep_for(100us);
          }
          there.close();
          echo.join();
        },
        {.procs = 1});
}

BOOST_AUTO_TEST_CASE(may_be_switched_off) {
  const auto end = death_of([] {
    std::thread([] {
      heddle::run([] { (void)heddle::channel<int>().receive(); }, {.detect_deadlock = false});
    }).detach();
    std::this_thread::sleep_for(500ms);
  });
  BOOST_TEST(end.status == 0);
  BOOST_TEST(!end.says("asleep"));
}

BOOST_AUTO_TEST_SUITE_END()
