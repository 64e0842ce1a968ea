// SPDX-License-Identifier: BSL-1.0
#include "heddle/latch.hpp"

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
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::kind;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::times;
using heddle::testing::with_crew;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(latch, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(opens_at_zero) {
  heddle::latch open(0);
  BOOST_TEST(open.try_wait());
  open.wait();
  heddle::latch l(3);
  l.count_down();
  BOOST_TEST(!l.try_wait());
  BOOST_TEST(!l.wait_for(1ms));
  BOOST_TEST(!l.wait_until(std::chrono::system_clock::now() + 1ms));
  l.count_down(0);
  l.count_down(2);
  BOOST_TEST(l.try_wait());
  BOOST_TEST(l.wait_for(-1s));
  l.wait();
}

BOOST_AUTO_TEST_CASE(takes_counts_up_to_the_greatest) {
  heddle::latch l(heddle::latch::max());
  l.count_down(heddle::latch::max() - 3);
  BOOST_TEST(!l.try_wait());
  l.arrive_and_wait(3);  // and does not wait
  BOOST_TEST(l.try_wait());
  BOOST_TEST(death_of([] { heddle::latch beyond(heddle::latch::max() + 1); }).signal == SIGABRT);
}

BOOST_AUTO_TEST_CASE(all_meet) {
  for (const auto& s : all_settings) {
    std::vector<int> done(8);
    std::atomic<int> right{0};
    with_crew(s, [&](crew& c) {
      heddle::latch all(8);
      for (int i = 0; i < 8; ++i)
        c.start([&, i] {
          done[i] = 1;  // not atomic
          all.arrive_and_wait();
          int sum = 0;
          for (int d : done) sum += d;
          right += sum == 8;
        });
      c.join();
    });
    BOOST_TEST(right.load() == 8, s);
  }
}

BOOST_AUTO_TEST_CASE(waits_end_by_stop_or_by_opening) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::latch l(1);
      std::stop_source stop;
      std::atomic<int> opened{0}, stopped{0};
      for (int i = 0; i < 4; ++i) {
        c.start([&] { stopped += !l.wait(stop.get_token()); });
        c.start([&] { opened += l.wait_for(1h); });
      }
      heddle::this_fiber::sleep_for(2ms);
      stop.request_stop();
      while (stopped.load() != 4) heddle::this_fiber::sleep_for(100us);
      l.count_down();
      c.join();
      BOOST_TEST(opened.load() == 4, s);
      BOOST_TEST(l.wait(stop.get_token()), s);
    });
}

BOOST_AUTO_TEST_CASE(may_be_destroyed_as_soon_as_wait_returns) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int round = 0; round < times(s.who == kind::fibers ? 1'000 : 50, 5); ++round) {
        auto l = std::make_unique<heddle::latch>(2);
        for (int i = 0; i < 2; ++i) c.start([p = l.get()] { p->count_down(); });
        while (!l->wait_for(std::chrono::microseconds(round % 20))) {
        }
      }
    });
}

BOOST_AUTO_TEST_CASE(counting_below_zero_is_reported) {
  const auto end = death_of([] {
    heddle::latch l(1);
    l.count_down(2);
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("latch 0x"), end.text);
  BOOST_TEST(end.says("negative count: count_down(2) with a count of 1"), end.text);
  BOOST_TEST(death_of([] { heddle::latch l(-1); }).says("below 0"));
}

BOOST_AUTO_TEST_CASE(destruction_while_waited_for_is_reported) {
  const auto end = death_of([] {
    with_crew(one_at_a_time, [](crew& c) {
      heddle::latch l(1);
      c.start([&] { l.wait(); });
      settle();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("destroyed while others wait"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
