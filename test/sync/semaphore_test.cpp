// SPDX-License-Identifier: BSL-1.0
#include "heddle/semaphore.hpp"

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

using clock = std::chrono::steady_clock;

static_assert(heddle::binary_semaphore::max() == 1 && heddle::counting_semaphore<7>::max() == 7);
constinit heddle::semaphore usable_before_main(1);

}  // namespace

BOOST_FIXTURE_TEST_SUITE(semaphore, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(counts) {
  heddle::semaphore s(5);
  BOOST_TEST(s.try_acquire(3));
  BOOST_TEST(!s.try_acquire(3));
  BOOST_TEST(s.try_acquire(2));
  BOOST_TEST(!s.try_acquire());
  BOOST_TEST(s.try_acquire(0));
  s.release(2);
  s.acquire();
  s.acquire();
  BOOST_TEST(!s.try_acquire());
  heddle::binary_semaphore b(0);
  BOOST_TEST(!b.try_acquire());
  b.release();
  BOOST_TEST(b.try_acquire_for(0s));
  heddle::counting_semaphore<> c(1);
  c.release(3);
  for (int i = 0; i < 4; ++i) c.acquire();
  BOOST_TEST(!c.try_acquire_until(clock::now() - 1s));
}

BOOST_AUTO_TEST_CASE(limits_how_many_are_inside) {
  for (const auto& s : all_settings) {
    std::atomic<long> weight{0}, worst{0};
    with_crew(s, [&](crew& c) {
      heddle::semaphore room(10);
      for (int worker = 0; worker < 8; ++worker)
        c.start([&, worker] {
          const int n = worker == 0 ? 10 : 1 + worker % 4;
          for (int i = 0; i < 200; ++i) {
            room.acquire(n);
            const long now = weight += n;
            if (now > worst.load()) worst = now;
            heddle::this_fiber::yield();
            weight -= n;
            room.release(n);
          }
        });
      c.join();
      BOOST_TEST(room.try_acquire(10), s);
    });
    BOOST_TEST(worst.load() <= 10, s);
    BOOST_TEST(weight.load() == 0, s);
  }
}

BOOST_AUTO_TEST_CASE(a_binary_one_is_a_lock) {
  for (const auto& s : all_settings) {
    long count = 0;  // not atomic
    with_crew(s, [&](crew& c) {
      heddle::binary_semaphore one(1);
      for (int worker = 0; worker < 6; ++worker)
        c.start([&] {
          for (int i = 0; i < 2'000; ++i) {
            one.acquire();
            ++count;
            one.release();
          }
        });
      c.join();
    });
    BOOST_TEST(count == 12'000, s);
  }
}

BOOST_AUTO_TEST_CASE(a_large_request_is_not_overtaken) {
  std::vector<int> order;
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::semaphore s(1);
    c.start([&] {
      s.acquire(3);
      order.push_back(3);
      s.release(3);
    });
    settle();
    c.start([&] {
      s.acquire(1);
      order.push_back(1);
      s.release(1);
    });
    settle();
    BOOST_TEST(order.empty());
    BOOST_TEST(!s.try_acquire());  // there is one, but others wait
    s.release(1);
    settle();
    BOOST_TEST(order.empty());
    s.release(1);
    c.join();
  });
  BOOST_TEST(order == (std::vector<int>{3, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_binary_one_is_released_to_one_who_waits) {
  with_crew(one_at_a_time, [](crew& c) {
    heddle::binary_semaphore one(0);
    bool has = false;
    c.start([&] {
      one.acquire();
      has = true;
    });
    settle();
    BOOST_TEST(!has);
    one.release();  // as many as its limit says
    c.join();
    BOOST_TEST(has);
    one.release();
    BOOST_TEST(one.try_acquire());
  });
}

BOOST_AUTO_TEST_CASE(a_request_for_nothing_waits_its_turn) {
  with_crew(one_at_a_time, [](crew& c) {
    heddle::semaphore s(1);
    BOOST_TEST(s.try_acquire(0));
    bool passed = false;
    c.start([&] { s.acquire(2); });
    settle();
    BOOST_TEST(!s.try_acquire(0));
    BOOST_TEST(!s.try_acquire_for(0s, 0));
    c.start([&] {
      s.acquire(0);
      passed = true;
    });
    settle();
    BOOST_TEST(!passed);
    s.release();
    c.join();
    BOOST_TEST(passed);
  });
}

BOOST_AUTO_TEST_CASE(one_that_gives_up_lets_those_behind_go) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::semaphore room(1);
      std::atomic<int> got{0}, gave_up{0};
      std::stop_source stop;
      c.start([&] { gave_up += !room.try_acquire_for(10ms, 5); });
      c.start([&] { gave_up += !room.acquire(stop.get_token(), 5); });
      c.start([&] { gave_up += !room.try_acquire_until(std::chrono::system_clock::now() + 10ms, 5); });
      heddle::this_fiber::sleep_for(2ms);
      c.start([&] {
        room.acquire();
        ++got;
      });
      heddle::this_fiber::sleep_for(2ms);
      stop.request_stop();
      c.join();
      BOOST_TEST(got.load() == 1, s);
      BOOST_TEST(gave_up.load() == 3, s);
      room.release(5);
      BOOST_TEST(room.try_acquire(5), s);
    });
}

