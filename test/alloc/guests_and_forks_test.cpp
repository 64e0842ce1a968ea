// SPDX-License-Identifier: BSL-1.0
//
// fork() in a program that asks heddle for no block: a collector's pages are all that it uses, so no thread ever has a
// cache. The heap heeds forks even so. That depends on the first use, so the order of the cases matters.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>

#include "at_work.hpp"
#include "heddle/detail/collected_pages.hpp"
#include "mheap.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::detail::at_work;
using heddle::detail::the_fork_gate;
using heddle::detail::thread_lock;
namespace collected_pages = heddle::detail::collected_pages;

/// Forks; whether the child has ended with status 0, as it does if f() holds. It is killed if that takes a minute.
template <class F>
bool holds_in_child(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::_exit(f() ? 0 : 1);
  }
  int status = -1;
  return child > 0 && ::waitpid(child, &status, 0) == child && status == 0;
}

bool makes_pages() {
  bool zeroed = false;
  void* const p = collected_pages::make(heddle::detail::class_count, 3, false, zeroed);
  if (p != nullptr) collected_pages::free(p);
  return p != nullptr;
}

bool nobody_has_a_cache() { return heddle::detail::this_mcache == &heddle::detail::nobodys_mcache; }

/// Holds the lock of the pages while it lives, on a thread of its own.
class holder {
 public:
  holder() {
    while (!holds_) std::this_thread::yield();
  }
  ~holder() {
    over_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> holds_{false}, over_{false};
  std::thread thread_{[this] {
    const thread_lock hold(heddle::detail::the_mheap.lock());
    holds_ = true;
    while (!over_) std::this_thread::sleep_for(1ms);
  }};
};

}  // namespace

/// ThreadSanitizer takes the thread of the parent that its child has not got for one that was never joined.
extern "C" const char* __tsan_default_options() { return "report_thread_leaks=0"; }

BOOST_AUTO_TEST_SUITE(guests_and_forks)

/// A collector has those that allocate wait at a fork, and must not have them wait behind the heap's gate.
BOOST_AUTO_TEST_CASE(handlers_of_a_collector_run_first) {
  static std::atomic<int> seen_open, seen_closed;
  seen_open = seen_closed = 0;
  collected_pages::heed_forks();
  BOOST_REQUIRE(::pthread_atfork([] { ++(the_fork_gate.is_open() ? seen_open : seen_closed); }, nullptr, nullptr) == 0);
  BOOST_TEST(makes_pages());
  BOOST_TEST(holds_in_child(makes_pages));
  BOOST_TEST(seen_open == 1);
  BOOST_TEST(seen_closed == 0);
  BOOST_TEST(nobody_has_a_cache());
}

/// The thread that holds it is not there to free it.
BOOST_AUTO_TEST_CASE(a_lock_that_another_thread_held) {
  {
    const holder other;
    BOOST_TEST(holds_in_child(makes_pages));
  }
  BOOST_TEST(makes_pages());
  BOOST_TEST(nobody_has_a_cache());
}

/// The work of a guest is complete in the child.
BOOST_AUTO_TEST_CASE(a_guest_at_work) {
  std::atomic<bool> works{false}, done{false}, waited{false};
  std::thread guest([&] {
    const at_work here;
    works = static_cast<bool>(here);
    const auto late = std::chrono::steady_clock::now() + 60s;
    while (the_fork_gate.is_open() && std::chrono::steady_clock::now() < late) std::this_thread::yield();
    waited = !the_fork_gate.is_open();
    std::this_thread::sleep_for(20ms);
    done = true;
  });
  while (!works) std::this_thread::yield();
  BOOST_TEST(holds_in_child([&] { return done && makes_pages(); }));
  guest.join();
  BOOST_TEST(waited);
  BOOST_TEST(nobody_has_a_cache());
}

BOOST_AUTO_TEST_SUITE_END()
