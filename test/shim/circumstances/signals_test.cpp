// SPDX-License-Identifier: BSL-1.0
//
// Signals that arrive in the middle of malloc, on a stack of their own; interrupted system calls.
#define BOOST_TEST_MODULE shim_signals
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include <thread>

#include "shim/shim.hpp"

using namespace heddle::testing;

namespace {

std::atomic<long> signals{0};

struct alternate_stack {
  char memory[64 * KiB];
  alternate_stack() {
    stack_t s{};
    s.ss_sp = memory;
    s.ss_size = sizeof memory;
    ::sigaltstack(&s, nullptr);
  }
  ~alternate_stack() {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    ::sigaltstack(&none, nullptr);
  }
};

void handle(int signal) {
  struct sigaction a {};
  a.sa_handler = [](int) {
    char frame[8 * KiB];
    std::memset(opaque(&frame[0]), 1, sizeof frame);
    ++signals;
  };
  a.sa_flags = SA_ONSTACK;  // without SA_RESTART: system calls end with EINTR
  ::sigaction(signal, &a, nullptr);
}

/// Large and small blocks, so that there are many system calls to interrupt.
void allocate_and_check(unsigned seed, const std::atomic<bool>& stop, std::atomic<int>& failures) {
  const auto own_stack = std::make_unique<alternate_stack>();
  dice d(seed);
  std::vector<std::pair<void*, std::size_t>> blocks(64, {nullptr, 0});
  while (!stop) {
    auto& [p, size] = blocks[d.below(blocks.size())];
    failures += p && !holds(p, size);
    std::free(p);
    size = some_size(d, d.below(20) ? 14 : 24);
    p = opaque(std::malloc(size));
    failures += !p;
    if (p) fill(p, size);
  }
  for (auto [p, size] : blocks) std::free(p);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(interrupted)

BOOST_AUTO_TEST_CASE(a_storm_of_signals_on_their_own_stacks) {
  const auto own_stack = std::make_unique<alternate_stack>();
  handle(SIGUSR1);
  handle(SIGALRM);
  std::atomic<bool> stop{false};
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t != 4; ++t) threads.emplace_back([&, t] { allocate_and_check(t, stop, failures); });
  const itimerval often{{0, 500}, {0, 500}};
  ::setitimer(ITIMER_REAL, &often, nullptr);
  for (int i = 0; i != times(4000, 20'000); ++i) {
    ::pthread_kill(threads[static_cast<std::size_t>(i) % threads.size()].native_handle(), SIGUSR1);
    if (i % 4 == 0) ::usleep(300);
  }
  const itimerval never{};
  ::setitimer(ITIMER_REAL, &never, nullptr);
  stop = true;
  for (auto& t : threads) t.join();
  BOOST_TEST(failures == 0);
  BOOST_TEST(signals > 1000);
}

BOOST_AUTO_TEST_SUITE_END()
