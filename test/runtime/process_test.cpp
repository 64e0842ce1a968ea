// SPDX-License-Identifier: BSL-1.0
//
// Fork, signals, and a system that has nothing left to give.
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <set>
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

/// A number that a child and its parent both see.
class shared_number {
 public:
  shared_number()
      : at_(static_cast<std::atomic<int>*>(
            ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~shared_number() { ::munmap(at_, 4096); }
  shared_number(const shared_number&) = delete;
  shared_number& operator=(const shared_number&) = delete;
  std::atomic<int>& operator*() const { return *at_; }

 private:
  std::atomic<int>* at_;
};

/// Fibers of each kind, of which a child must hear nothing.
struct parents_fibers {
  static constexpr int receivers = 40;
  heddle::channel<int> in{}, never{};
  heddle::latch up{receivers + 1};
  std::atomic<bool> stop{false};
  std::atomic<long> turns{0};  // of the busy one
  shared_number in_a_child{};
  const pid_t parent = ::getpid();
  std::vector<heddle::join_handle<int>> handles{};
  heddle::join_handle<int> ended{};
  heddle::join_handle<void> busy{};

  /// When it is made all receivers wait, and none is about to: it would hold the channel's lock in a child for ever. On
  /// one processor others have come that far when the busy fiber has a turn.
  parents_fibers() {
    ::setenv("HEDDLE", "procs=1", 1);
    ended = heddle::spawn(heddle::fiber_options{.name = "of the parent, ended"}, [] { return 5; });
    for (int i = 0; i != receivers; ++i)
      handles.push_back(heddle::spawn(heddle::fiber_options{.name = "of the parent"}, [this] {
        up.count_down();
        const int n = in.receive().value_or(0);
        if (::getpid() != parent) ++*in_a_child;
        return n;
      }));
    busy = heddle::spawn(heddle::fiber_options{.name = "of the parent, busy"}, [this] {
      up.count_down();
      for (; !stop; ++turns) heddle::this_fiber::yield();
    });
    ::unsetenv("HEDDLE");
    up.wait();
    const long now = turns;
    while (turns < now + 1'000) std::this_thread::yield();
    while (heddle::stats().fibers != receivers + 1) heddle::this_fiber::sleep_for(1ms);  // a fiber has ended
  }
  ~parents_fibers() { end(); }
  void end() {
    if (!stop) in.close();
    stop = true;
  }
};

BOOST_AUTO_TEST_CASE(a_child_reports_its_own_fibers, *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  {
    const parents_fibers busy;
    for (const bool from_fiber : {false, true}) {
      const auto forks = [] {
        return death_of([] {
          heddle::run([] {
            heddle::channel<int> d;
            heddle::go({.name = "of the child"}, [&] { (void)d.receive(); });
            (void)d.receive();
          });
        });
      };
      const auto end = from_fiber ? heddle::spawn(forks).join() : forks();
      BOOST_TEST(end.signal == SIGABRT);
      BOOST_TEST(end.says("(2 fibers;"), end.text);
      BOOST_TEST(end.says("\"main\": parked"), end.text);
      BOOST_TEST(end.says("\"of the child\": parked"), end.text);
      BOOST_TEST(!end.says("of the parent"), end.text);
    }
  }
  heddle::shutdown();
}

BOOST_AUTO_TEST_CASE(a_parents_fiber_does_not_run_in_a_child,
                     *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  for (const unsigned procs : {1U, 2U}) {
    parents_fibers busy;
    // Before the child has a runtime; from a plain thread beside one, and from its fibers.
    BOOST_TEST(status_of_fork([&] { return busy.in.try_send(1) ? 7 : 1; }) == 7);
    const int status = status_of_fork([&] {
      const int made = heddle::run(
          [&] {
            int ran = 0;
            for (int i = 0; i != parents_fibers::receivers; ++i) {
              if (i % 2 == 0)
                busy.in.send(1);
              else
                heddle::blocking([&] { std::thread([&] { busy.in.send(1); }).join(); });
              if (i % 3 == 0) ran += heddle::spawn([] { return 1; }).join();
              if (i % 7 == 0) heddle::this_fiber::yield();
            }
            for (int i = 0; i != 10; ++i) heddle::this_fiber::sleep_for(1ms);
            return ran;
          },
          {.procs = procs});
      return made == 14 && heddle::run([] { return heddle::stats().fibers; }) == 1 ? 7 : 1;
    });
    BOOST_TEST(status == 7);
    BOOST_TEST(*busy.in_a_child == 0);
    busy.end();
    for (auto& h : busy.handles) BOOST_TEST(h.join() == 0);
  }
  heddle::shutdown();
}

BOOST_AUTO_TEST_CASE(a_childs_handles_of_its_parents_fibers,
                     *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  {
    parents_fibers busy;
    for (const bool has_run : {false, true}) {
      const auto used = [&](auto use) {
        return death_of([&] {
          if (has_run) heddle::run([] {});
          use();
          ::_exit(7);
        });
      };
      const auto dropped = used([&] { busy.handles.clear(); });
      BOOST_TEST(dropped.status == 7);
      BOOST_TEST(dropped.text == "");
      const auto detached = used([&] {
        for (auto& h : busy.handles) h.detach();
      });
      BOOST_TEST(detached.status == 7);
      const auto of_ended = used([&] {
        if (busy.ended.join() != 5) ::_exit(1);
        heddle::run([] {});
      });
      BOOST_TEST(of_ended.status == 7);
      const auto joined = used([&] { (void)busy.handles.front().join(); });
      BOOST_TEST(joined.status == 70);
      BOOST_TEST(joined.says("\"of the parent\" is joined in a forked child"), joined.text);
    }
  }
  heddle::shutdown();
}

BOOST_AUTO_TEST_CASE(a_parents_thread_that_is_woken_in_a_child_hides_no_deadlock,
                     *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  heddle::spawn([] {}).join();
  heddle::latch gate(1), parked(1);
  std::thread plain([&] {
    parked.count_down();
    gate.wait();
  });
  parked.wait();
  std::this_thread::sleep_for(20ms);
  const auto end = death_of([&] {
    gate.count_down();
    heddle::run([] { (void)heddle::channel<int>().receive(); });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("all fibers are asleep"), end.text);
  gate.count_down();
  plain.join();
  heddle::shutdown();
}

BOOST_AUTO_TEST_CASE(a_number_names_one_fiber_for_ever) {
  std::set<heddle::fiber_id> seen;
  const auto look = [&] { return seen.insert(heddle::this_fiber::get_id()).second; };
  for (int i = 0; i != 3; ++i) {
    BOOST_TEST(heddle::run([&] { return look() && heddle::spawn(look).join(); }));
    BOOST_TEST(heddle::spawn(look).join());
    heddle::shutdown();
  }
  if (!heddle::testing::sanitized)
    BOOST_TEST(status_of_fork([&] { return heddle::run([&] { return look() ? 7 : 1; }); }) == 7);
}

heddle::fiber_local<int> of_fiber;

BOOST_AUTO_TEST_CASE(a_fiber_that_forks_keeps_its_variables,
                     *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  heddle::run([] {
    *of_fiber = 7;
    BOOST_TEST(status_of_fork([] { return *of_fiber; }) == 7);
    BOOST_TEST(status_of_fork([] { return *of_fiber == 7 && heddle::run([] { return *of_fiber; }) == 0 ? 9 : 1; }) ==
               9);
  });
}

BOOST_AUTO_TEST_CASE(a_fork_while_others_make_variables, *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  std::atomic<bool> stop{false};
  std::thread plain([&] {
    while (!stop) heddle::fiber_local<int> one;
  });
  for (int i = 0; i != 200; ++i)
    BOOST_REQUIRE(status_of_fork([] {
                    heddle::fiber_local<int> a, b;
                    *a = 3;
                    *b = 4;
                    return *a + *b;
                  }) == 7);
  stop = true;
  plain.join();
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
