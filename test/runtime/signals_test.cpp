// SPDX-License-Identifier: BSL-1.0
//
// A handler that wakes a fiber is a way to be woken, also while a runtime starts or ends. A machine blocks signals that
// the starter of its runtime had blocked.
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::death_of;

heddle::binary_semaphore asked(0);
void release(int) { asked.release(); }
void release_with_information(int, siginfo_t*, void*) { asked.release(); }

/// Sends a signal to the process in a while, by a timer. Long enough for a deadlock to be seen falsely.
void arm(int signal) {
  constexpr long while_ms = 250;
  if (signal == SIGALRM) {
    const itimerval once{{0, 0}, {0, while_ms * 1000}};
    ::setitimer(ITIMER_REAL, &once, nullptr);
    return;
  }
  timer_t timer{};
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = signal;
  ::timer_create(CLOCK_MONOTONIC, &event, &timer);
  const itimerspec once{{0, 0}, {0, while_ms * 1'000'000}};
  ::timer_settime(timer, 0, &once, nullptr);
}

bool blocked(int signal) {
  sigset_t now;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
  return ::sigismember(&now, signal) == 1;
}

/// A field of the status of the thread of that name, from /proc.
unsigned long of_thread(const std::string& name, const std::string& field) {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string word;
    std::ifstream(task.path() / "comm") >> word;
    if (word != name) continue;
    std::ifstream status(task.path() / "status");
    while (status >> word)
      if (word == field && status >> word) return std::stoul(word, nullptr, 16);
  }
  return 0;
}

struct at_thread_end {
  void (*f)() = nullptr;
  ~at_thread_end() {
    if (f != nullptr) f();
  }
};
thread_local at_thread_end of_this_thread;
[[gnu::noinline]] void when_this_thread_ends(void (*f)()) { of_this_thread.f = f; }

/// Until the next write to that end of a pipe blocks.
void fill(int pipe_end) {
  const std::vector<char> page(4096);
  const int flags = ::fcntl(pipe_end, F_GETFL);
  ::fcntl(pipe_end, F_SETFL, flags | O_NONBLOCK);
  while (::write(pipe_end, page.data(), page.size()) > 0) {
  }
  ::fcntl(pipe_end, F_SETFL, flags);
}

