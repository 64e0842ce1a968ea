// SPDX-License-Identifier: BSL-1.0
//
// A system that refuses: each call that the runtime makes fails, always or at random. What can go on must go on; what
// cannot must be an exception or a report, and leave nothing behind. Defines the C library's functions anew, so it is
// no test for sanitizers, which do the same.
#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::death_of;

/// How often one system call is refused: `percent` of the calls after the first `spared`.
struct refusal {
  std::atomic<int> percent{0};
  std::atomic<int> spared{0};
  std::atomic<int> refused{0};

  bool now() {
    if (percent.load() == 0 || spared.fetch_sub(1) > 0) return false;
    thread_local std::minstd_rand random(static_cast<unsigned>(::syscall(SYS_gettid)));
    if (static_cast<int>(random() % 100) >= percent.load()) return false;
    ++refused;
    return true;
  }
};

std::atomic<int> refused_thread{EAGAIN};  // why
refusal of_mmap, of_madvise, of_mprotect, of_thread, of_descriptor, of_patience;

/// Refuses for its lifetime.
class refusing {
 public:
  refusing(refusal& what, int percent, int spared = 0) : what_(what) {
    what_.spared = spared;
    what_.refused = 0;
    what_.percent = percent;
  }
  ~refusing() { what_.percent = 0; }
  refusing(const refusing&) = delete;
  refusing& operator=(const refusing&) = delete;
  int count() const { return what_.refused; }

 private:
  refusal& what_;
};

long kernel(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  long result = 0;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

long answer(long result) {
  if (result >= -4095 && result < 0) {
    errno = static_cast<int>(-result);
    return -1;
  }
  return result;
}

}  // namespace

// --- what the runtime calls instead of the C library ----------------------------------------------------------------

extern "C" {

void* mmap(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
  // Stacks, not the C library's own needs.
  if (bytes >= (std::size_t{16} << 10) && (flags & MAP_NORESERVE) != 0 && of_mmap.now()) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  return reinterpret_cast<void*>(
      answer(kernel(SYS_mmap, reinterpret_cast<long>(at), static_cast<long>(bytes), protection, flags, fd, offset)));
}

int madvise(void* at, std::size_t bytes, int advice) noexcept {
  if (of_madvise.now()) {
    errno = ENOMEM;
    return -1;
  }
  return static_cast<int>(
      answer(kernel(SYS_madvise, reinterpret_cast<long>(at), static_cast<long>(bytes), advice, 0, 0, 0)));
}

int mprotect(void* at, std::size_t bytes, int protection) noexcept {
  if (of_mprotect.now()) {
    errno = ENOMEM;
    return -1;
  }
  return static_cast<int>(
      answer(kernel(SYS_mprotect, reinterpret_cast<long>(at), static_cast<long>(bytes), protection, 0, 0, 0)));
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*f)(void*), void* arg) noexcept {
  using function = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "pthread_create"));
  return of_thread.now() ? refused_thread.load() : real(thread, attributes, f, arg);
}

long syscall(long number, ...) noexcept {
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& one : a) one = va_arg(list, long);
  va_end(list);
  if (number == SYS_pidfd_open && of_descriptor.now()) {
    errno = EMFILE;
    return -1;
  }
  if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && of_patience.now()) {
    errno = EINTR;
    return -1;
  }
  return answer(kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}
}

