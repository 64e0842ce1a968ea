// SPDX-License-Identifier: BSL-1.0
//
// What is found where a thread or a fiber has been stopped by a signal: in registers, below the stack pointer, in
// caught exceptions; and by a child, in which no other thread is.
#include "roots/suspension.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <thread>
#include <utility>
#include <vector>

#include "gc/dying.hpp"
#include "gc/planted.hpp"
#include "heddle/heddle.hpp"
#include "roots/threads.hpp"

namespace {

using namespace heddle::gc::detail;
using namespace heddle::testing;
using namespace std::chrono_literals;

/// Spins with the value in one general register only.
[[gnu::noinline]] void spin_in_register(const hidden_word& h, std::atomic<bool>& begun, const std::atomic<bool>& over) {
  std::uintptr_t v = h.reveal();
  asm volatile(
      "movq %[v], %%r13\n\t"
      "xorl %k[v], %k[v]\n\t"
      "movb $1, (%[begun])\n\t"
      "1: pause\n\t"
      "cmpb $0, (%[over])\n\t"
      "je 1b\n\t"
      "xorl %%r13d, %%r13d"
      : [v] "+r"(v)
      : [begun] "r"(&begun), [over] "r"(&over)
      : "r13", "memory", "cc");
}

/// The same with one of xmm7, or the upper half of ymm7.
[[gnu::noinline]] void spin_in_vector(const hidden_word& h, std::atomic<bool>& begun, const std::atomic<bool>& over) {
  std::uintptr_t v = h.reveal();
  asm volatile(
      "movq %[v], %%xmm7\n\t"
      "xorl %k[v], %k[v]\n\t"
      "movb $1, (%[begun])\n\t"
      "1: pause\n\t"
      "cmpb $0, (%[over])\n\t"
      "je 1b\n\t"
      "pxor %%xmm7, %%xmm7"
      : [v] "+r"(v)
      : [begun] "r"(&begun), [over] "r"(&over)
      : "xmm7", "memory", "cc");
}

[[gnu::noinline, gnu::target("avx2")]] void spin_in_upper_half(const hidden_word& h, std::atomic<bool>& begun,
                                                               const std::atomic<bool>& over) {
  std::uintptr_t v = h.reveal();
  asm volatile(
      "vmovq %[v], %%xmm7\n\t"
      "vinserti128 $1, %%xmm7, %%ymm7, %%ymm7\n\t"
      "vpxor %%xmm6, %%xmm6, %%xmm6\n\t"
      "vinserti128 $0, %%xmm6, %%ymm7, %%ymm7\n\t"
      "xorl %k[v], %k[v]\n\t"
      "movb $1, (%[begun])\n\t"
      "1: pause\n\t"
      "cmpb $0, (%[over])\n\t"
      "je 1b\n\t"
      "vzeroall"
      : [v] "+r"(v)
      : [begun] "r"(&begun), [over] "r"(&over)
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",
        "xmm13", "xmm14", "xmm15", "memory", "cc");
}

/// Below the stack pointer.
[[gnu::noinline]] void spin_in_red_zone(const hidden_word& h, std::atomic<bool>& begun, const std::atomic<bool>& over) {
  std::uintptr_t v = h.reveal();
  asm volatile(
      "movq %[v], -120(%%rsp)\n\t"
      "xorl %k[v], %k[v]\n\t"
      "movb $1, (%[begun])\n\t"
      "1: pause\n\t"
      "cmpb $0, (%[over])\n\t"
      "je 1b\n\t"
      "movq $0, -120(%%rsp)"
      : [v] "+r"(v)
      : [begun] "r"(&begun), [over] "r"(&over)
      : "memory", "cc");
}

using spinner = void (*)(const hidden_word&, std::atomic<bool>&, const std::atomic<bool>&);

std::vector<spinner> spinners() {
  std::vector<spinner> all{spin_in_register, spin_in_vector, spin_in_red_zone};
  if (__builtin_cpu_supports("avx2")) all.push_back(spin_in_upper_half);
  return all;
}

}  // namespace

BOOST_AUTO_TEST_CASE(running_fiber) {
  for (const spinner spin : spinners())
    heddle::run(
        [&] {
          hidden_word h;
          std::atomic<bool> begun{false};
          std::atomic<bool> over{false};
          auto f = heddle::spawn([&] { spin(h, begun, over); });
          while (!begun.load()) heddle::this_fiber::yield();
          std::size_t found = 0;
          meanwhile([&] { found = times_found(h); });
          over.store(true);
          f.join();
          BOOST_TEST(found > 0u);
        },
        processors(2));
}

BOOST_AUTO_TEST_CASE(plain_thread) {
  for (const spinner spin : spinners()) {
    hidden_word h;
    std::atomic<bool> begun{false};
    std::atomic<bool> over{false};
    std::thread t([&] {
      const thread_registration known;
      spin(h, begun, over);
    });
    while (!begun.load()) std::this_thread::yield();
    std::size_t found = 0;
    as_collector([&] { found = times_found(h); });
    over.store(true);
    t.join();
    BOOST_TEST(found > 0u);
    as_collector([&] { found = times_found(h); });
    BOOST_TEST(found == 0u);
  }
}

