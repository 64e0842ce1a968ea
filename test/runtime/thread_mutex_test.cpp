// SPDX-License-Identifier: BSL-1.0
//
// The lock of kernel threads: it excludes, and in builds with HEDDLE_LOCK_RANKS the order of locks is checked. Its
// wakeups are proven in test/model/sync_test.cpp.
#include "heddle/detail/thread_mutex.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <thread>

#include "support/death.hpp"
#include "support/scale.hpp"

namespace {

using heddle::detail::lock_rank;
using heddle::detail::thread_lock;
using heddle::detail::thread_mutex;
using heddle::testing::death_of;
using heddle::testing::times;

#if defined(HEDDLE_LOCK_RANKS) && HEDDLE_LOCK_RANKS
constexpr bool ranks_are_checked = true;
#else
constexpr bool ranks_are_checked = false;
#endif

void take_both(lock_rank outer, lock_rank inner) {
  thread_mutex a(outer);
  thread_mutex b(inner);
  const thread_lock first(a);
  const thread_lock second(b);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(thread_mutex_of_kernel_threads)

BOOST_AUTO_TEST_CASE(one_at_a_time) {
  thread_mutex m;
  long count = 0;
  const int n = times(200'000);
  std::array<std::thread, 4> all;
  for (std::thread& t : all)
    t = std::thread([&] {
      for (int i = 0; i != n; ++i) {
        const thread_lock hold(m);
        ++count;
      }
    });
  for (std::thread& t : all) t.join();
  BOOST_TEST(count == 4L * n);
  const thread_lock hold(m);
  std::thread([&] {
    if (m.try_lock()) {
      BOOST_ERROR("locked by two");
      m.unlock();
    }
  }).join();
}

BOOST_AUTO_TEST_CASE(ranks_in_order) {
  take_both(lock_rank::primitive, lock_rank::primitive);
  take_both(lock_rank::primitive, lock_rank::scheduler);
  take_both(lock_rank::scheduler, lock_rank::handoff);
  take_both(lock_rank::scheduler, lock_rank::pool);
}

BOOST_AUTO_TEST_CASE(ranks_out_of_order_end_the_process, *boost::unit_test::enable_if<ranks_are_checked>()) {
  const auto against = death_of([] { take_both(lock_rank::pool, lock_rank::scheduler); });
  BOOST_TEST(against.signal == SIGABRT);
  BOOST_TEST(against.says("a lock of rank scheduler is taken under one of rank pool"));
  const auto twice = death_of([] { take_both(lock_rank::scheduler, lock_rank::scheduler); });
  BOOST_TEST(twice.signal == SIGABRT);
  BOOST_TEST(twice.says("a lock of rank scheduler is taken under one of rank scheduler"));
}

BOOST_AUTO_TEST_SUITE_END()
