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
#include <semaphore>
#include <thread>
#include <vector>

#include "dying.hpp"
#include "heddle/blocking.hpp"
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
    ::alarm(20);
    ::_exit(f() ? 0 : 1);
  }
  int status = -1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
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

/// The thread that forks is the one that runs the destructor: it goes on with it in the child.
BOOST_AUTO_TEST_CASE(from_a_destructor) {
  static std::atomic<int> result;
  result = -1;
  struct forking {
    ~forking() {
      result = holds_in_child([] { return goes_on(nullptr); });
    }
  };
  far_below([] { gc::make<forking>(); });
  BOOST_TEST(collect_until([] { return result >= 0; }));
  BOOST_TEST(result == 1);
}

BOOST_AUTO_TEST_SUITE_END()
