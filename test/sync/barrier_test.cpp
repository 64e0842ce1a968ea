// SPDX-License-Identifier: BSL-1.0
#include "heddle/barrier.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <stop_token>
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
using heddle::testing::expect;
using heddle::testing::kind;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::with_crew;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(barrier, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(nobody_runs_ahead) {
  for (const auto& s : all_settings) {
    const int rounds = s.who == kind::fibers ? 2'000 : 200;
    std::atomic<int> wrong{0};
    int phase = 0;  // not atomic: written by the completion, read between two phases
    with_crew(s, [&](crew& c) {
      const auto complete = [&]() noexcept { ++phase; };
      heddle::barrier<decltype(complete)> step(5, complete);
      for (int worker = 0; worker < 5; ++worker)
        c.start([&] {
          for (int i = 0; i < rounds; ++i) {
            wrong += phase != i;
            step.arrive_and_wait();
          }
        });
      c.join();
    });
    BOOST_TEST(wrong.load() == 0, s);
    BOOST_TEST(phase == rounds, s);
  }
}

BOOST_AUTO_TEST_CASE(arrival_and_wait_may_be_apart) {
  for (const auto& s : all_settings) {
    std::atomic<int> through{0};
    with_crew(s, [&](crew& c) {
      heddle::barrier<> b(4);
      for (int i = 0; i < 2; ++i)
        c.start([&] {
          auto token = b.arrive();
          heddle::this_fiber::yield();
          b.wait(std::move(token));
          ++through;
        });
      heddle::this_fiber::sleep_for(1ms);
      BOOST_TEST(through.load() == 0, s);
      b.wait(b.arrive(2));
      c.join();
    });
    BOOST_TEST(through.load() == 2, s);
  }
}

BOOST_AUTO_TEST_CASE(those_who_drop_out_are_not_waited_for) {
  for (const auto& s : all_settings) {
    std::atomic<int> phases{0};
    with_crew(s, [&](crew& c) {
      const auto complete = [&]() noexcept { ++phases; };
      heddle::barrier<decltype(complete)> b(4, complete);
      for (int worker = 0; worker < 4; ++worker)
        c.start([&, worker] {
          for (int i = 0; i < worker * 10; ++i) b.arrive_and_wait();
          b.arrive_and_drop();
        });
      c.join();
    });
    BOOST_TEST(phases.load() == 31, s);
  }
}

// The completion holds no lock, and runs on the last to arrive.
BOOST_AUTO_TEST_CASE(the_completion_may_block_its_fiber) {
  with_crew({kind::fibers, 1}, [&](crew& c) {
    bool slept = false;
    const auto complete = [&]() noexcept {
      heddle::this_fiber::sleep_for(2ms);
      slept = true;
    };
    heddle::barrier<decltype(complete)> b(3, complete);
    std::atomic<int> right{0};
    for (int i = 0; i < 3; ++i)
      c.start([&] {
        auto token = b.arrive();
        b.wait(std::move(token));
        right += slept;
      });
    c.join();
    BOOST_TEST(right == 3);
  });
}

BOOST_AUTO_TEST_CASE(a_token_can_be_waited_for_again) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::barrier<> b(2);
      std::atomic<int> through{0};
      c.start([&] {
        auto token = b.arrive();
        std::stop_source stop;
        BOOST_CHECK(!b.wait_for(token, 1ms));
        BOOST_CHECK(!b.wait_until(token, std::chrono::system_clock::now() + 1ms));
        stop.request_stop();
        BOOST_CHECK(!b.wait(token, stop.get_token()));
        ++through;
        BOOST_CHECK(b.wait_for(token, 1h));
        BOOST_CHECK(b.wait(token, stop.get_token()));  // ended: that wins
        b.wait(std::move(token));
        ++through;
      });
      while (through.load() != 1) heddle::this_fiber::sleep_for(100us);
      b.arrive_and_wait();
      c.join();
      BOOST_TEST(through.load() == 2, s);
    });
}

BOOST_AUTO_TEST_CASE(may_be_destroyed_when_all_waits_have_returned) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int round = 0; round < (s.who == kind::fibers ? 500 : 50); ++round) {
        auto b = std::make_unique<heddle::barrier<>>(2);
        c.start([p = b.get()] { (void)p->arrive(); });  // the last one, perhaps
        auto token = b->arrive();
        while (!b->wait_for(token, std::chrono::microseconds(round % 20))) {
        }
      }
    });
}

BOOST_AUTO_TEST_CASE(may_be_destroyed_after_waits_that_gave_up) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::barrier<> b(3);
      for (int i = 0; i < 2; ++i)
        c.start([&] {
          const auto token = b.arrive();
          expect(!b.wait_for(token, 1ms));
        });
      c.join();
    });
}

BOOST_AUTO_TEST_CASE(too_many_arrivals_are_reported) {
  const auto end = death_of([] {
    heddle::barrier<> b(2);
    (void)b.arrive(3);
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("barrier 0x"), end.text);
  BOOST_TEST(end.says("arrive(3) with 2 arrivals missing"), end.text);
  const auto none = death_of([] {
    heddle::barrier<> b(2);
    (void)b.arrive(0);
  });
  BOOST_TEST(none.says("arrive(0) with 2 arrivals missing"), none.text);
  BOOST_TEST(death_of([] { heddle::barrier<> b(-1); }).says("below 0"));
}

BOOST_AUTO_TEST_CASE(destruction_while_waited_for_is_reported) {
  const auto end = death_of([] {
    with_crew(one_at_a_time, [](crew& c) {
      heddle::barrier<> b(2);
      c.start([&] { b.arrive_and_wait(); });
      settle();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("destroyed while others wait"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
