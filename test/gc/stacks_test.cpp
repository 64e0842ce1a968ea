// SPDX-License-Identifier: BSL-1.0
//
// What is found on stacks: addresses that are nowhere else, since all other copies are hidden by an exclusive or.
#include "roots/stacks.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "gc/planted.hpp"
#include "heddle/heddle.hpp"
#include "roots/suspension.hpp"
#include "roots/threads.hpp"

using namespace heddle::gc::detail;
using namespace std::chrono_literals;
using planted::as_collector;
using planted::hidden;
using planted::times_found;
using planted::with_on_stack;

namespace {

/// Opens a way for many, once.
class gate {
 public:
  void open() { opened_.store(true); }
  bool is_open() const { return opened_.load(); }
  void spin() const {
    while (!is_open()) asm volatile("pause");
  }
  void sleep() const {
    while (!is_open()) std::this_thread::sleep_for(100us);
  }

 private:
  std::atomic<bool> opened_{false};
};

heddle::options two() {
  heddle::options o;
  o.procs = 2;
  return o;
}

/// The scan of another thread while the calling fiber waits without giving its machine up.
template <class F>
void meanwhile(F f) {
  heddle::blocking([&] { as_collector(f); });
}

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_runs) {
  hidden h;
  int found = 1;
  as_collector([&] { found = times_found(h); });
  BOOST_TEST(found == 0);
}

BOOST_AUTO_TEST_CASE(parked_fiber) {
  heddle::run(
      [] {
        hidden h;
        heddle::channel<int> go;
        auto f = heddle::spawn([&] { with_on_stack(h.reveal(), [&] { (void)go.receive(); }); });
        heddle::this_fiber::sleep_for(5ms);
        int found = 0;
        meanwhile([&] { found = times_found(h); });
        BOOST_TEST(found > 0);
        go.send(1);
        f.join();
        meanwhile([&] { found = times_found(h); });
        BOOST_TEST(found == 0);
      },
      two());
}

BOOST_AUTO_TEST_CASE(runnable_fiber) {
  heddle::options one;
  one.procs = 1;
  heddle::run(
      [] {
        hidden h;
        std::atomic<bool> over{false};
        auto f = heddle::spawn([&] {
          with_on_stack(h.reveal(), [&] {
            while (!over.load()) heddle::this_fiber::yield();
          });
        });
        heddle::this_fiber::yield();
        heddle::this_fiber::yield();
        std::atomic<int> found{-1};
        std::thread collector([&] { found.store(times_found(h)); });
        while (found.load() < 0) asm volatile("pause");  // it does not run meanwhile
        collector.join();
        BOOST_TEST(found.load() > 0);
        over.store(true);
        f.join();
      },
      one);
}

