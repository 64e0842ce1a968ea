// SPDX-License-Identifier: BSL-1.0
//
// Calls that handlers of signals have interrupted, or have jumped out of, wherever the stacks of both lie. How threads
// and forks meet at the gate is tested in test/model.
#include "fork_gate.hpp"

#include <sys/mman.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>

using heddle::detail::fork_gate;
using heddle::detail::nanoseconds_t;

namespace {

const std::function<void()>* in_handler = nullptr;
/// Another may interrupt it. ThreadSanitizer blocks all signals in a handler, whatever SA_NODEFER says; what is raised
/// there would come when the handler has returned, again and again.
void handle(int) {
  sigset_t others;
  ::sigemptyset(&others);
  ::sigaddset(&others, SIGUSR1);
  ::pthread_sigmask(SIG_UNBLOCK, &others, nullptr);
  (*in_handler)();
}

/// While it lives handlers of SIGUSR1 run on a stack that lies so many bytes from the thread's.
class far_stack {
 public:
  static constexpr std::size_t bytes = std::size_t{256} << 10;

  explicit far_stack(std::ptrdiff_t distance) {
    char here = 0;
    const auto at = reinterpret_cast<std::uintptr_t>(&here) + static_cast<std::uintptr_t>(distance);
    memory_ = ::mmap(reinterpret_cast<void*>(at & ~std::uintptr_t{4095}), bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    BOOST_REQUIRE(memory_ != MAP_FAILED);
    stack_t mine{};
    mine.ss_sp = memory_;
    mine.ss_size = bytes;
    BOOST_REQUIRE(::sigaltstack(&mine, &stack_before_) == 0);
    struct sigaction action {};
    action.sa_handler = handle;
    action.sa_flags = SA_ONSTACK;
    ::sigaction(SIGUSR1, &action, &action_before_);
  }
  ~far_stack() {
    ::sigaction(SIGUSR1, &action_before_, nullptr);
    ::sigaltstack(&stack_before_, nullptr);
    ::munmap(memory_, bytes);
  }
  far_stack(const far_stack&) = delete;
  far_stack& operator=(const far_stack&) = delete;

 private:
  void* memory_ = nullptr;
  stack_t stack_before_{};
  struct sigaction action_before_ {};
};

/// As a handler there does.
template <class F>
void interrupt(F f) {
  const std::function<void()> g = f;
  const auto* const before = std::exchange(in_handler, &g);
  ::raise(SIGUSR1);
  in_handler = before;
}

/// A place is 32 bits of an address in grains: near, far, and where their difference changes its sign.
template <class F>
void at_each_distance(F f) {
  constexpr std::ptrdiff_t gib = std::ptrdiff_t{1} << 30;
  for (std::ptrdiff_t d : {-gib / 8, -20 * gib, -31 * gib, -33 * gib, -50 * gib, -63 * gib, -65 * gib, -1000 * gib})
    BOOST_TEST_CONTEXT("distance " << d) {
      const far_stack s(d);
      f();
    }
}

/// Further down the stack.
template <class F>
[[gnu::noinline]] void deeper(F f) {
  char frame[1024];
  asm volatile("" : : "r"(frame) : "memory");
  f();
  asm volatile("" : : "r"(frame) : "memory");
}

struct thread {
  fork_gate gate;
  fork_gate::mark mark{0};
  std::uint32_t within = 0;

