// SPDX-License-Identifier: BSL-1.0
#include "heddle/mutex.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "heddle/fiber.hpp"
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
using heddle::testing::late;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::times;
using heddle::testing::with_crew;
using clock = std::chrono::steady_clock;

static_assert(!std::is_copy_constructible_v<heddle::mutex> && !std::is_move_constructible_v<heddle::mutex>);
static_assert(heddle::testing::lockable<heddle::mutex>);
constinit heddle::mutex usable_before_main;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(mutex, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(try_lock_succeeds_only_when_free) {
  heddle::mutex m;
  BOOST_TEST(m.try_lock());
  BOOST_TEST(!m.try_lock());
  m.unlock();
  BOOST_TEST(m.try_lock());
  m.unlock();
}

BOOST_AUTO_TEST_CASE(is_lockable_for_std) {
  heddle::mutex a;
  {
    const std::lock_guard guard(a);
    const std::scoped_lock both(usable_before_main);
  }
  std::unique_lock late(a, std::defer_lock);
  BOOST_TEST(late.try_lock());
}

BOOST_AUTO_TEST_CASE(keeps_others_out) {
  for (const auto& s : all_settings) {
    heddle::mutex m;
    long count = 0;  // not atomic: two inside at once lose an increment, or TSan sees them
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 8; ++worker)
        c.start([&] {
          for (int i = 0; i < 5'000; ++i) {
            const std::lock_guard guard(m);
            ++count;
          }
        });
    });
    BOOST_TEST(count == 40'000, s);
  }
}

BOOST_AUTO_TEST_CASE(may_be_held_while_the_fiber_is_suspended) {
  for (const auto& s : all_settings) {
    heddle::mutex m;
    int inside = 0, worst = 0;
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 6; ++worker)
        c.start([&] {
          for (int i = 0; i < 200; ++i) {
            const std::lock_guard guard(m);
            worst = std::max(worst, ++inside);
            heddle::this_fiber::yield();
            --inside;
          }
        });
    });
    BOOST_TEST(worst == 1, s);
  }
}

BOOST_AUTO_TEST_CASE(serves_waiters_first_come_first_served) {
  std::vector<int> order;
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::mutex m;
    m.lock();
    for (int i = 0; i < 8; ++i) {
      c.start([&, i] {
        const std::lock_guard guard(m);
        order.push_back(i);
      });
      settle();
    }
    m.unlock();
    c.join();
  });
  BOOST_TEST(order == (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(try_lock_does_not_block_while_others_wait) {
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::mutex m;
    m.lock();
    c.start([&] { const std::lock_guard guard(m); });
    settle();
    BOOST_TEST(!m.try_lock());
    m.unlock();
    c.join();
    BOOST_TEST(m.try_lock());
    m.unlock();
  });
}

// A hog that takes the mutex again at once must hand it to one who has waited a millisecond: without the
// starvation mode the woken waiter finds it locked each time.
BOOST_AUTO_TEST_CASE(nobody_starves_behind_a_hog) {
  for (const auto& s : all_settings) {
    heddle::mutex m;
    std::atomic<int> served{0};
    std::atomic<bool> stop{false};
    std::atomic<long> worst_us{0};
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
        c.start([&] {
          for (int i = 0; i < 5; ++i) {
            const auto start = clock::now();
            const std::lock_guard guard(m);
            const long us = (clock::now() - start) / 1us;
            if (us > worst_us.load()) worst_us = us;
            if (++served == 4 * 5) stop = true;
          }
        });
    });
    BOOST_TEST(served.load() == 20, s);
    BOOST_TEST(worst_us.load() < late / 1us, s);
  }
}

// Without hand-over the holder that locks again at once would find it free each time.
BOOST_AUTO_TEST_CASE(is_handed_to_one_who_has_waited_for_some_milliseconds) {
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::mutex m;
    bool served = false;
    m.lock();
    c.start([&] {
      const std::lock_guard guard(m);
      served = true;
    });
    settle();  // it waits
    for (const auto until = clock::now() + 5ms; clock::now() < until;) {
    }
    m.unlock();  // wakes it
    m.lock();
    settle();  // it has lost, and waits again
    BOOST_TEST(!served);
    m.unlock();  // hands over
    m.lock();
    BOOST_TEST(served);
    m.unlock();
    c.join();
  });
}

