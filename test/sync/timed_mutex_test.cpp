// SPDX-License-Identifier: BSL-1.0
//
// Waiting for a mutex that may end before it is locked: by a deadline, or by a stop request.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <mutex>
#include <stop_token>
#include <vector>

#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/lockable.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::kind;
using heddle::testing::late;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::time_of;
using heddle::testing::times;
using heddle::testing::with_crew;
using clock = std::chrono::steady_clock;

static_assert(heddle::testing::timed_lockable<heddle::timed_mutex>);
static_assert(heddle::testing::stop_lockable<heddle::timed_mutex>);
static_assert(heddle::testing::stop_lockable<heddle::mutex>);
static_assert(!heddle::testing::timed_lockable<heddle::mutex>);
static_assert(sizeof(heddle::timed_mutex) == sizeof(heddle::mutex));
constinit heddle::timed_mutex usable_before_main;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(timed_mutex, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(is_timed_lockable_for_std) {
  heddle::timed_mutex& m = usable_before_main;
  {
    const std::unique_lock hold(m, 5ms);
    BOOST_TEST(hold.owns_lock());
    std::unique_lock second(m, 1ms);
    BOOST_TEST(!second.owns_lock());
    BOOST_TEST(!second.try_lock_until(clock::now() + 1ms));
    BOOST_TEST(!second.try_lock_until(std::chrono::system_clock::now() + 1ms));
  }
  heddle::timed_mutex other;
  const std::scoped_lock both(m, other);
}

BOOST_AUTO_TEST_CASE(a_free_one_is_locked_whatever_the_deadline) {
  heddle::timed_mutex m;
  BOOST_TEST(m.try_lock_for(-1h));
  BOOST_TEST(time_of([&] { BOOST_TEST(!m.try_lock_for(-1h)); }) < late);
  BOOST_TEST(time_of([&] { BOOST_TEST(!m.try_lock_until(clock::time_point::min())); }) < late);
  m.unlock();
  BOOST_TEST(m.try_lock_until(clock::time_point{}));
  m.unlock();
  BOOST_TEST(m.try_lock_for(std::chrono::hours::max()));
  m.unlock();
}

BOOST_AUTO_TEST_CASE(deadlines_pass_neither_early_nor_late) {
  for (const auto& s : all_settings) {
    heddle::timed_mutex m;
    std::atomic<int> early{0}, too_late{0}, got{0};
    with_crew(s, [&](crew& c) {
      m.lock();
      for (int waiter = 0; waiter < 6; ++waiter)
        c.start([&, waiter] {
          const auto wanted = 5ms + waiter * 2ms;
          bool locked = false;
          const auto took = time_of([&] {
            locked = waiter % 2 ? m.try_lock_for(wanted) : m.try_lock_until(std::chrono::system_clock::now() + wanted);
          });
          got += locked;
          early += took < wanted - (waiter % 2 ? 0ms : 1ms);  // that clock is another
          too_late += took > wanted + late;
        });
      c.join();
      m.unlock();
    });
    BOOST_TEST(got.load() == 0, s);
    BOOST_TEST(early.load() == 0, s);
    BOOST_TEST(too_late.load() == 0, s);
    BOOST_TEST(m.try_lock(), s);
    m.unlock();
  }
}

BOOST_AUTO_TEST_CASE(unlock_in_time_is_a_success) {
  for (const auto& s : all_settings) {
    heddle::timed_mutex m;
    std::atomic<int> got{0};
    with_crew(s, [&](crew& c) {
      m.lock();
      for (int waiter = 0; waiter < 4; ++waiter)
        c.start([&] {
          if (!m.try_lock_for(1h)) return;
          ++got;
          m.unlock();
        });
      heddle::this_fiber::sleep_for(5ms);
      m.unlock();
    });
    BOOST_TEST(got.load() == 4, s);
  }
}

BOOST_AUTO_TEST_CASE(a_stop_request_wakes) {
  for (const auto& s : all_settings) {
    heddle::mutex m;
    std::stop_source stop;
    std::atomic<int> got{0}, ended{0};
    with_crew(s, [&](crew& c) {
      m.lock();
      for (int waiter = 0; waiter < 4; ++waiter)
        c.start([&] {
          got += m.lock(stop.get_token());
          ++ended;
        });
      heddle::this_fiber::sleep_for(5ms);
      BOOST_TEST(ended.load() == 0, s);
      stop.request_stop();
      c.join();
      BOOST_TEST(!m.lock(stop.get_token()), s);  // requested before
      m.unlock();
      BOOST_TEST(m.lock(stop.get_token()), s);  // but it is free
      m.unlock();
    });
    BOOST_TEST(got.load() == 0, s);
    BOOST_TEST(ended.load() == 4, s);
  }
}

BOOST_AUTO_TEST_CASE(a_stop_that_does_not_come_changes_nothing) {
  for (const auto& s : all_settings) {
    heddle::mutex m;
    std::stop_source stop;
    long count = 0;
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 6; ++worker)
        c.start([&] {
          for (int i = 0; i < times(2'000); ++i) {
            if (!m.lock(i % 2 ? stop.get_token() : std::stop_token())) continue;
            ++count;
            m.unlock();
          }
        });
    });
    BOOST_TEST(count == 6L * times(2'000), s);
  }
}

// Those who gave up are passed over, in the middle and at both ends.
BOOST_AUTO_TEST_CASE(the_order_of_arrival_is_kept_without_those_who_left) {
  std::vector<int> order;
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::timed_mutex m;
    m.lock();
    for (int i = 0; i < 9; ++i) {
      c.start([&, i] {
        if (i % 2) {
          m.lock();
        } else if (!m.try_lock_for(1ms)) {
          return;
        }
        order.push_back(i);
        m.unlock();
      });
      settle();
    }
    heddle::this_fiber::sleep_for(50ms);
    m.unlock();
    c.join();
  });
  BOOST_TEST(order == (std::vector<int>{1, 3, 5, 7}), boost::test_tools::per_element());
}

