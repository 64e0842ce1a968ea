// SPDX-License-Identifier: BSL-1.0
//
// Waiting for a lock for readers and writers that may end before it is locked: by a deadline, or by a stop request.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <stop_token>

#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/shared_mutex.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/lockable.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::is_free;
using heddle::testing::late;
using heddle::testing::time_of;
using heddle::testing::times;
using heddle::testing::with_crew;

static_assert(heddle::testing::shared_timed_lockable<heddle::shared_timed_mutex>);
static_assert(heddle::testing::stop_lockable<heddle::shared_timed_mutex>);
static_assert(sizeof(heddle::shared_timed_mutex) == sizeof(heddle::shared_mutex));

}  // namespace

BOOST_FIXTURE_TEST_SUITE(shared_timed_mutex, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(one_that_is_free_is_locked_whatever_the_deadline) {
  heddle::shared_timed_mutex m;
  BOOST_TEST(m.try_lock_for(-1h));
  BOOST_TEST(time_of([&] { BOOST_TEST(!m.try_lock_for(-1h)); }) < late);
  BOOST_TEST(time_of([&] { BOOST_TEST(!m.try_lock_shared_until(std::chrono::steady_clock::time_point::min())); }) <
             late);
  m.unlock();
  BOOST_TEST(m.try_lock_shared_for(-1h));
  BOOST_TEST(m.try_lock_shared_for(std::chrono::hours::max()));
  m.unlock_shared();
  m.unlock_shared();
  BOOST_TEST(is_free(m));
}

BOOST_AUTO_TEST_CASE(deadlines_pass_neither_early_nor_late) {
  for (const auto& s : all_settings) {
    heddle::shared_timed_mutex m;
    std::atomic<int> early{0}, too_late{0}, got{0};
    for (const bool by_writer : {true, false}) {
      with_crew(s, [&](crew& c) {
        by_writer ? m.lock() : m.lock_shared();
        for (int waiter = 0; waiter < 6; ++waiter)
          c.start([&, waiter] {
            const auto wanted = 5ms + waiter * 1ms;
            bool locked = false;
            const auto took = time_of(
                [&] { locked = waiter % 2 && by_writer ? m.try_lock_shared_for(wanted) : m.try_lock_for(wanted); });
            got += locked;
            early += took < wanted;
            too_late += took > wanted + late;
          });
        c.join();
        by_writer ? m.unlock() : m.unlock_shared();
      });
      BOOST_TEST(is_free(m), s);
    }
    BOOST_TEST(got.load() == 0, s);
    BOOST_TEST(early.load() == 0, s);
    BOOST_TEST(too_late.load() == 0, s);
  }
}

// The reader inside leaves only when the others have read, too, and they wait because of the writer alone.
BOOST_AUTO_TEST_CASE(a_writer_that_gives_up_lets_the_readers_in) {
  for (const auto& s : all_settings)
    for (const bool by_stop : {false, true}) {
      heddle::shared_timed_mutex m;
      std::stop_source stop;
      std::atomic<int> read{0}, written{0};
      std::atomic<bool> ended{false};
      const auto writer_waits = [&] {
        if (!m.try_lock_shared()) return true;
        m.unlock_shared();
        return false;
      };
      with_crew(s, [&](crew& c) {
        m.lock_shared();
        c.start([&] {
          written += by_stop ? m.lock(stop.get_token()) : m.try_lock_for(10ms);
          ended = true;
        });
        while (!ended && !writer_waits()) heddle::this_fiber::yield();
        for (int reader = 0; reader < 3; ++reader)
          c.start([&] {
            const std::shared_lock hold(m);
            ++read;
          });
        heddle::this_fiber::sleep_for(2ms);
        stop.request_stop();
        while (read.load() < 3 || !ended) heddle::this_fiber::sleep_for(100us);
        m.unlock_shared();
      });
      BOOST_TEST(written.load() == 0, s);
      BOOST_TEST(is_free(m), s);
    }
}

BOOST_AUTO_TEST_CASE(a_stop_request_wakes) {
  for (const auto& s : all_settings) {
    heddle::shared_mutex m;
    std::stop_source stop;
    std::atomic<int> got{0}, ended{0};
    with_crew(s, [&](crew& c) {
      m.lock();
      for (int waiter = 0; waiter < 4; ++waiter)
        c.start([&, waiter] {
          got += waiter % 2 ? m.lock(stop.get_token()) : m.lock_shared(stop.get_token());
          ++ended;
        });
      heddle::this_fiber::sleep_for(5ms);
      BOOST_TEST(ended.load() == 0, s);
      stop.request_stop();
      c.join();
      BOOST_TEST(!m.lock(stop.get_token()), s);  // requested before
      BOOST_TEST(!m.lock_shared(stop.get_token()), s);
      m.unlock();
      BOOST_TEST(m.lock_shared(stop.get_token()), s);  // but nothing is in the way
      m.unlock_shared();
      BOOST_TEST(m.lock(stop.get_token()), s);
      m.unlock();
    });
    BOOST_TEST(got.load() == 0, s);
  }
}

// Everything at once, with deadlines that meet the unlocks; those who wait without bounds get through.
BOOST_AUTO_TEST_CASE(giving_up_loses_no_wake_up) {
  for (const auto& s : all_settings) {
    heddle::shared_timed_mutex m;
    long count = 0;
    std::atomic<long> written{0}, seen{0};
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 8; ++worker)
        c.start([&, worker] {
          for (int i = 0; i < times(400); ++i) {
            const auto patience = (worker * 7 + i) % 60 * 1us;
            const bool bounded = worker % 4 != 0;
            if (i % 3 == 0) {
              if (bounded ? !m.try_lock_for(patience) : (m.lock(), false)) continue;
              ++count;
              ++written;
              if (i % 8 == 0) heddle::this_fiber::yield();
              m.unlock();
            } else {
              if (bounded ? !m.try_lock_shared_for(patience) : (m.lock_shared(), false)) continue;
              seen += count;
              if (i % 32 == 0) heddle::this_fiber::sleep_for(50us);
              m.unlock_shared();
            }
          }
        });
    });
    BOOST_TEST(count == written.load(), s);
    BOOST_TEST(is_free(m), s);
  }
}

BOOST_AUTO_TEST_SUITE_END()
