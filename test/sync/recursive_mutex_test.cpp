// SPDX-License-Identifier: BSL-1.0
#include "heddle/recursive_mutex.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <thread>

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
using heddle::testing::kind;
using heddle::testing::time_of;
using heddle::testing::times;
using heddle::testing::with_crew;

static_assert(heddle::testing::stop_lockable<heddle::recursive_mutex>);
static_assert(heddle::testing::timed_lockable<heddle::recursive_timed_mutex>);
static_assert(heddle::testing::stop_lockable<heddle::recursive_timed_mutex>);
constinit heddle::recursive_mutex usable_before_main;

template <class M>
int descend(M& m, int depth) {
  const std::lock_guard hold(m);
  return depth == 0 ? 0 : 1 + descend(m, depth - 1);
}

/// Whether another thread finds it free.
template <class M>
bool free_for_others(M& m) {
  bool free = false;
  std::thread([&] {
    free = m.try_lock();
    if (free) m.unlock();
  }).join();
  return free;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(recursive_mutex, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(is_free_when_unlocked_as_often) {
  heddle::recursive_mutex& m = usable_before_main;
  m.lock();
  BOOST_TEST(m.try_lock());
  BOOST_TEST(m.lock(std::stop_token()));
  m.unlock();
  m.unlock();
  BOOST_TEST(!free_for_others(m));
  m.unlock();
  BOOST_TEST(free_for_others(m));
}

BOOST_AUTO_TEST_CASE(is_lockable_for_std) {
  heddle::recursive_mutex a;
  heddle::recursive_timed_mutex b;
  const std::scoped_lock both(a, b);
  const std::scoped_lock again(b, a);
  const std::unique_lock third(b, 1ms);
  BOOST_TEST(third.owns_lock());
  std::unique_lock fourth(b, std::defer_lock);
  BOOST_TEST(fourth.try_lock_until(std::chrono::system_clock::now()));
}

BOOST_AUTO_TEST_CASE(keeps_others_out) {
  for (const auto& s : all_settings) {
    heddle::recursive_mutex m;
    long count = 0;
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 8; ++worker)
        c.start([&] {
          for (int i = 0; i < times(1'000); ++i) {
            const std::lock_guard outer(m);
            count += descend(m, 3);
            if (i % 16 == 0) heddle::this_fiber::yield();
          }
        });
    });
    BOOST_TEST(count == 8L * 3 * times(1'000), s);
  }
}

// Two fibers on one thread are two owners; a fiber that moves is one.
BOOST_AUTO_TEST_CASE(the_owner_is_the_fiber) {
  heddle::recursive_mutex m;
  bool other_locked = true, moved = false, locked_again = false;
  std::atomic<bool> stop{false};
  with_crew({kind::fibers, 1}, [&](crew& c) {
    m.lock();
    c.start([&] { other_locked = m.try_lock(); });
    c.join();
    m.unlock();
  });
  BOOST_TEST(!other_locked);
  with_crew({kind::fibers, 2}, [&](crew& c) {
    for (int i = 0; i < 2; ++i)
      c.start([&] {
        while (!stop.load()) heddle::this_fiber::yield();
      });
    c.start([&] {
      m.lock();
      moved = heddle::testing::move_to_another_thread();
      locked_again = m.try_lock();
      m.unlock();
      m.unlock();
      stop = true;
    });
  });
  BOOST_TEST(moved);
  BOOST_TEST(locked_again);
  BOOST_TEST(free_for_others(m));
}

BOOST_AUTO_TEST_CASE(waits_with_bounds_end) {
  for (const auto& s : all_settings) {
    heddle::recursive_timed_mutex m;
    std::stop_source stop;
    std::atomic<int> got{0}, early{0};
    with_crew(s, [&](crew& c) {
      const std::lock_guard hold(m);
      for (int waiter = 0; waiter < 4; ++waiter)
        c.start([&, waiter] {
          if (waiter < 2) {
            const auto took = time_of([&] {
              got += waiter ? m.try_lock_for(10ms) : m.try_lock_until(std::chrono::steady_clock::now() + 10ms);
            });
            early += took < 10ms;
          } else {
            got += m.lock(stop.get_token());
          }
        });
      heddle::this_fiber::sleep_for(5ms);
      stop.request_stop();
      c.join();
    });
    BOOST_TEST(got.load() == 0, s);
    BOOST_TEST(early.load() == 0, s);
    BOOST_TEST(free_for_others(m), s);
  }
}

BOOST_AUTO_TEST_CASE(too_deep_is_an_error) {
  heddle::recursive_timed_mutex m;
  for (std::uint32_t i = 0; i < m.max_depth; ++i) m.lock();
  BOOST_CHECK_EXCEPTION(m.lock(), std::system_error, [](const std::system_error& e) {
    return e.code() == std::errc::resource_unavailable_try_again;
  });
  BOOST_CHECK_THROW((void)m.lock(std::stop_token()), std::system_error);
  BOOST_TEST(!m.try_lock());
  BOOST_TEST(!m.try_lock_for(1ms));
  for (std::uint32_t i = 0; i < m.max_depth; ++i) m.unlock();
  BOOST_TEST(free_for_others(m));
}

BOOST_AUTO_TEST_CASE(unlock_by_another_is_reported) {
  const auto by_thread = death_of([] {
    heddle::recursive_mutex m;
    m.lock();
    std::thread([&] { m.unlock(); }).join();
  });
  BOOST_TEST(by_thread.signal == SIGABRT);
  BOOST_TEST(by_thread.says("heddle: recursive_mutex 0x"), by_thread.text);
  BOOST_TEST(by_thread.says("by one who does not own it"), by_thread.text);
  const auto by_fiber = death_of([] {
    heddle::run(
        [] {
          heddle::recursive_timed_mutex m;
          m.lock();
          heddle::spawn([&] { m.unlock(); }).join();
        },
        {.procs = 1});
  });
  BOOST_TEST(by_fiber.signal == SIGABRT);
  BOOST_TEST(by_fiber.says("heddle: recursive_timed_mutex 0x"), by_fiber.text);
}

BOOST_AUTO_TEST_CASE(unlock_too_often_is_reported) {
  const auto end = death_of([] {
    heddle::recursive_mutex m;
    m.lock();
    m.unlock();
    m.unlock();
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("unlock() of a mutex that is not locked"), end.text);
}

BOOST_AUTO_TEST_CASE(destruction_while_owned_is_reported) {
  const auto end = death_of([] {
    heddle::recursive_timed_mutex m;
    m.lock();
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("heddle: recursive_timed_mutex 0x"), end.text);
  BOOST_TEST(end.says("destroyed while locked"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