namespace {

/// Frames until the guard, if there is one.
int runs_over(int depth) {
  volatile char frame[1024];
  frame[depth % 1024] = 1;
  return depth < 0 ? 0 : runs_over(depth + 1) + frame[0];
}

/// A process in which so many percent of the system calls for guards fail, and a fiber overflows.
heddle::testing::death overflow_with(int markers_refused, int mappings_refused) {
  return death_of([&] {
    ::signal(SIGSEGV, SIG_DFL);
    const refusing markers(of_madvise, markers_refused);
    const refusing descriptors(of_descriptor, markers_refused);
    const refusing mappings(of_mprotect, mappings_refused);
    heddle::run([] {
      auto h = heddle::spawn([] { return runs_over(0); });
      heddle::this_fiber::yield();
      h.join();
    });
  });
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(faults, heddle::testing::leak_check)

// First, while this process has not yet found out which guards its kernel has.
BOOST_AUTO_TEST_CASE(an_overflow_is_caught_by_each_kind_of_guard) {
  const auto by_the_kernels_choice = overflow_with(0, 0);
  BOOST_TEST(by_the_kernels_choice.signal == SIGSEGV);
  BOOST_TEST(by_the_kernels_choice.says("stack overflow in fiber"), by_the_kernels_choice.text);
  const auto by_mapping = overflow_with(100, 0);
  BOOST_TEST(by_mapping.signal == SIGSEGV);
  BOOST_TEST(by_mapping.says("stack overflow in fiber"), by_mapping.text);
  const auto unguarded = overflow_with(100, 100);
  BOOST_TEST(unguarded.signal != 0);  // of whatever it hits
  BOOST_TEST(unguarded.says("no guard page for fiber stacks any more"), unguarded.text);
}

// --- memory for stacks ---------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(stacks_that_idle_processors_keep_serve_the_others) {
  heddle::run(
      [] {
        std::atomic<int> here{0};
        std::atomic<int> ended{0};
        std::atomic<bool> gate{false};
        const refusing none(of_mmap, 100);  // what is reserved by now is all there is
        std::vector<heddle::join_handle<void>> all;
        for (int i = 0; i != 31; ++i)
          all.push_back(heddle::spawn([&] {
            ++here;
            while (!gate) heddle::this_fiber::yield();
            ++ended;
          }));
        while (here != 31) heddle::this_fiber::yield();
        gate = true;
        while (ended != 31) {  // without letting go: they end on the other processor, which keeps their stacks
        }
        for (auto& h : all) h.join();
        heddle::blocking([] { ::usleep(20'000); });  // the other goes to sleep
        for (int i = 0; i != 10; ++i) BOOST_TEST(heddle::spawn([i] { return i; }).join() == i);
        BOOST_TEST(heddle::stats().stacks == 32u);
      },
      {.procs = 2, .slice = 1s});
}

BOOST_AUTO_TEST_CASE(a_failing_mmap_delays_and_loses_nothing) {
  for (int percent : {1, 10, 50}) {
    std::atomic<int> ran{0};
    heddle::run(
        [&] {
          heddle::this_fiber::yield();
          const refusing some(of_mmap, percent);
          for (int i = 0; i != 400; ++i)
            heddle::go({.stack_size = std::size_t{16} << (10 + i % 8)}, [&] {
              heddle::this_fiber::sleep_for(1ms);
              ++ran;
            });
          while (ran != 400) heddle::this_fiber::sleep_for(1ms);
          if (percent == 50) BOOST_TEST(some.count() > 0);
        },
        {.procs = 2});
    BOOST_TEST(ran == 400);
  }
}

BOOST_AUTO_TEST_CASE(no_memory_for_any_stack_is_told) {
  const auto end = death_of([] {
    const refusing all(of_mmap, 100);
    heddle::run([] {});
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("no memory for its stack"), end.text);

  const auto other_size = death_of([] {
    heddle::run([] {
      const refusing all(of_mmap, 100);
      heddle::spawn(heddle::fiber_options{.name = "large", .stack_size = std::size_t{64} << 20}, [] {}).join();
    });
  });
  BOOST_TEST(other_size.signal == SIGABRT);
  BOOST_TEST(other_size.says("\"large\": no memory for its stack"), other_size.text);
}

// --- guards ----------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(stacks_without_a_guard_are_told_once_and_work) {
  const auto end = death_of([] {
    const refusing a(of_madvise, 100), b(of_mprotect, 100), c(of_descriptor, 100);
    int sum = 0;
    heddle::run([&] {
      std::vector<heddle::join_handle<int>> all;
      for (int i = 0; i != 200; ++i)
        all.push_back(heddle::spawn([] {
          heddle::this_fiber::sleep_for(1ms);
          return 1;
        }));
      for (auto& h : all) sum += h.join();
    });
    ::dprintf(2, "sum %d\n", sum);
  });
  BOOST_TEST(end.says("no guard page for fiber stacks any more"), end.text);
  BOOST_TEST(end.text.find("no guard page") == end.text.rfind("no guard page"));
  BOOST_TEST(end.says("sum 200"), end.text);
}

BOOST_AUTO_TEST_CASE(guards_need_no_descriptor) {
  const refusing none(of_descriptor, 100);
  heddle::run([] {
    std::vector<heddle::join_handle<void>> all;
    heddle::channel<int> never;
    std::atomic<int> parked{0};
    // Guards of the first thousand are mappings.
    for (int i = 0; i != 1'200; ++i)
      all.push_back(heddle::spawn([&] {
        ++parked;
        (void)never.receive();
      }));
    while (parked != 1'200) heddle::this_fiber::yield();
    never.close();
    for (auto& h : all) h.join();
  });
  BOOST_TEST(none.count() > 0);
}

// --- threads -----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(no_thread_to_start_with_is_an_exception) {
  for (int spared : {0, 1}) {  // the first machine; the monitor
    {
      const refusing from(of_thread, 100, spared);
      BOOST_CHECK_THROW(heddle::run([] {}), std::system_error);
      from.count();
    }
    {
      const refusing from(of_thread, 100, spared);
      BOOST_CHECK_THROW(heddle::go([] {}), std::system_error);
    }
    for (const int error : {EAGAIN, EPERM, ENOMEM}) {
      const refusing from(of_thread, 100, spared);
      refused_thread = error;
      BOOST_CHECK_EXCEPTION(heddle::run([] {}), std::system_error, [&](const std::system_error& e) {
        const std::string name = spared == 0 ? "\"heddle\"" : "\"heddle-monitor\"";
        return e.code() == std::error_code(error, std::generic_category()) &&
               std::string(e.what()).find("no kernel thread " + name + " with a stack of ") != std::string::npos;
      });
      refused_thread = EAGAIN;
    }
    BOOST_TEST(heddle::run([] { return 5; }) == 5);
  }
}

BOOST_AUTO_TEST_CASE(later_threads_can_be_done_without) {
  const auto end = death_of([] {
    const refusing from(of_thread, 100, 2);
    int sum = 0;
    heddle::run(
        [&] {
          std::vector<heddle::join_handle<int>> all;
          for (int i = 0; i != 20; ++i)
            all.push_back(heddle::spawn([] {
              heddle::blocking([] { ::usleep(3000); });
              ::usleep(3000);
              return 1;
            }));
          for (auto& h : all) sum += h.join();
        },
        {.procs = 2});
    ::dprintf(2, "sum %d\n", sum);
  });
  BOOST_TEST(end.says("the system has no thread to give"), end.text);
  BOOST_TEST(end.says("sum 20"), end.text);
  BOOST_TEST(end.status == 0);
}

BOOST_AUTO_TEST_CASE(threads_that_fail_at_random_lose_nothing) {
  for (int percent : {10, 50, 90}) {
    std::atomic<int> ran{0};
    const refusing some(of_thread, percent, 2);
    heddle::run(
        [&] {
          for (int i = 0; i != 60; ++i)
            heddle::go([&, i] {
              if (i % 2 == 0) heddle::blocking([] { ::usleep(2000); });
              heddle::this_fiber::yield();
              ++ran;
            });
        },
        {.procs = 2});
    BOOST_TEST(ran == 60);
  }
}

// --- interrupted waits -------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(interrupted_waits_are_taken_up_again) {
  const refusing many(of_patience, 50);
  std::atomic<int> sum{0};
  heddle::run(
      [&] {
        heddle::channel<int> numbers;
        heddle::wait_group readers(3);
        for (int i = 0; i != 3; ++i)
          heddle::go([&] {
            for (int n : numbers) sum += n;
            readers.done();
          });
        std::thread plain([&] {
          for (int i = 0; i != 200; ++i) {
            numbers.send(1);
            heddle::this_fiber::sleep_for(100us);
          }
        });
        for (int i = 0; i != 200; ++i) {
          numbers.send(1);
          const auto due = std::chrono::steady_clock::now() + 100us;
          heddle::this_fiber::sleep_until(due);
          BOOST_REQUIRE((std::chrono::steady_clock::now() >= due));
        }
        heddle::blocking([&] { plain.join(); });
        numbers.close();
        readers.wait();
      },
      {.procs = 2});
  BOOST_TEST(sum == 400);
  BOOST_TEST(many.count() > 20);
}

BOOST_AUTO_TEST_SUITE_END()