BOOST_AUTO_TEST_CASE(is_given_permits_in_time) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::counting_semaphore<10> slots(0);
      std::stop_source stop;
      std::atomic<int> got{0};
      for (int i = 0; i < 6; ++i)
        c.start([&, i] {
          got += i % 3 == 0   ? slots.try_acquire_for(1h)
                 : i % 3 == 1 ? slots.acquire(stop.get_token())
                              : slots.try_acquire_until(std::chrono::system_clock::now() + 1h);
        });
      heddle::this_fiber::sleep_for(2ms);
      slots.release(2);
      slots.release(4);
      c.join();
      BOOST_TEST(got.load() == 6, s);
    });
}

BOOST_AUTO_TEST_CASE(no_permit_is_lost_to_timeouts) {
  for (const auto& s : all_settings) {
    std::atomic<int> held{0};
    with_crew(s, [&](crew& c) {
      heddle::semaphore room(0);
      const int rounds = s.who == kind::fibers ? 2'000 : 300;
      for (int worker = 0; worker < 4; ++worker)
        c.start([&, worker] {
          for (int i = 0; i < rounds; ++i)
            if (room.try_acquire_for(std::chrono::microseconds(i % 30), 1 + worker % 2)) held += 1 + worker % 2;
        });
      for (int i = 0; i < rounds; ++i) {
        room.release();
        heddle::this_fiber::yield();
      }
      c.join();
      int left = 0;
      while (room.try_acquire()) ++left;
      BOOST_TEST(held.load() + left == rounds, s);
    });
  }
}

BOOST_AUTO_TEST_CASE(what_is_at_hand_wins_over_a_stop) {
  std::stop_source stop;
  stop.request_stop();
  heddle::semaphore s(1);
  BOOST_TEST(s.acquire(stop.get_token()));
  BOOST_TEST(!s.acquire(stop.get_token()));
}

BOOST_AUTO_TEST_CASE(may_be_destroyed_as_soon_as_it_is_acquired) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int round = 0; round < times(s.who == kind::fibers ? 1'000 : 50, 5); ++round) {
        auto done = std::make_unique<heddle::semaphore>(0);
        c.start([d = done.get()] { d->release(); });
        c.start([d = done.get()] { d->release(); });
        done->acquire(2);
      }
    });
}

BOOST_AUTO_TEST_CASE(too_many_permits_are_reported) {
  const auto end = death_of([] {
    heddle::binary_semaphore s(1);
    s.release();
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("counting_semaphore 0x"), end.text);
  BOOST_TEST(end.says("release(1) with 1 permits free; the limit is 1"), end.text);
  const auto full = death_of([] {
    heddle::semaphore s(heddle::semaphore::max() - 1);
    s.release(2);
  });
  BOOST_TEST(full.says("release(2)"), full.text);
}

BOOST_AUTO_TEST_CASE(negative_numbers_are_reported) {
  const auto end = death_of([] {
    heddle::semaphore s(1);
    s.release(-1);
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("semaphore 0x"), end.text);
  BOOST_TEST(end.says("-1 permits"), end.text);
}

BOOST_AUTO_TEST_CASE(destruction_while_waited_for_is_reported) {
  const auto end = death_of([] {
    with_crew(one_at_a_time, [](crew& c) {
      heddle::semaphore s(0);
      c.start([&] { s.acquire(); });
      settle();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("destroyed while others wait"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
