// SPDX-License-Identifier: BSL-1.0
//
// Fork, signals, and a system that has nothing left to give.
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::death_of;
using heddle::testing::times;

/// Forks, runs f in the child, and returns the child's exit status, 1000 if it was killed.
template <class F>
int status_of_fork(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    ::_exit(f());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(process, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(a_child_starts_a_runtime_of_its_own, *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  std::atomic<bool> stop{false};
  heddle::go([&] {
    while (!stop) heddle::this_fiber::yield();
  });
  for (int i = 0; i != 50; ++i)
    BOOST_REQUIRE(status_of_fork([] { return heddle::run([] { return heddle::spawn([] { return 7; }).join(); }); }) ==
                  7);
  stop = true;
  heddle::shutdown();
}

BOOST_AUTO_TEST_CASE(a_fiber_may_fork, *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  heddle::run([] {
    for (int i = 0; i != 50; ++i) {
      // In the child the fiber is a plain thread: primitives work, and so does a runtime of its own.
      const int status = status_of_fork([] {
        heddle::channel<int> c(1);
        c.send(5);
        return heddle::this_fiber::is_fiber() ? 1 : *c.receive();
      });
      BOOST_REQUIRE(status == 5);
      BOOST_REQUIRE(status_of_fork([] { return ::execl("/bin/true", "true", nullptr); }) == 0);
    }
  });
}

BOOST_AUTO_TEST_CASE(a_fiber_may_fork_while_the_end_is_awaited,
                     *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  const auto end = death_of([] {
    const auto fork_late = [] {
      heddle::this_fiber::sleep_for(20ms);  // main has returned, or shutdown() has been called
      ::dprintf(2, "child ended with %d\n", status_of_fork([] { return heddle::run([] { return 3; }); }));
    };
    heddle::run([&] { heddle::go(fork_late); });
    heddle::go(fork_late);
    heddle::shutdown();
    ::dprintf(2, "both ended\n");
  });
  BOOST_TEST(end.says("child ended with 3\nchild ended with 3\nboth ended\n"));
  BOOST_TEST(end.status == 0);
}

/// Threads and fibers that make and end fibers all the time, so that a fork hits whatever they may hold.
BOOST_AUTO_TEST_CASE(a_storm_of_forks_never_hangs, *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  std::atomic<bool> stop{false};
  std::atomic<long> made{0};
  const auto churn = [&] {
    while (!stop) {
      std::vector<heddle::join_handle<void>> some;
      for (int i = 0; i != 200; ++i) some.push_back(heddle::spawn([&] { ++made; }));
    }
  };
  std::vector<heddle::join_handle<void>> fibers;
  for (int i = 0; i != 3; ++i) fibers.push_back(heddle::spawn(churn));
  std::thread plain(churn);
  const auto child = [] {
    int sum = 0;
    heddle::run([&] {
      for (int i = 0; i != 100; ++i) sum += heddle::spawn([] { return 1; }).join();
    });
    return sum;
  };
  for (int i = 0; i != 100; ++i) {
    BOOST_TEST(status_of_fork(child) == 100);                                        // from a plain thread
    BOOST_TEST(heddle::spawn([&] { return status_of_fork(child); }).join() == 100);  // from a fiber
  }
  stop = true;
  plain.join();
  for (auto& f : fibers) f.join();
  heddle::shutdown();
  BOOST_TEST_MESSAGE(made << " fibers beside 200 forks");
}

BOOST_AUTO_TEST_CASE(a_fiber_that_returns_in_a_child_is_told,
                     *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  const auto end = death_of([] {
    heddle::run([] {
      heddle::spawn([] {
        const pid_t child = ::fork();
        if (child != 0) ::waitpid(child, nullptr, 0);
      }).join();
    });
  });
  BOOST_TEST(end.status == 0);
  BOOST_TEST(end.says("returned in a forked child"));
}

BOOST_AUTO_TEST_CASE(a_storm_of_signals_loses_nothing) {
  struct sigaction action {};
  struct sigaction usual {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGALRM, &action, &usual);  // without SA_RESTART: system calls return EINTR
  const itimerval often{{0, 500}, {0, 500}};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  std::atomic<int> n{0};
  heddle::run(
      [&] {
        for (int i = 0; i != times(2000); ++i)
          heddle::go([&, i] {
            if (i % 3 == 0) heddle::this_fiber::sleep_for(std::chrono::microseconds(i % 500));
            heddle::this_fiber::yield();
            ++n;
          });
      },
      {.procs = 2});
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &usual, nullptr);
  BOOST_TEST(n == times(2000));
}

BOOST_AUTO_TEST_CASE(a_pause_of_the_process_is_survived) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    const auto start = std::chrono::steady_clock::now();
    heddle::run([] {
      for (int i = 0; i != 20; ++i) heddle::go([] { heddle::this_fiber::sleep_for(300ms); });
    });
    ::_exit(std::chrono::steady_clock::now() - start >= 300ms ? 9 : 1);
  }
  std::this_thread::sleep_for(100ms);
  ::kill(child, SIGSTOP);
  std::this_thread::sleep_for(1s);
  ::kill(child, SIGCONT);
  int status = 0;
  ::waitpid(child, &status, 0);
  BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 9));
}

BOOST_AUTO_TEST_CASE(fibers_wait_for_stacks_when_memory_is_short,
                     *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  const auto end = death_of([] {
    std::atomic<int> n{0};
    heddle::run(
        [&] {
          heddle::this_fiber::sleep_for(1ms);
          std::size_t pages = 0;  // that are mapped now
          std::ifstream("/proc/self/statm") >> pages;
          const rlimit little{pages * 4096 + (std::size_t{100} << 20), RLIM_INFINITY};
          ::setrlimit(RLIMIT_AS, &little);
          for (int i = 0; i != 400; ++i)
            heddle::go({.stack_size = std::size_t{8} << 20}, [&] {
              heddle::this_fiber::sleep_for(1ms);
              ++n;
            });
        },
        {.procs = 1});
    ::dprintf(2, "%d have run\n", n.load());
  });
  BOOST_TEST(end.status == 0);
  BOOST_TEST(end.says("400 have run"), end.text << " signal " << end.signal);
}

BOOST_AUTO_TEST_SUITE_END()
