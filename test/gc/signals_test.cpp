// SPDX-License-Identifier: BSL-1.0
//
// Signals and the collector, which stops threads by one: strays and storms of it, masks that block it, handlers of the
// program that are at work when it comes, and addresses that are nowhere but in a register then.
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "dying.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using namespace std::chrono_literals;
using heddle::testing::collecting;
using heddle::testing::expect;
using heddle::testing::is_whole_list;
using heddle::testing::make_list;
using heddle::testing::timer;
using heddle::testing::witness;

/// Signals that somebody, and not this test, handles: the collector's is among them.
std::vector<int> handled_signals() {
  gc::collect();
  std::vector<int> handled;
  for (int number = SIGRTMIN; number <= SIGRTMAX; ++number) {
    struct sigaction now {};
    if (::sigaction(number, nullptr, &now) == 0 && now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN)
      handled.push_back(number);
  }
  return handled;
}

void block_all(sigset_t& before) {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
}

/// A program that blocks all signals before its first thread, so that one thread may wait for them.
void collect_with_all_blocked(bool with_fibers) {
  sigset_t before;
  block_all(before);
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i != 2; ++i)
    threads.emplace_back([&] {
      witness* const list = make_list(10).get();
      while (!over) std::this_thread::sleep_for(1ms);
      expect(is_whole_list(list));
    });
  const auto use = [&] {
    witness* const list = make_list(20).get();
    for (int i = 0; i != 3; ++i) gc::collect();
    expect(is_whole_list(list));
  };
  with_fibers ? heddle::run([&] { heddle::spawn(use).join(); }) : use();
  over = true;
  for (std::thread& t : threads) t.join();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(signals, heddle::testing::collected_check)

/// A signal that nobody has asked for does nothing, whether it comes alone or in a storm while threads are stopped.
BOOST_AUTO_TEST_CASE(strays_and_storms_of_its_own_signal) {
  const std::vector<int> numbers = handled_signals();
  BOOST_TEST(!numbers.empty());
  const collecting all_the_time;
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i != 2; ++i)
    threads.emplace_back([&] {
      while (!over) expect(is_whole_list(make_list(30)));
    });
  for (const timer t(300ms); !t.is_over() || all_the_time.cycles() == 0;)
    for (const int number : numbers) {
      for (std::thread& thread : threads) ::pthread_kill(thread.native_handle(), number);
      ::kill(::getpid(), number);
    }
  over = true;
  for (std::thread& t : threads) t.join();
}

/// The collection waits for a thread that blocks all signals for a while, and then goes on.
BOOST_AUTO_TEST_CASE(blocked_for_a_while) {
  std::atomic<bool> blocked{false}, go_on{false};
  std::thread thread([&] {
    witness* const list = make_list(10).get();
    sigset_t mask;
    block_all(mask);
    blocked = true;
    std::this_thread::sleep_for(150ms);
    ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    while (!go_on) std::this_thread::sleep_for(1ms);
    expect(is_whole_list(list));
  });
  while (!blocked) std::this_thread::yield();
  gc::collect();
  go_on = true;
  thread.join();
}

/// In processes of their own: one where that does not end cannot be helped by others.
BOOST_AUTO_TEST_CASE(blocked_from_the_start) {
  for (const bool with_fibers : {false, true}) {
    const pid_t child = ::fork();
    if (child == 0) {
      std::thread([] {  // alarm() would be blocked
        std::this_thread::sleep_for(1min);
        ::_exit(2);
      })
          .detach();
      std::thread([&] { collect_with_all_blocked(with_fibers); }).join();
      ::_exit(0);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0, (with_fibers ? "fibers" : "threads") << ": status " << status);
  }
}

/// Threads are in handlers of the program most of the time, on the stack of those.
BOOST_AUTO_TEST_CASE(in_the_midst_of_other_handlers) {
  static std::atomic<int> handled;
  handled = 0;
  struct sigaction ours {
  }, theirs{};
  ours.sa_handler = [](int) {
    for (int i = 0; i != 20'000; ++i) asm volatile("" : : : "memory");
    ++handled;
  };
  ours.sa_flags = SA_RESTART | SA_ONSTACK;
  ::sigaction(SIGALRM, &ours, &theirs);
  const itimerval often{{0, 300}, {0, 300}}, never{};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  {
    const auto room = std::make_unique<char[]>(64 * 1024);
    const stack_t other{room.get(), 0, 64 * 1024};
    stack_t old;
    ::sigaltstack(&other, &old);
    const collecting all_the_time;
    for (const timer t(300ms); !t.is_over();) expect(is_whole_list(make_list(100)));
    while (all_the_time.cycles() < 3) std::this_thread::sleep_for(1ms);
    ::sigaltstack(&old, nullptr);
  }
  ::setitimer(ITIMER_REAL, &never, nullptr);
  ::sigaction(SIGALRM, &theirs, nullptr);
  BOOST_TEST(handled > 10);
}

/// Plain pointers that are moved to and fro: while memmove is at it some are in vector registers only.
BOOST_AUTO_TEST_CASE(addresses_on_their_way) {
  const collecting all_the_time;
  constexpr std::size_t n = 64;
  std::array<witness*, n + 8> on_stack{};
  for (const timer t(400ms); !t.is_over() || all_the_time.cycles() == 0;) {
    for (std::size_t i = 0; i != n; ++i) on_stack[i] = make_list(i % 3).get();
    for (std::size_t round = 0; round != 20'000; ++round) {
      const std::size_t by = 1 + round % 8;
      std::memmove(on_stack.data() + by, on_stack.data(), n * sizeof(witness*));
      asm volatile("" : : : "memory");
      std::memmove(on_stack.data(), on_stack.data() + by, n * sizeof(witness*));
      asm volatile("" : : : "memory");
    }
    for (std::size_t i = 0; i != n; ++i) expect(is_whole_list(on_stack[i]));
  }
}

BOOST_AUTO_TEST_SUITE_END()