  bool enter() { return gate.enter(mark, this); }
  void leave() { gate.leave(mark); }
  bool enter_as_guest() { return gate.enter_as_guest(within, this); }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(gate)

BOOST_AUTO_TEST_CASE(a_call_on_an_alternate_stack_within_one_is_refused) {
  at_each_distance([] {
    thread t;
    bool entered = true, entered_as_guest = true;
    BOOST_REQUIRE((t.enter() && t.enter_as_guest()));
    interrupt([&] {
      entered = t.enter();
      entered_as_guest = t.enter_as_guest();
    });
    BOOST_TEST(!entered);
    BOOST_TEST(!entered_as_guest);
  });
}

BOOST_AUTO_TEST_CASE(a_call_on_an_alternate_stack_within_none_is_admitted) {
  at_each_distance([] {
    thread t;
    bool entered = false, entered_within = true;
    interrupt([&] {
      entered = t.enter();
      deeper([&] { interrupt([&] { entered_within = t.enter(); }); });  // on the same stack
      t.leave();
    });
    BOOST_TEST(entered);
    BOOST_TEST(!entered_within);
    BOOST_TEST(t.enter());
  });
}

BOOST_AUTO_TEST_CASE(a_call_that_a_handler_jumped_out_of_is_no_more) {
  at_each_distance([] {
    thread t;
    static sigjmp_buf back;
    // The call that was interrupted, then one in the handler itself.
    if (sigsetjmp(back, 1) == 0) {
      deeper([&] {
        BOOST_REQUIRE(t.enter());
        interrupt([] { siglongjmp(back, 1); });
      });
    }
    BOOST_TEST(t.enter());
    t.leave();
    static volatile bool entered = false;
    if (sigsetjmp(back, 1) == 0) {
      interrupt([&] {
        entered = t.enter();
        siglongjmp(back, 1);
      });
    }
    BOOST_TEST(entered);
    BOOST_TEST(t.enter());
  });
}

/// Two threads fork. The one has closed the gate and waits for the call of the other, whose handler waits for the gate.
BOOST_AUTO_TEST_CASE(handlers_that_fork_do_not_wait_for_each_other) {
  static fork_gate gate;
  fork_gate::mark one{0}, other{0};
  const auto for_each = [&](auto f) { f(one), f(other); };
  std::atomic<bool> is_at_work{false};
  bool has_entered = false, has_closed = false;
  std::thread t([&] {
    has_entered = gate.enter(one, &one);
    is_at_work = true;
    while (gate.is_open()) std::this_thread::yield();
    const fork_gate::approach waits(gate, &one, 0);
    has_closed = gate.close(&one, &one, 0, for_each);  // as in a handler
    gate.open();
    gate.leave(one);
  });
  while (!is_at_work) std::this_thread::yield();
  const nanoseconds_t begin = heddle::detail::platform::now();
  BOOST_TEST(gate.close(&other, &other, 0, for_each));
  gate.open();
  t.join();
  BOOST_TEST(has_entered);
  BOOST_TEST(has_closed);
  BOOST_TEST(heddle::detail::platform::now() - begin < fork_gate::longest_drain);
}

/// A thread that has waited to the limit spares the others that, until the gate is open.
BOOST_AUTO_TEST_CASE(after_a_long_fork_others_wait_again) {
  fork_gate gate;
  const auto waits = [&gate] {
    nanoseconds_t waited = 0;
    std::thread([&] {
      fork_gate::mark mark{0};
      int self = 0;
      const nanoseconds_t begin = heddle::detail::platform::now();
      BOOST_TEST(!gate.enter(mark, &self));
      waited = heddle::detail::platform::now() - begin;
    }).join();
    return waited;
  };
  int forker = 0;
  const auto nobody = [](auto) {};
  for (int i = 0; i != 2; ++i) {
    BOOST_TEST(gate.close(&forker, nullptr, 0, nobody));
    BOOST_TEST(waits() >= fork_gate::longest_wait);
    gate.open();
  }
}

/// A guest that only the parent has is none in the child: forks there wait for nobody.
BOOST_AUTO_TEST_CASE(a_child_has_no_guests_of_its_parent) {
  fork_gate gate;
  std::uint32_t within = 0;
  int guest = 0, forker = 0;
  const auto nobody = [](auto) {};
  BOOST_TEST(gate.enter_as_guest(within, &guest));
  gate.open_in_child(0);
  const nanoseconds_t begin = heddle::detail::platform::now();
  BOOST_TEST(gate.close(&forker, nullptr, 0, nobody));
  BOOST_TEST(heddle::detail::platform::now() - begin < fork_gate::longest_drain);
  gate.open();
}

BOOST_AUTO_TEST_SUITE_END()