/// Whether that thread of the process is in write(2) to stderr.
bool writes_to_stderr(pid_t task) {
  std::string call, descriptor;
  std::ifstream("/proc/self/task/" + std::to_string(task) + "/syscall") >> call >> descriptor;
  return call == std::to_string(SYS_write) && descriptor == "0x2";
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(signals, heddle::testing::leak_check)

// The usual end of a server.
BOOST_AUTO_TEST_CASE(a_handler_wakes_the_first_fiber,
                     *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  for (const unsigned procs : {1U, 2U})
    for (const int signal : {SIGALRM, SIGINT, SIGTERM, SIGUSR1, SIGRTMIN}) {
      const auto end = death_of([&] {
        ::signal(signal, release);
        arm(signal);
        ::_exit(heddle::run(
            [] {
              asked.acquire();
              return 7;
            },
            {.procs = procs}));
      });
      BOOST_TEST(end.status == 7, "signal " << signal << ": " << end.text);
    }
}

BOOST_AUTO_TEST_CASE(or_another_one_from_a_thread_that_waits,
                     *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const auto end = death_of([] {
    struct sigaction a {};
    a.sa_sigaction = release_with_information;
    a.sa_flags = SA_SIGINFO | SA_RESTART;
    ::sigaction(SIGUSR2, &a, nullptr);
    arm(SIGUSR2);
    // This thread waits in join(), in shutdown() the next time.
    heddle::spawn([] { asked.acquire(); }).join();
    arm(SIGUSR2);
    heddle::go([] { asked.acquire(); });
    heddle::shutdown();
    ::_exit(7);
  });
  BOOST_TEST(end.status == 7, end.text);
}

BOOST_AUTO_TEST_CASE(again_and_again, *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const auto end = death_of([] {
    static heddle::semaphore many(0);
    ::signal(SIGALRM, [](int) { many.release(); });
    const itimerval often{{0, 1000}, {0, 1000}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
    heddle::run(
        [] {
          for (int i = 0; i != 200; ++i) many.acquire();
        },
        {.procs = 2});
    ::_exit(7);
  });
  BOOST_TEST(end.status == 7, end.text);
}

// The thread in run() holds the scheduler's lock while it reports what main has thrown, here for long.
BOOST_AUTO_TEST_CASE(while_run_holds_the_lock_that_a_wake_needs,
                     *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const auto end = death_of([] {
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(1);
    ::dup2(ends[1], STDERR_FILENO);
    fill(ends[1]);
    static std::atomic<bool> handled{false};
    ::signal(SIGUSR1, [](int) {
      asked.release();
      handled = true;
    });
    std::thread reader([&, to = ::pthread_self(), task = ::gettid()] {
      while (!writes_to_stderr(task)) std::this_thread::sleep_for(1ms);
      ::pthread_kill(to, SIGUSR1);
      while (!handled) std::this_thread::sleep_for(1ms);
      char part[4096];
      while (::read(ends[0], part, sizeof part) == sizeof part) {
      }
    });
    try {
      heddle::run([] {
        heddle::go([] { asked.acquire(); });
        throw 7;
      });
    } catch (int status) {
      reader.detach();
      ::_exit(status);
    }
  });
  BOOST_TEST(end.status == 7, end.text);
}

// run() waits for the thread of a machine, which waits for the signal: the monitor releases, or run() in between.
BOOST_AUTO_TEST_CASE(while_run_waits_for_user_code,
                     *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  for (const bool monitor : {true, false}) {
    const auto end = death_of([&] {
      static std::atomic<bool> waits{false};
      ::signal(SIGUSR1, release);
      std::thread sender([to = ::pthread_self()] {
        while (!waits) std::this_thread::sleep_for(1ms);
        std::this_thread::sleep_for(20ms);  // long enough to be asleep, mostly
        ::pthread_kill(to, SIGUSR1);
      });
      heddle::run(
          [] {
            when_this_thread_ends([] {
              heddle::spawn([] {
                waits = true;
                asked.acquire();
              }).join();
            });
          },
          {.procs = 1, .monitor = monitor});
      sender.join();
      ::_exit(7);
    });
    BOOST_TEST(end.signal == 0);
    BOOST_TEST(end.status == 7, end.text);
  }
}

// At any point of the start and the end of a runtime, too.
BOOST_AUTO_TEST_CASE(while_run_starts_and_ends, *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  for (const bool monitor : {true, false}) {
    const auto end = death_of([&] {
      constexpr int rounds = 500, each = 4;
      static heddle::semaphore fuel(0);
      static std::atomic<int> handled{0}, burnt{0};
      ::signal(SIGUSR1, [](int) {
        fuel.release();
        ++handled;
      });
      std::thread sender([to = ::pthread_self()] {
        for (int sent = 1; sent <= rounds * each; ++sent) {
          ::pthread_kill(to, SIGUSR1);
          // One after the other, and only when no permit is left: a fiber waits for the next one, or is about to.
          while (handled < sent || burnt < sent) ::sched_yield();
        }
      });
      for (int i = 0; i != rounds; ++i)
        heddle::run(
            [] {
              for (int k = 0; k != each; ++k)
                heddle::go([] {
                  fuel.acquire();
                  ++burnt;
                });
            },
            {.procs = 2, .monitor = monitor});
      sender.join();
      ::_exit(burnt == rounds * each ? 7 : 8);
    });
    BOOST_TEST(end.signal == 0);
    BOOST_TEST(end.status == 7, end.text);
  }
}

BOOST_AUTO_TEST_CASE(a_deadlock_is_seen_where_no_handler_could_help,
                     *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const auto end = death_of([] {
    for (const int other : {SIGILL, SIGFPE, SIGSYS, SIGPIPE, SIGPROF, SIGVTALRM, SIGIO}) ::signal(other, [](int) {});
    for (const int ignored : {SIGINT, SIGTERM}) ::signal(ignored, SIG_IGN);
    ::alarm(20);  // the default action wakes nobody
    heddle::run([] { asked.acquire(); });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("all fibers are asleep"), end.text);
  const auto taken_back = death_of([] {
    ::signal(SIGINT, release);
    heddle::run([] { ::signal(SIGINT, SIG_DFL); });
    heddle::run([] { asked.acquire(); });
  });
  BOOST_TEST(taken_back.signal == SIGABRT);
}

BOOST_AUTO_TEST_CASE(a_descriptor_that_signals_is_a_way_to_be_woken,
                     *boost::unit_test::enable_if<!heddle::testing::thread_sanitized>()) {
  const auto end = death_of([] {
    ::signal(SIGIO, release);
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(1);
    ::fcntl(ends[0], F_SETOWN, ::getpid());
    ::fcntl(ends[0], F_SETFL, O_ASYNC);
    const pid_t writer = ::fork();
    if (writer == 0) {
      ::usleep(250'000);
      ::_exit(::write(ends[1], "x", 1) == 1 ? 0 : 1);
    }
    heddle::run([] { asked.acquire(); });
    ::_exit(7);
  });
  BOOST_TEST(end.status == 7, end.text);
}

BOOST_AUTO_TEST_CASE(machines_take_the_signals_that_the_starter_takes) {
  sigset_t one, usual;
  ::sigemptyset(&one);
  ::sigaddset(&one, SIGUSR2);
  ::pthread_sigmask(SIG_BLOCK, &one, &usual);
  std::atomic<int> right{0};
  heddle::run(
      [&] {
        std::vector<heddle::join_handle<void>> all;
        for (int i = 0; i != 6; ++i)
          all.push_back(heddle::spawn([&] {
            // On a machine that the monitor has made, or a fiber that has blocked more.
            if (!blocked(SIGUSR1) && blocked(SIGUSR2)) ++right;
            sigset_t more;
            ::sigemptyset(&more);
            ::sigaddset(&more, SIGUSR1);
            ::pthread_sigmask(SIG_BLOCK, &more, nullptr);
            ::usleep(30'000);
            ::pthread_sigmask(SIG_UNBLOCK, &more, nullptr);
          }));
        for (auto& h : all) h.join();
      },
      {.procs = 1});
  ::pthread_sigmask(SIG_SETMASK, &usual, nullptr);
  BOOST_TEST(right == 6);
}

BOOST_AUTO_TEST_CASE(the_monitor_takes_none_but_its_faults,
                     *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  heddle::run([] {
    unsigned long mask = 0;
    for (int ms = 0; ms != 3000 && mask == 0; ++ms) {  // it may not have begun
      heddle::this_fiber::sleep_for(1ms);
      mask = of_thread("heddle-monitor", "SigBlk:");
    }
    for (const int signal : {SIGINT, SIGALRM, SIGCHLD, SIGPROF, SIGRTMAX}) BOOST_TEST((mask >> (signal - 1) & 1) == 1u);
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT}) BOOST_TEST((mask >> (signal - 1) & 1) == 0u);
  });
}

BOOST_AUTO_TEST_SUITE_END()
