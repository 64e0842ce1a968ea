// SPDX-License-Identifier: BSL-1.0
//
// Children of forks, in every phase of a cycle: each has the objects as they were, makes others, collects with a thread
// of its own and has its destructors run.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdio>
#include <semaphore>
#include <thread>
#include <vector>

#include "dying.hpp"
#include "heddle/blocking.hpp"
#include "heddle/gc/metrics.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/scale.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using namespace std::chrono_literals;
using heddle::testing::collect_until;
using heddle::testing::collecting;
using heddle::testing::counted;
using heddle::testing::expect;
using heddle::testing::far_below;
using heddle::testing::is_whole_list;
using heddle::testing::make_list;
using heddle::testing::times;
using heddle::testing::witness;

/// Forks; the child ends with status 0 if f() holds, and by SIGALRM if that takes too long.
template <class F>
bool holds_in_child(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::_exit(f() ? 0 : 1);
  }
  int status = -1;
  const bool ended = child > 0 && ::waitpid(child, &status, 0) == child;
  if (status != 0) std::fprintf(stderr, "child %d, ended %d: status 0x%x\n", child, ended, status);
  return ended && status == 0;
}

/// Makes, keeps and loses objects, and collects.
bool goes_on(const witness* before) {
  if (before != nullptr && !is_whole_list(before)) return false;
  const std::uint64_t cycles = gc::statistics().cycles;
  const int alive = counted::alive;
  witness* const list = make_list(500).get();
  far_below([] { gc::make<counted>(); });
  if (!collect_until([&] { return counted::alive == alive; })) return false;
  for (int i = 0; i != 2; ++i) gc::collect();
  return gc::statistics().cycles > cycles && is_whole_list(list) && (before == nullptr || is_whole_list(before));
}

/// A destructor that waits until it is told.
struct slow {
  ~slow() {
    begun.release();
    while (!go_on) std::this_thread::sleep_for(1ms);
  }
  static inline std::binary_semaphore begun{0};
  static inline std::atomic<bool> go_on{false};
};

/// The status of the child that a destructor has forked.
std::atomic<int> result;
/// Dies in that child: ends it with 3 if another destructor is running, and with 0 as the last one.
struct follower {
  ~follower() {
    if (is_inside) ::_exit(3);
    if (--left == 0) ::_exit(0);
  }
  char number = 0;
  static inline std::atomic<bool> is_inside{false};
  static inline std::atomic<int> left{50};
};
/// Forks. In the child it has others become due, and gives whoever could run them time to begin.
struct forking {
  explicit forking(bool ends = false) : ends_in_child(ends) {}
  ~forking() {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);
      follower::is_inside = true;
      far_below([] {
        for (int i = 0; i != 50; ++i) gc::make<follower>();
      });
      for (int i = 0; i != 20; ++i) gc::collect(), std::this_thread::sleep_for(2ms);
      if (gc::statistics().destructors_queued == 0) ::_exit(4);
      follower::is_inside = false;
      if (ends_in_child) ::_exit(0);
      follower::left = 1;  // a stale address may keep one of them: the next ends the child
      return;
    }
    int status = -1;
    result = child > 0 && ::waitpid(child, &status, 0) == child ? status : 1;
  }
  bool ends_in_child;
};

std::chrono::microseconds cpu_time() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return std::chrono::seconds(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         std::chrono::microseconds(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

}  // namespace

/// Before anything else of this program: there is a thread that collects, and no object yet.
BOOST_AUTO_TEST_CASE(before_the_first_object) {
  gc::collect();
  BOOST_TEST(holds_in_child([] { return goes_on(nullptr); }));
}

BOOST_FIXTURE_TEST_SUITE(forks, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(from_threads_that_the_collector_knows) {
  witness* const list = make_list(1000).get();
  const collecting all_the_time;
  for (int i = 0; i != times(12); ++i) BOOST_TEST(holds_in_child([&] { return goes_on(list); }));
  BOOST_TEST(is_whole_list(list));
}

/// The objects are a static's: the thread has not seen one.
BOOST_AUTO_TEST_CASE(from_threads_that_it_does_not_know) {
  static gc::ptr<witness> list;
  list = make_list(1000);
  const collecting all_the_time;
  for (int i = 0; i != times(12); ++i) std::thread([] { expect(holds_in_child([] { return goes_on(list); })); }).join();
  BOOST_TEST(is_whole_list(list));
  list = nullptr;
}

/// Others allocate, begin and end meanwhile, and fork themselves.
BOOST_AUTO_TEST_CASE(from_several_at_once) {
  const collecting all_the_time;
  std::vector<std::thread> threads;
  for (int t = 0; t != 2; ++t)
    threads.emplace_back([] {
      for (int i = 0; i != times(5); ++i) {
        witness* const list = make_list(200).get();
        expect(holds_in_child([&] { return goes_on(list); }));
        std::thread([] { expect(is_whole_list(make_list(50))); }).join();
      }
    });
  for (std::thread& t : threads) t.join();
}

/// Another thread, of which the collector need not know, looks at the figures of the types that the child makes.
BOOST_AUTO_TEST_CASE(while_figures_are_read) {
  witness* const list = make_list(1000).get();
  std::atomic<bool> over{false};
  std::vector<std::thread> readers;
  for (int t = 0; t != 3; ++t)
    readers.emplace_back([&] {
      while (!over) gc::heap_by_type();
    });
  for (int i = 0; i != times(400); ++i)
    BOOST_TEST(holds_in_child([&] { return is_whole_list(make_list(2000)) && is_whole_list(list); }));
  over = true;
  for (std::thread& t : readers) t.join();
}

/// A child of a fiber has no other fibers, but the one that has forked goes on.
BOOST_AUTO_TEST_CASE(from_fibers) {
  heddle::run([] {
    const collecting all_the_time;
    witness* const list = make_list(1000).get();
    for (int i = 0; i != times(8); ++i) {
      expect(holds_in_child([&] { return is_whole_list(list) && is_whole_list(make_list(3000)); }));
      heddle::this_fiber::yield();
    }
  });
}

/// The destructor that runs meanwhile is the parent's affair: a child neither waits for it nor looks for it all the
/// time.
BOOST_AUTO_TEST_CASE(while_a_destructor_runs) {
  slow::go_on = false;
  far_below([] { gc::make<slow>(); });
  BOOST_TEST(collect_until([] { return slow::begun.try_acquire(); }));
  BOOST_TEST(holds_in_child([] {
    if (!goes_on(nullptr)) return false;
    gc::collect();
    const auto used = cpu_time();
    std::this_thread::sleep_for(200ms);
    return cpu_time() - used < 100ms && gc::statistics().destructors_queued == 0;
  }));
  slow::go_on = true;
  BOOST_TEST(collect_until([] { return gc::statistics().destructors_queued == 0; }));
}

/// The thread that forks is the one that runs the destructor: it goes on with it in the child, and then with those that
/// are due there. One runs at a time.
BOOST_AUTO_TEST_CASE(from_a_destructor) {
  result = -1;
  far_below([] { gc::make<forking>(); });
  BOOST_TEST(collect_until([] { return result >= 0; }));
  BOOST_TEST(result == 0);
}
/// The child's end is that of its runtime: the fiber does not return there.
BOOST_AUTO_TEST_CASE(from_a_destructor_on_a_fiber) {
  result = -1;
  heddle::run([] {
    far_below([] { gc::make<forking>(true); });
    expect(collect_until([] { return result >= 0; }));
  });
  BOOST_TEST(result == 0);
}

BOOST_AUTO_TEST_SUITE_END()