namespace {

/// Spins with the value in one general register only.
[[gnu::noinline]] void spin_in_register(const hidden& h, std::atomic<bool>& begun, const std::atomic<bool>& over) {
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
[[gnu::noinline]] void spin_in_vector(const hidden& h, std::atomic<bool>& begun, const std::atomic<bool>& over) {
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

[[gnu::noinline, gnu::target("avx2")]] void spin_in_upper_half(const hidden& h, std::atomic<bool>& begun,
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
[[gnu::noinline]] void spin_in_red_zone(const hidden& h, std::atomic<bool>& begun, const std::atomic<bool>& over) {
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

using spinner = void (*)(const hidden&, std::atomic<bool>&, const std::atomic<bool>&);

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
          hidden h;
          std::atomic<bool> begun{false};
          std::atomic<bool> over{false};
          auto f = heddle::spawn([&] { spin(h, begun, over); });
          while (!begun.load()) heddle::this_fiber::yield();
          int found = 0;
          meanwhile([&] { found = times_found(h); });
          over.store(true);
          f.join();
          BOOST_TEST(found > 0);
        },
        two());
}

BOOST_AUTO_TEST_CASE(plain_thread) {
  for (const spinner spin : spinners()) {
    hidden h;
    std::atomic<bool> begun{false};
    std::atomic<bool> over{false};
    std::thread t([&] {
      const thread_registration known;
      spin(h, begun, over);
    });
    while (!begun.load()) std::this_thread::yield();
    int found = 0;
    as_collector([&] { found = times_found(h); });
    over.store(true);
    t.join();
    BOOST_TEST(found > 0);
    as_collector([&] { found = times_found(h); });
    BOOST_TEST(found == 0);
  }
}

BOOST_AUTO_TEST_CASE(sleeping_thread) {
  hidden h;
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
  int found = 0;
  as_collector([&] { found = times_found(h); });
  over.open();
  t.join();
  BOOST_TEST(found > 0);
}

BOOST_AUTO_TEST_CASE(unknown_thread) {
  hidden h;
  std::atomic<bool> begun{false};
  std::atomic<bool> over{false};
  std::thread t([&] { spin_in_register(h, begun, over); });
  while (!begun.load()) std::this_thread::yield();
  int found = 1;
  as_collector([&] { found = times_found(h); });
  over.store(true);
  t.join();
  BOOST_TEST(found == 0);
}

BOOST_AUTO_TEST_CASE(main_thread) {
  hidden h;
  const thread_registration known;
  int found = 0;
  with_on_stack(h.reveal(), [&] { as_collector([&] { found = times_found(h); }); });
  BOOST_TEST(found > 0);
}

// --- fibers that have not begun, that have ended, that lend their stack -----------------------------------------

namespace {

heddle::options one() {
  heddle::options o;
  o.procs = 1;
  return o;
}

/// The scan while the calling fiber keeps its machine, so that no other runs on it.
int times_found_meanwhile(const hidden& h) {
  std::atomic<int> found{-1};
  std::thread collector([&] { found.store(times_found(h)); });
  while (found.load() < 0) asm volatile("pause");
  collector.join();
  return found.load();
}

}  // namespace

BOOST_AUTO_TEST_CASE(fresh_fiber) {
  heddle::run(
      [] {
        hidden h;
        auto f = heddle::spawn([v = h.reveal()] { return v == 0; });
        BOOST_TEST(times_found_meanwhile(h) > 0);
        BOOST_TEST(!f.join());
        BOOST_TEST(times_found_meanwhile(h) == 0);
      },
      one());
}

BOOST_AUTO_TEST_CASE(fresh_fiber_with_large_closure) {
  heddle::run(
      [] {
        hidden h;
        struct large {
          std::array<char, 1000> before;
          std::uintptr_t v;
          std::array<char, 996> after;
        };
        auto f = [&] { return heddle::spawn([l = large{{}, h.reveal(), {}}] { return l.v == 0; }); }();
        // What the closure was made of is gone from the stack.
        [] { asm volatile("" : : "r"(std::array<char, 8000>{}.data()) : "memory"); }();
        BOOST_TEST(times_found_meanwhile(h) > 0);
        BOOST_TEST(!f.join());
      },
      one());
}

BOOST_AUTO_TEST_CASE(result_that_nobody_has_joined) {
  heddle::run(
      [] {
        hidden small;
        hidden large;
        auto f = heddle::spawn([&] { return small.reveal(); });
        auto g = heddle::spawn([&] {
          std::array<std::uintptr_t, 100> a{};
          a[50] = large.reveal();
          return a;
        });
        heddle::this_fiber::sleep_for(5ms);
        BOOST_TEST(times_found_meanwhile(small) > 0);
        BOOST_TEST(times_found_meanwhile(large) > 0);
        BOOST_TEST(small.is(f.join()));
        BOOST_TEST(large.is(g.join()[50]));
      },
      one());
}

BOOST_AUTO_TEST_CASE(fiber_that_lends_its_stack) {
  heddle::run(
      [] {
        hidden h;
        hidden in_register;
        int found = 0;
        int found_in_register = 0;
        const auto lend = [&] {
          auto f = heddle::spawn([&] {
            heddle::this_fiber::sleep_for(1ms);
            found = times_found_meanwhile(h);
            found_in_register = times_found_meanwhile(in_register);
          });
          std::uintptr_t kept = in_register.reveal();
          asm volatile("" : "+r"(kept));  // in a register, or a frame, across the call
          with_on_stack(h.reveal(), [&] { f.join(); });
          asm volatile("" : "+r"(kept));
        };
        lend();
        BOOST_TEST(found > 0);
        BOOST_TEST(found_in_register > 0);
      },
      one());
}

// --- many -------------------------------------------------------------------------------------------------------

namespace {

/// Of the calling thread, in microseconds.
long processor_time() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1'000'000 + t.tv_nsec / 1000;
}

}  // namespace

BOOST_AUTO_TEST_CASE(many_parked_while_others_run) {
  constexpr int many = 20'000;
  heddle::run(
      [] {
        std::vector<std::unique_ptr<hidden>> all;
        std::vector<const hidden*> wanted;
        for (int i = 0; i != many; ++i) wanted.push_back(all.emplace_back(std::make_unique<hidden>()).get());
        // Looked up by number: 64 apart.
        class counter final : public root_sink {
         public:
          explicit counter(std::uintptr_t first) : first_(first), seen_(many) {}
          void words(const void* from, const void* to) noexcept override {
            for (auto* w = static_cast<const std::uintptr_t*>(from); w < static_cast<const std::uintptr_t*>(to); ++w)
              if (*w - first_ < std::uintptr_t{many} * 64) seen_[(*w - first_) / 64] = true;
          }
          std::size_t seen() const { return static_cast<std::size_t>(std::count(seen_.begin(), seen_.end(), true)); }

         private:
          std::uintptr_t first_;
          std::vector<bool> seen_;
        };
        heddle::channel<int> go;
        std::vector<heddle::join_handle<void>> fibers;
        for (const auto& h : all)
          fibers.push_back(heddle::spawn([&h, &go] { with_on_stack(h->reveal(), [&] { (void)go.receive(); }); }));
        heddle::this_fiber::sleep_for(20ms);
        std::atomic<bool> over{false};
        std::atomic<long> worst{0};
        auto busy = heddle::spawn([&] {
          while (!over.load()) {
            const auto before = std::chrono::steady_clock::now();
            heddle::this_fiber::yield();
            const long took = (std::chrono::steady_clock::now() - before) / 1us;
            if (took > worst.load()) worst.store(took);
          }
        });
        std::size_t seen = 0;
        meanwhile([&] {
          for (int i = 0; i != 5; ++i) {
            counter c(all.front()->reveal());
            const long before = processor_time();
            scan_stacks(c);
            BOOST_TEST_MESSAGE("scan: " << processor_time() - before << " us of the processor");
            seen = c.seen();
          }
        });
        over.store(true);
        BOOST_TEST_MESSAGE("longest turn: " << worst.load() << " us");
        BOOST_TEST(seen == std::size_t{many});
        go.close();
      },
      two());
}

BOOST_AUTO_TEST_CASE(fibers_that_take_turns) {
  heddle::run(
      [] {
        heddle::channel<std::uintptr_t> to;
        heddle::channel<std::uintptr_t> fro;
        std::atomic<bool> over{false};
        auto f = heddle::spawn([&] {
          while (auto v = to.receive()) fro.send(*v);
        });
        auto g = heddle::spawn([&] {
          while (!over.load()) {
            to.send(1);
            (void)fro.receive();
          }
          to.close();
        });
        hidden h;
        int missed = 0;
        with_on_stack(h.reveal(), [&] {
          meanwhile([&] {
            for (int i = 0; i != 200; ++i) missed += times_found(h) == 0;
          });
        });
        over.store(true);
        BOOST_TEST(missed == 0);
      },
      two());
}

/// An address goes from fiber to fiber: each gives it to a new one, and ends.
BOOST_AUTO_TEST_CASE(address_handed_to_new_fibers) {
  heddle::run(
      [] {
        hidden h;
        std::atomic<bool> over{false};
        std::atomic<int> alive{1};
        struct relay_race {
          std::uintptr_t v;
          std::atomic<bool>& over;
          std::atomic<int>& alive;
          void operator()() {
            const std::uintptr_t mine = std::exchange(v, 0);
            if (over.load())
              alive.store(0);
            else
              heddle::go(relay_race{mine, over, alive});
          }
        };
        heddle::go(relay_race{h.reveal(), over, alive});
        int missed = 0;
        meanwhile([&] {
          for (int i = 0; i != 500; ++i) missed += times_found(h) == 0;
        });
        over.store(true);
        while (alive.load() != 0) heddle::this_fiber::yield();
        BOOST_TEST(missed == 0);
      },
      two());
}

BOOST_AUTO_TEST_CASE(fibers_that_begin_and_end_all_the_time) {
  heddle::run(
      [] {
        std::atomic<bool> over{false};
        auto storm = [&] {
          while (!over.load()) {
            auto a = heddle::spawn([] { heddle::this_fiber::yield(); });
            auto b = heddle::spawn([big = std::array<char, 300>{}] { return big[0]; });
            heddle::go([] {});
            a.join();
          }
        };
        auto f = heddle::spawn(storm);
        auto g = heddle::spawn(storm);
        hidden h;
        int missed = 0;
        with_on_stack(h.reveal(), [&] {
          meanwhile([&] {
            for (int i = 0; i != 300; ++i) missed += times_found(h) == 0;
          });
        });
        over.store(true);
        BOOST_TEST(missed == 0);
      },
      two());
}

BOOST_AUTO_TEST_CASE(stray_signals) {
  {
    hidden h;
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
    hidden h;
    int found = 1;
    as_collector([&] { found = times_found(h); });
    BOOST_TEST(found == 0);
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

/// f runs in the handler of an exception that alone has the addresses.
template <class F>
[[gnu::noinline]] void in_handler(const hidden& h, const hidden& last, F f) {
  try {
    [&] { throw error{h.reveal(), {}, last.reveal()}; }();
  } catch (const error&) {
    // What the object was made of is gone from the stack.
    [] { asm volatile("" : : "r"(std::array<char, 8000>{}.data()) : "memory"); }();
    f();
  }
}

}  // namespace

BOOST_AUTO_TEST_CASE(caught_by_a_parked_fiber) {
  heddle::run(
      [] {
        hidden h;
        hidden last;
        heddle::channel<int> go;
        auto f = heddle::spawn([&] { in_handler(h, last, [&] { (void)go.receive(); }); });
        heddle::this_fiber::sleep_for(5ms);
        int found = 0;
        int found_last = 0;
        meanwhile([&] { found = times_found(h); });
        meanwhile([&] { found_last = times_found(last); });
        BOOST_TEST(found > 0);
        BOOST_TEST(found_last > 0);
        go.send(1);
        f.join();
      },
      two());
}

BOOST_AUTO_TEST_CASE(caught_by_a_running_fiber) {
  heddle::run(
      [] {
        hidden h;
        hidden last;
        int found = 0;
        in_handler(h, last, [&] { found = times_found_meanwhile(last); });
        BOOST_TEST(found > 0);
      },
      two());
}

BOOST_AUTO_TEST_CASE(caught_by_a_thread_and_thrown_again) {
  hidden h;
  hidden last;
  const thread_registration known;
  int found = 0;
  std::exception_ptr kept;
  in_handler(h, last, [&] { kept = std::current_exception(); });
  try {
    std::rethrow_exception(std::exchange(kept, nullptr));
  } catch (const error&) {
    found = times_found_meanwhile(last);
  }
  BOOST_TEST(found > 0);
  BOOST_TEST(times_found_meanwhile(last) == 0);
}

// --- fork -------------------------------------------------------------------------------------------------------

namespace {

/// Whether it is found in a child that the caller forks.
bool found_in_child(const hidden& h) {
  const pid_t child = ::fork();
  if (child == 0) {
    int found = 0;
    as_collector([&] { found = times_found(h); });
    ::_exit(found > 0 ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

BOOST_AUTO_TEST_CASE(child_of_a_known_thread) {
  hidden h;
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
        hidden h;
        bool found = false;
        with_on_stack(h.reveal(), [&] {
          const pid_t child = ::fork();
          if (child == 0) {
            int times = 0;
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
      two());
}
