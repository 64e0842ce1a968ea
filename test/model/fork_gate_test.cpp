// SPDX-License-Identifier: BSL-1.0
//
// Threads that work on the shared parts of a heap, and threads that fork (alloc/src/fork_gate.hpp): while one forks no
// other is at work.
#include "fork_gate.hpp"

#include <array>
#include <boost/test/unit_test.hpp>

#include "model/data.hpp"
#include "model/expect.hpp"

namespace {

namespace hd = heddle::detail;
using patience = hd::fork_gate::patience;

struct heap {
  hd::fork_gate gate;
  std::array<hd::fork_gate::mark, 2> marks{};
  std::array<model::data<int>, 4> values{0, 0, 0, 0};  ///< one for each thread, which changes it at work

  void work(std::size_t i, patience p = patience::bounded) {
    if (!gate.enter(marks[i], &marks[i], p)) return;
    values[i] = values[i] + 1;
    gate.leave(marks[i]);
  }
  void work_as_guest(std::size_t i) {
    std::uint32_t within = 0;
    if (!gate.enter_as_guest(within, &within)) return;
    values[i] = values[i] + 1;
    model::check(within != 0, "a guest is not at work");
    gate.leave_as_guest(within);
  }
  /// The values that a child would see.
  int fork(const void* self) {
    const bool closed = gate.close(self, nullptr, 0, [this](auto f) {
      for (const auto& m : marks) f(m);
    });
    model::check(closed, "a fork found the gate closed by itself");
    int sum = 0;
    for (const auto& v : values) sum += v;
    gate.open();
    return sum;
  }
};

void workers_and_a_fork() {
  heap h;
  model::thread one([&] {
    h.work(0);
    h.work(0);
  });
  model::thread two([&] { h.work(1, patience::endless); });
  h.fork(&h);
  h.fork(&h);
  one.join();
  two.join();
}

void guests_and_a_fork() {
  heap h;
  model::thread one([&] {
    h.work_as_guest(2);
    h.work_as_guest(2);
  });
  model::thread two([&] { h.work_as_guest(3); });
  h.fork(&h);
  one.join();
  two.join();
}

/// Two threads fork, and a third works meanwhile.
void two_forks() {
  heap h;
  model::thread one([&] { h.fork(&h.marks[0]); });
  model::thread two([&] { h.work(1); });
  h.fork(&h);
  one.join();
  two.join();
}

/// Enters as a handler does: further down the stack.
[[gnu::noinline]] bool enter_deeper(heap& h) {
  char frame[256];
  asm volatile("" : : "r"(frame) : "memory");
  const bool entered = h.gate.enter(h.marks[0], &h);
  asm volatile("" : : "r"(frame) : "memory");
  return entered;
}

/// A call that a signal interrupts is at work: the handler must not be.
void a_handler() {
  heap h;
  model::check(h.gate.enter(h.marks[0], &h), "nobody forks");
  model::check(!enter_deeper(h), "a call within a call is at work");
  model::thread other([&] { h.work(1); });
  h.gate.leave(h.marks[0]);
  other.join();
  model::check(h.fork(&h) <= 1, "more was done than was");
}

/// A thread that forks may work meanwhile.
void work_of_who_forks() {
  heap h;
  model::thread other([&] { h.work(1); });
  h.gate.close(&h.marks[0], &h.marks[0], 0, [&](auto f) {
    for (const auto& m : h.marks) f(m);
  });
  h.work(0, patience::endless);
  model::check(h.values[0] == 1, "the thread that forks could not work");
  h.gate.open();
  other.join();
}

template <class S>
void right(S scenario) {
  model::expect_ok({.executions = 10'000}, scenario);
}
template <class S>
void wrong(model::plant bug, S scenario) {
  model::options o{.executions = 60'000};
  o.planted = bug;
  model::expect_bug(o, scenario);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(workers) { right(workers_and_a_fork); }
BOOST_AUTO_TEST_CASE(guests) { right(guests_and_a_fork); }
BOOST_AUTO_TEST_CASE(forks) { right(two_forks); }
BOOST_AUTO_TEST_CASE(handlers) { right(a_handler); }
BOOST_AUTO_TEST_CASE(the_one_that_forks) { right(work_of_who_forks); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(fork_without_fence) { wrong(model::plant::fork_without_fence, workers_and_a_fork); }
BOOST_AUTO_TEST_CASE(fork_waits_for_nobody) { wrong(model::plant::fork_waits_for_nobody, guests_and_a_fork); }
BOOST_AUTO_TEST_CASE(worker_looks_not) { wrong(model::plant::worker_looks_not, workers_and_a_fork); }
BOOST_AUTO_TEST_CASE(worker_leaves_relaxed) { wrong(model::plant::worker_leaves_relaxed, workers_and_a_fork); }
BOOST_AUTO_TEST_CASE(waiter_looks_once) { wrong(model::plant::waiter_looks_once, workers_and_a_fork); }
BOOST_AUTO_TEST_SUITE_END()
