// SPDX-License-Identifier: BSL-1.0
#include "heddle/wait_group.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <new>
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

BOOST_FIXTURE_TEST_SUITE(wait_group, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(wait_for_nothing_returns_at_once) {
  heddle::wait_group none;
  none.wait();
  heddle::wait_group counted(2);
  counted.done(2);
  counted.wait();
}

BOOST_AUTO_TEST_CASE(waits_for_all_and_sees_what_they_did) {
  for (const auto& s : all_settings) {
    std::vector<int> results(50);
    int sum = 0;
    with_crew(s, [&](crew& c) {
      heddle::wait_group batch;
      for (int i = 0; i < 50; ++i) {
        batch.add();
        c.start([&, i] {
          results[i] = i + 1;  // not atomic: done() and wait() must order it
          batch.done();
        });
      }
      batch.wait();
      for (int r : results) sum += r;
      c.join();
    });
    BOOST_TEST(sum == 50 * 51 / 2, s);
  }
}

BOOST_AUTO_TEST_CASE(releases_every_waiter) {
  for (const auto& s : all_settings) {
    std::atomic<int> released{0};
    with_crew(s, [&](crew& c) {
      heddle::wait_group gate(1);
      for (int i = 0; i < 20; ++i)
        c.start([&] {
          gate.wait();
          ++released;
        });
      heddle::this_fiber::sleep_for(2ms);
      BOOST_TEST(released.load() == 0, s);
      gate.done();
      c.join();
    });
    BOOST_TEST(released.load() == 20, s);
  }
}

BOOST_AUTO_TEST_CASE(can_be_used_again) {
  for (const auto& s : all_settings) {
    const int rounds = s.who == kind::fibers ? 500 : 30;
    int total = 0;
    with_crew(s, [&](crew& c) {
      heddle::wait_group group;
      std::atomic<int> count{0};
      for (int round = 0; round < rounds; ++round) {
        group.add(4);
        for (int i = 0; i < 4; ++i)
          c.start([&] {
            ++count;
            group.done();
          });
        group.wait();
        total += count.exchange(0);
      }
      c.join();
    });
    BOOST_TEST(total == 4 * rounds, s);
  }
}

// Go calls this misuse ("reused before previous Wait has returned"); here a zero releases those who waited for it.
BOOST_AUTO_TEST_CASE(counting_on_right_after_zero_does_not_hold_those_released) {
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::wait_group group(1);
    int released = 0;
    c.start([&] {
      group.wait();
      ++released;
    });
    settle();
    group.done();
    group.add();  // before the waiter has run
    c.start([&] {
      group.wait();
      ++released;
    });
    settle();
    BOOST_TEST(released == 1);
    group.done();
    c.join();
    BOOST_TEST(released == 2);
  });
}

BOOST_AUTO_TEST_CASE(the_count_may_grow_while_somebody_waits) {
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::wait_group group(1);
    bool released = false;
    c.start([&] {
      group.wait();
      released = true;
    });
    settle();
    group.add(2);
    group.done();
    group.done();
    settle();
    BOOST_TEST(!released);
    group.done();
    c.join();
    BOOST_TEST(released);
  });
}

// The last done() must not touch the group once the waiter may run.
BOOST_AUTO_TEST_CASE(may_be_destroyed_as_soon_as_wait_returns) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int round = 0; round < times(s.who == kind::fibers ? 2'000 : 50, 5); ++round) {
        auto group = std::make_unique<heddle::wait_group>(2);
        for (int i = 0; i < 2; ++i) c.start([g = group.get()] { g->done(); });
        group->wait();
      }
    });
}

BOOST_AUTO_TEST_CASE(starts_and_counts_fibers) {
  for (const unsigned procs : {1u, 2u}) {
    std::atomic<int> done{0};
    auto held = std::make_shared<int>(1);
    heddle::run(
        [&] {
          heddle::wait_group batch;
          for (int i = 0; i < 100; ++i)
            batch.go([&, held] {
              heddle::this_fiber::yield();
              done += *held;
            });
          batch.wait();
          BOOST_TEST(done.load() == 100);
          BOOST_TEST(held.use_count() == 1);  // what the work held is gone, too
        },
        {.procs = procs});
  }
}

BOOST_AUTO_TEST_CASE(what_cannot_be_started_is_not_counted) {
  struct heavy {
    heavy() = default;
    heavy(heavy&&) { throw std::bad_alloc(); }
    void operator()() const {}
  };
  heddle::run([] {
    heddle::wait_group batch;
    BOOST_CHECK_THROW(batch.go(heavy()), std::bad_alloc);
    BOOST_TEST(batch.wait_for(0s));
  });
}

BOOST_AUTO_TEST_CASE(gives_up_in_time) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::wait_group group(1);
      std::stop_source stop;
      std::atomic<int> gave_up{0}, released{0};
      c.start([&] { gave_up += !group.wait_for(1ms); });
      c.start([&] { gave_up += !group.wait_until(std::chrono::system_clock::now() + 1ms); });
      c.start([&] { gave_up += !group.wait(stop.get_token()); });
      heddle::this_fiber::sleep_for(2ms);
      stop.request_stop();
      while (gave_up.load() != 3) heddle::this_fiber::sleep_for(100us);
      c.start([&] { released += group.wait_for(1h); });
      c.start([&] { group.wait(), ++released; });
      heddle::this_fiber::sleep_for(1ms);
      group.done();
      c.join();
      BOOST_TEST(released.load() == 2, s);
      BOOST_TEST(group.wait_for(-1s), s);
      BOOST_TEST(group.wait(stop.get_token()), s);
    });
}

// Nobody waits any more when the last done() comes; it must not wait for one who has left, nor touch the group later.
BOOST_AUTO_TEST_CASE(may_be_destroyed_after_waits_that_gave_up) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int round = 0; round < times(s.who == kind::fibers ? 1'000 : 50, 5); ++round) {
        auto group = std::make_unique<heddle::wait_group>(1);
        c.start([g = group.get()] { g->done(); });
        while (!group->wait_for(std::chrono::microseconds(round % 20))) {
        }
      }
    });
}

BOOST_AUTO_TEST_CASE(a_negative_count_is_reported) {
  const auto end = death_of([] {
    heddle::wait_group group(1);
    group.done(2);
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("wait_group 0x"), end.text);
  BOOST_TEST(end.says("negative count: done(2) with a count of 1"), end.text);
}

BOOST_AUTO_TEST_CASE(an_overflow_is_reported) {
  heddle::wait_group most(0xffff'fff0);
  most.add(15);  // 2^32 - 1
  most.done(0xffff'ffff);
  BOOST_TEST(most.wait_for(0s));
  const auto end = death_of([] {
    heddle::wait_group group(0xffff'fff0);
    group.add(16);
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("count overflow: add(16) to a count of 4294967280"), end.text);
}

BOOST_AUTO_TEST_CASE(destruction_while_waited_for_is_reported) {
  const auto end = death_of([] {
    with_crew(one_at_a_time, [](crew& c) {
      heddle::wait_group group(1);
      c.start([&] { group.wait(); });
      settle();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("destroyed while others wait"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
