// SPDX-License-Identifier: BSL-1.0
#include "heddle/once.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::kind;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::with_crew;

constinit heddle::once_flag usable_before_main;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(once, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(calls_once_and_passes_arguments) {
  int sum = 0;
  for (int i = 1; i <= 3; ++i)
    heddle::call_once(
        usable_before_main, [&](int a, std::unique_ptr<int> b) { sum += a + *b; }, i, std::make_unique<int>(10));
  BOOST_TEST(sum == 11);
  heddle::once_flag flag;
  int total = 0;
  const auto add = [](int& to, int n) { to += n; };
  heddle::call_once(flag, add, std::ref(total), 5);
  heddle::call_once(flag, add, std::ref(total), 5);
  BOOST_TEST(total == 5);
}

BOOST_AUTO_TEST_CASE(others_wait_until_it_is_done) {
  for (const auto& s : all_settings) {
    std::atomic<int> calls{0}, seen{0};
    with_crew(s, [&](crew& c) {
      heddle::once_flag flag;
      int value = 0;  // not atomic: the call and the return of the others must be ordered
      for (int i = 0; i < 10; ++i)
        c.start([&] {
          heddle::call_once(flag, [&] {
            ++calls;
            heddle::this_fiber::sleep_for(2ms);
            value = 7;
          });
          seen += value == 7;
        });
      c.join();
    });
    BOOST_TEST(calls.load() == 1, s);
    BOOST_TEST(seen.load() == 10, s);
  }
}

BOOST_AUTO_TEST_CASE(after_an_exception_the_next_caller_tries) {
  for (const auto& s : all_settings) {
    std::atomic<int> calls{0}, thrown{0}, returned{0};
    with_crew(s, [&](crew& c) {
      heddle::once_flag flag;
      for (int i = 0; i < 10; ++i)
        c.start([&] {
          try {
            heddle::call_once(flag, [&] {
              const int n = ++calls;
              heddle::this_fiber::sleep_for(500us);
              if (n <= 4) throw std::runtime_error("not yet");
            });
            ++returned;
          } catch (const std::runtime_error&) {
            ++thrown;
          }
        });
      c.join();
    });
    BOOST_TEST(calls.load() == 5, s);
    BOOST_TEST(thrown.load() == 4, s);
    BOOST_TEST(returned.load() == 6, s);
  }
}

BOOST_AUTO_TEST_CASE(may_be_used_inside_another_call) {
  heddle::once_flag outer, inner;
  int calls = 0;
  heddle::call_once(outer, [&] { heddle::call_once(inner, [&] { ++calls; }); });
  heddle::call_once(inner, [&] { ++calls; });
  BOOST_TEST(calls == 1);
}

// Who has seen the call done may destroy the flag, perhaps while the call is still returning elsewhere.
BOOST_AUTO_TEST_CASE(may_be_destroyed_when_the_call_is_done) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int round = 0; round < (s.who == kind::fibers ? 500 : 30); ++round) {
        auto flag = std::make_unique<heddle::once_flag>();
        std::atomic<bool> begun{false};
        c.start([&, f = flag.get()] { heddle::call_once(*f, [&] { begun = true; }); });
        while (!begun) heddle::this_fiber::sleep_for(1us);
        heddle::call_once(*flag, [] {});
        flag.reset();
        c.join();
      }
    });
}

BOOST_AUTO_TEST_CASE(recursion_is_reported) {
  const auto end = death_of([] {
    heddle::once_flag flag;
    heddle::call_once(flag, [&] { heddle::call_once(flag, [] {}); });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("once_flag 0x"), end.text);
  BOOST_TEST(end.says("inside the call"), end.text);
}

BOOST_AUTO_TEST_CASE(destruction_while_the_call_runs_is_reported) {
  const auto end = death_of([] {
    with_crew(one_at_a_time, [](crew& c) {
      heddle::once_flag flag;
      c.start([&] { heddle::call_once(flag, [] { heddle::this_fiber::sleep_for(1h); }); });
      settle();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("destroyed while its call runs"), end.text);
  const auto awaited = death_of([] {
    with_crew(one_at_a_time, [](crew& c) {
      heddle::once_flag flag;
      for (int i = 0; i < 2; ++i) c.start([&] { heddle::call_once(flag, [] { heddle::this_fiber::sleep_for(1h); }); });
      settle();
    });
  });
  BOOST_TEST(awaited.says("destroyed while its call runs"), awaited.text);
}

BOOST_AUTO_TEST_SUITE_END()
