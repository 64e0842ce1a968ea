// SPDX-License-Identifier: BSL-1.0
//
// How those who wait for endings see whether the thread that runs them is stuck, or only has no processor.
#include "reclaim/runner_watch.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <limits>
#include <thread>

namespace {

using namespace std::chrono_literals;
using heddle::gc::detail::runner_watch;

/// A thread that sleeps in the kernel until the end of this object; its name is hard to read.
class sleeper {
 public:
  explicit sleeper(runner_watch* seen = nullptr)
      : thread_([this, seen] {
          ::pthread_setname_np(::pthread_self(), "a) R (b");
          if (seen != nullptr) seen->note_this_thread();
          number_ = ::gettid();
          wakes_.wait(false);
        }) {
    while (number_ == 0) std::this_thread::yield();
  }
  ~sleeper() {
    wakes_ = true;
    wakes_.notify_all();
    thread_.join();
  }
  int number() const { return number_; }

 private:
  std::atomic<int> number_{0};
  std::atomic<bool> wakes_{false};
  std::thread thread_;
};

void compute(heddle::detail::nanoseconds_t more, const runner_watch& w) {
  const auto before = w.used();
  while (w.used() - before < more) asm volatile("pause");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(runner_watch_of_endings)

BOOST_AUTO_TEST_CASE(held_up_is_one_that_could_run_and_has_not) {
  BOOST_TEST(runner_watch::is_held_up('R', 0));
  BOOST_TEST(runner_watch::is_held_up('R', 999'999));
  BOOST_TEST(!runner_watch::is_held_up('R', 1'000'000));
  for (const char state : {'S', 'D', 'T', 't', '?'}) BOOST_TEST(!runner_watch::is_held_up(state, 0));
}

BOOST_AUTO_TEST_CASE(states_of_threads) {
  BOOST_TEST(runner_watch::state_of(::gettid()) == 'R');
  const sleeper other;
  // It falls asleep, and stays so.
  while (runner_watch::state_of(other.number()) != 'S') std::this_thread::sleep_for(1ms);
  BOOST_TEST(runner_watch::state_of(std::numeric_limits<int>::max()) == '?');
}

BOOST_AUTO_TEST_CASE(who_runs_them) {
  runner_watch w;
  BOOST_TEST(w.thread() == 0);
  BOOST_TEST(w.used() == 0);
  w.note_this_thread();
  BOOST_TEST(w.thread() == ::gettid());
  const auto before = w.used();
  BOOST_TEST(before > 0);
  compute(2'000'000, w);
  BOOST_TEST(w.used() >= before + 2'000'000);
  {
    const sleeper other(&w);
    BOOST_TEST(w.thread() == other.number());
  }
  while (w.used() != 0) std::this_thread::sleep_for(1ms);  // it is gone soon
  w.note_this_thread();
  BOOST_TEST(w.thread() == ::gettid());
  w.forget();
  BOOST_TEST(w.thread() == 0);
  BOOST_TEST(w.used() == 0);
  w.note_this_thread();
  BOOST_TEST(w.thread() == ::gettid());
}

BOOST_AUTO_TEST_SUITE_END()