BOOST_AUTO_TEST_CASE(sleeping_thread) {
  hidden_word h;
  std::atomic<bool> begun{false};
  gate over;
  std::thread t([&] {
    const thread_registration known;
    with_on_stack(h.reveal(), [&] {
      begun.store(true);
      over.sleep();
    });
  });
  while (!begun.load()) std::this_thread::yield();
  std::size_t found = 0;
  as_collector([&] { found = times_found(h); });
  over.open();
  t.join();
  BOOST_TEST(found > 0u);
}

BOOST_AUTO_TEST_CASE(unknown_thread) {
  hidden_word h;
  std::atomic<bool> begun{false};
  std::atomic<bool> over{false};
  std::thread t([&] { spin_in_register(h, begun, over); });
  while (!begun.load()) std::this_thread::yield();
  std::size_t found = 1;
  as_collector([&] { found = times_found(h); });
  over.store(true);
  t.join();
  BOOST_TEST(found == 0u);
}

BOOST_AUTO_TEST_CASE(main_thread) {
  hidden_word h;
  const thread_registration known;
  std::size_t found = 0;
  with_on_stack(h.reveal(), [&] { as_collector([&] { found = times_found(h); }); });
  BOOST_TEST(found > 0u);
}

BOOST_AUTO_TEST_CASE(stray_signals) {
  {
    hidden_word h;
    as_collector([&] { times_found(h); });  // installs the handler
  }
  std::atomic<bool> over{false};
  gate begun;
  std::thread victim([&] {
    const thread_registration known;
    begun.open();
    while (!over.load()) asm volatile("pause");
  });
  begun.spin();
  const pthread_t target = victim.native_handle();
  std::thread storm([&] {
    while (!over.load()) ::pthread_kill(target, suspension::signal_number());
  });
  for (int i = 0; i != 500; ++i) {
    hidden_word h;
    std::size_t found = 1;
    as_collector([&] { found = times_found(h); });
    BOOST_TEST(found == 0u);
  }
  over.store(true);
  storm.join();
  victim.join();
}

// --- exceptions -------------------------------------------------------------------------------------------------

namespace {

struct error {
  std::uintptr_t v;
  std::array<char, 200> text;
  std::uintptr_t last;
};

[[gnu::noinline]] void clear_the_stack_below() { asm volatile("" : : "r"(std::array<char, 8000>{}.data()) : "memory"); }

/// f runs in the handler of an exception that alone has the addresses.
template <class F>
[[gnu::noinline]] void in_handler(const hidden_word& h, const hidden_word& last, F f) {
  try {
    [&] { throw error{h.reveal(), {}, last.reveal()}; }();
  } catch (const error&) {
    clear_the_stack_below();  // what the object was made of is gone
    f();
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(caught_by_a_parked_fiber) {
  heddle::run(
      [] {
        hidden_word h;
        hidden_word last;
        heddle::channel<int> go;
        auto f = heddle::spawn([&] { in_handler(h, last, [&] { (void)go.receive(); }); });
        heddle::this_fiber::sleep_for(5ms);
        std::size_t found = 0;
        std::size_t found_last = 0;
        meanwhile([&] { found = times_found(h); });
        meanwhile([&] { found_last = times_found(last); });
        BOOST_TEST(found > 0u);
        BOOST_TEST(found_last > 0u);
        go.send(1);
        f.join();
      },
      processors(2));
}

BOOST_AUTO_TEST_CASE(caught_by_a_running_fiber) {
  heddle::run(
      [] {
        hidden_word h;
        hidden_word last;
        std::size_t found = 0;
        in_handler(h, last, [&] { found = times_found_meanwhile(last); });
        BOOST_TEST(found > 0u);
      },
      processors(2));
}

BOOST_AUTO_TEST_CASE(caught_by_a_thread_and_thrown_again) {
  hidden_word h;
  hidden_word last;
  const thread_registration known;
  std::size_t found = 0;
  std::exception_ptr kept;
  in_handler(h, last, [&] { kept = std::current_exception(); });
  try {
    std::rethrow_exception(std::exchange(kept, nullptr));
  } catch (const error&) {
    found = times_found_meanwhile(last);
  }
  BOOST_TEST(found > 0u);
  clear_the_stack_below();
  clear_vector_registers();
  BOOST_TEST(times_found_meanwhile(last) == 0u);
}

// --- fork -------------------------------------------------------------------------------------------------------

namespace {

/// Whether it is found in a child that the caller forks.
bool found_in_child(const hidden_word& h) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::size_t found = 0;
    as_collector([&] { found = times_found(h); });
    ::_exit(found > 0 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(child_of_a_known_thread) {
  hidden_word h;
  const thread_registration known;
  gate over;
  std::atomic<bool> begun{false};
  std::thread other([&] {  // is not there in the child
    const thread_registration r;
    begun.store(true);
    over.sleep();
  });
  while (!begun.load()) std::this_thread::yield();
  bool found = false;
  with_on_stack(h.reveal(), [&] { found = found_in_child(h); });
  over.open();
  other.join();
  BOOST_TEST(found);
}

BOOST_AUTO_TEST_CASE(child_of_a_fiber) {
  heddle::run(
      [] {
        hidden_word h;
        bool found = false;
        with_on_stack(h.reveal(), [&] {
          const pid_t child = ::fork();
          if (child == 0) {
            std::size_t times = 0;
            {
              const thread_registration known;
              as_collector([&] { times = times_found(h); });
            }
            ::_exit(times > 0 ? 0 : 1);
          }
          int status = -1;
          ::waitpid(child, &status, 0);
          found = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        });
        BOOST_TEST(found);
      },
      processors(2));
}
