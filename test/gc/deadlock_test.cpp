// SPDX-License-Identifier: BSL-1.0
//
// The collector's threads are no threads that could wake somebody, while they sleep.
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>

#include "heddle/gc.hpp"
#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::death_of;
using heddle::testing::make_list;
using heddle::testing::witness;

struct ends {
  gc::ptr<ends> next;
  ~ends() { count = 1; }
  static inline std::atomic<int> count{0};
};

[[gnu::noinline]] void make_one_that_ends() { gc::make<ends>(); }

void wait_in_vain() { (void)heddle::channel<int>().receive(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(deadlock_with_a_collector)

BOOST_AUTO_TEST_CASE(is_reported_after_a_cycle) {
  const auto end = death_of([] {
    heddle::run([] {
      gc::collect();
      wait_in_vain();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("all fibers are asleep"));
}

// The monitor has looked, and sleeps for good, before the cycle is over.
BOOST_AUTO_TEST_CASE(is_reported_when_a_cycle_ends_after_all_wait) {
  const auto end = death_of([] {
    const gc::root<witness> list(make_list(6'000'000));  // a cycle takes longer than the monitor waits
    gc::set_percent(20);
    gc::collect();
    heddle::run([] {
      const gc::statistics_values then = gc::statistics();
      for (gc::statistics_values now = then;
           then.live_bytes + now.allocated_bytes - then.allocated_bytes < then.goal_bytes && now.cycles == then.cycles;
           now = gc::statistics())
        for (int i = 0; i != 1000; ++i) gc::make<witness>();
      wait_in_vain();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("all fibers are asleep"));
}

BOOST_AUTO_TEST_CASE(is_reported_beside_the_thread_of_destructors) {
  const auto end = death_of([] {
    for (int i = 0; i != 1000 && ends::count == 0; ++i) {
      make_one_that_ends();
      gc::collect();
    }
    if (ends::count == 0) ::_exit(3);
    heddle::run(wait_in_vain);
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("all fibers are asleep"));
}

BOOST_AUTO_TEST_CASE(is_none_while_a_cycle_is_under_way) {
  const auto end = death_of([] {
    const gc::root<witness> list(make_list(1'000'000));
    heddle::run([] {
      for (int i = 0; i != 5; ++i) gc::collect();  // nothing else runs meanwhile
    });
  });
  BOOST_TEST(end.signal == 0);
  BOOST_TEST(end.status == 0);
  BOOST_TEST(!end.says("asleep"));
}

BOOST_AUTO_TEST_CASE(a_process_that_nobody_is_left_in_ends) {
  const auto end = heddle::testing::death_of_program(LEFT_SUBJECT, "");
  BOOST_TEST(end.signal == 0);
  BOOST_TEST(end.status == 0);
}

BOOST_AUTO_TEST_SUITE_END()