// Deadlines that meet the unlocks: whoever holds it alone counts, and those who wait without bounds get through.
BOOST_AUTO_TEST_CASE(giving_up_loses_no_wake_up) {
  for (const auto& s : all_settings) {
    heddle::timed_mutex m;
    long count = 0;
    std::atomic<long> got{0};
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 8; ++worker)
        c.start([&, worker] {
          for (int i = 0; i < times(400); ++i) {
            if (worker % 4 == 0) {
              m.lock();
            } else if (!m.try_lock_for((worker * 7 + i) % 60 * 1us)) {
              continue;
            }
            ++got;
            ++count;
            if (i % 8 == 0) heddle::this_fiber::yield();
            if (i % 32 == 0) heddle::this_fiber::sleep_for(50us);
            m.unlock();
          }
        });
    });
    BOOST_TEST(count == got.load(), s);
    BOOST_TEST(m.try_lock(), s);
    m.unlock();
  }
}

// The starvation mode holds for waits with deadlines, too, and these do not keep it up when they leave.
BOOST_AUTO_TEST_CASE(nobody_starves_behind_a_hog) {
  for (const auto& s : all_settings) {
    heddle::timed_mutex m;
    std::atomic<int> served{0}, gave_up{0};
    std::atomic<bool> stop{false};
    with_crew(s, [&](crew& c) {
      for (int hog = 0; hog < 2; ++hog)
        c.start([&] {
          while (!stop.load()) {
            const std::lock_guard guard(m);
            for (const auto until = clock::now() + 50us; clock::now() < until;) {
            }
          }
        });
      for (int waiter = 0; waiter < 4; ++waiter)
        c.start([&, waiter] {
          for (int i = 0; i < 5; ++i) {
            const bool locked = m.try_lock_for(late);
            if (locked) m.unlock();
            if (!locked) ++gave_up;
            if (waiter % 2 && m.try_lock_for(500us)) m.unlock();  // leaves as the one for whom the mode was begun
            if (++served == 4 * 5) stop = true;
          }
        });
    });
    BOOST_TEST(gave_up.load() == 0, s);
    BOOST_TEST(m.try_lock(), s);
    m.unlock();
  }
}

BOOST_AUTO_TEST_CASE(may_be_destroyed_by_the_next_holder) {
  struct shared {
    heddle::timed_mutex m;
    int users = 3;
  };
  for (const auto& s : all_settings)
    for (int round = 0; round < times(s.who == kind::fibers ? 200 : 30); ++round)
      with_crew(s, [&](crew& c) {
        auto* const object = new shared;
        for (int user = 0; user < 3; ++user)
          c.start([object] {
            while (!object->m.try_lock_for(20us)) {
            }
            const bool last = --object->users == 0;
            object->m.unlock();
            if (last) delete object;
          });
      });
}

BOOST_AUTO_TEST_CASE(a_holder_may_move_between_threads) {
  heddle::timed_mutex m;
  bool moved = false;
  std::atomic<bool> stop{false};
  with_crew({kind::fibers, 2}, [&](crew& c) {
    for (int i = 0; i < 2; ++i)
      c.start([&] {
        while (!stop.load()) heddle::this_fiber::yield();
      });
    c.start([&] {
      const std::lock_guard hold(m);
      moved = heddle::testing::move_to_another_thread();
      stop = true;
    });
  });
  BOOST_TEST(moved);
  BOOST_TEST(m.try_lock());
  m.unlock();
}

BOOST_AUTO_TEST_CASE(misuse_is_reported_by_name) {
  const auto unlocked = death_of([] {
    heddle::timed_mutex m;
    m.unlock();
  });
  BOOST_TEST(unlocked.signal == SIGABRT);
  BOOST_TEST(unlocked.says("timed_mutex 0x"), unlocked.text);
  BOOST_TEST(unlocked.says("unlock() of a mutex that is not locked"), unlocked.text);
  const auto destroyed = death_of([] {
    heddle::timed_mutex m;
    m.lock();
  });
  BOOST_TEST(destroyed.signal == SIGABRT);
  BOOST_TEST(destroyed.says("heddle: timed_mutex 0x"), destroyed.text);
  BOOST_TEST(destroyed.says("destroyed while locked"), destroyed.text);
  const auto awaited = death_of([] {
    with_crew(one_at_a_time, [](crew& c) {
      heddle::timed_mutex m;
      m.lock();
      c.start([&] { (void)m.try_lock_for(1h); });
      settle();
    });
  });
  BOOST_TEST(awaited.signal == SIGABRT);
  BOOST_TEST(awaited.says("destroyed while others wait"), awaited.text);
}

BOOST_AUTO_TEST_SUITE_END()