// One that was woken and has lost against a holder that locks again at once keeps its place.
BOOST_AUTO_TEST_CASE(behind_a_hog_the_first_stays_the_first) {
  std::vector<int> order;
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::mutex m;
    m.lock();
    for (int i = 0; i < 3; ++i) {
      c.start([&, i] {
        const std::lock_guard guard(m);
        order.push_back(i);
      });
      settle();
    }
    for (int hogs = 0; hogs < 2; ++hogs) {
      m.unlock();  // wakes the first
      m.lock();
      settle();
    }
    m.unlock();
    c.join();
  });
  BOOST_TEST(order == (std::vector<int>{0, 1, 2}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(opposite_orders_do_not_deadlock_with_std_lock) {
  for (const auto& s : all_settings) {
    heddle::mutex a, b;
    int both = 0;
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 4; ++worker)
        c.start([&, worker] {
          for (int i = 0; i < 500; ++i) {
            if (worker % 2) {
              const std::scoped_lock guard(a, b);
              ++both;
            } else {
              const std::scoped_lock guard(b, a);
              ++both;
            }
          }
        });
    });
    BOOST_TEST(both == 2'000, s);
  }
}

// The last one out destroys the mutex, perhaps while the last but one is still inside unlock().
BOOST_AUTO_TEST_CASE(may_be_destroyed_by_the_next_holder) {
  struct shared {
    heddle::mutex m;
    int users = 3;
  };
  for (const auto& s : all_settings) {
    for (int round = 0; round < times(s.who == heddle::testing::kind::fibers ? 300 : 30, 10); ++round)
      with_crew(s, [&](crew& c) {
        auto* const object = new shared;
        for (int user = 0; user < 3; ++user)
          c.start([object] {
            object->m.lock();
            const bool last = --object->users == 0;
            object->m.unlock();
            if (last) delete object;
          });
      });
  }
}

// As a condition variable does: the fiber is off its stack by then, and others may wait for the mutex. unlock() must
// not suspend anybody.
BOOST_AUTO_TEST_CASE(may_be_unlocked_by_a_commit_function) {
  for (const auto& s : all_settings) {
    heddle::mutex m;
    heddle::detail::waiter* asleep = nullptr;
    int turns = 0;
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 4; ++worker)
        c.start([&, worker] {
          for (int i = 0; i < 200; ++i) {
            m.lock();
            ++turns;
            if (worker == 0) {
              heddle::detail::waiter self;
              asleep = &self;
              self.park([](void* mutex) { static_cast<heddle::mutex*>(mutex)->unlock(); }, &m);
              m.lock();
            } else if (asleep != nullptr) {
              std::exchange(asleep, nullptr)->wake();
            }
            m.unlock();
          }
          for (bool last = false; worker == 1 && !last;) {  // sees to the sleeper until that has done
            m.lock();
            if (asleep != nullptr) std::exchange(asleep, nullptr)->wake();
            last = turns == 800;
            m.unlock();
            heddle::this_fiber::yield();
          }
        });
    });
    BOOST_TEST(turns == 800, s);
  }
}

BOOST_AUTO_TEST_CASE(unlock_of_a_free_mutex_is_reported) {
  const auto end = death_of([] {
    heddle::mutex m;
    m.unlock();
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("mutex 0x"), end.text);
  BOOST_TEST(end.says("unlock() of a mutex that is not locked"), end.text);
}

BOOST_AUTO_TEST_CASE(destruction_while_locked_is_reported) {
  const auto end = death_of([] {
    heddle::mutex m;
    m.lock();
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("destroyed while locked"), end.text);
}

BOOST_AUTO_TEST_CASE(destruction_while_waited_for_is_reported) {
  const auto end = death_of([] {
    with_crew(one_at_a_time, [](crew& c) {
      heddle::mutex m;
      m.lock();
      c.start([&] { m.lock(); });
      settle();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("destroyed while others wait"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
