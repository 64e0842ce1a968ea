// SPDX-License-Identifier: BSL-1.0
//
// What is said of stacks that grow: backtraces, overflows, deadlocks, no memory.
#include <execinfo.h>
#include <signal.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "runtime/segmented/small_stacks.hpp"
#include "support/death.hpp"

using heddle::testing::opaque;

[[gnu::noinline]] int endless(int n) {
  volatile char frame[1000];
  frame[0] = 1;
  return n < 0 ? 0 : endless(n + 1) + frame[0];
}
int below_the_boundary(int n, int* frames) {
  volatile char frame[300];
  frame[0] = 1;
  if (n != 0) return below_the_boundary(n - 1, frames) + frame[0];
  std::array<void*, 1000> at;
  *frames = ::backtrace(at.data(), static_cast<int>(at.size()));
  return 0;
}
[[gnu::noinline]] void parks_below(heddle::channel<int>& c, int n) {
  volatile char frame[400];
  frame[0] = 1;
  if (n == 0)
    (void)c.receive();
  else
    parks_below(c, n - 1);
  (void)frame[0];
}

BOOST_AUTO_TEST_SUITE(reports)

BOOST_AUTO_TEST_CASE(backtraces_cross_segments) {
  int flat = 0;
  std::thread([&] { (void)below_the_boundary(opaque(200), &flat); }).join();
  BOOST_TEST(flat > 30);
  heddle::run([&] {
    int frames = 0;
    (void)below_the_boundary(opaque(200), &frames);
    BOOST_TEST(frames > flat);  // the segments' own frames among them
    BOOST_TEST(frames < flat + 20);
  });
}

BOOST_AUTO_TEST_CASE(endless_recursion_is_reported) {
  const auto how = heddle::testing::death_of([] {
    ::signal(SIGSEGV, SIG_DFL);  // Boost.Test has a handler of its own
    heddle::run([] { heddle::spawn({.name = "bottomless"}, [] { (void)endless(0); }).join(); }, {.max_stack = 8 << 20});
  });
  BOOST_TEST(how.signal == SIGSEGV);
  BOOST_TEST(how.says("stack overflow in fiber"));
  BOOST_TEST(how.says("bottomless"));
  BOOST_TEST(how.says("max_stack"));
  BOOST_TEST(how.says("endless"));
}

BOOST_AUTO_TEST_CASE(foreign_code_that_needs_more_is_reported) {
  const auto how = heddle::testing::death_of([] {
    ::signal(SIGSEGV, SIG_DFL);  // Boost.Test has a handler of its own
    heddle::run([] {
      heddle::spawn({.name = "glutton"}, [] {
        std::vector<char> text(70'000);
        const auto print = opaque(&std::snprintf);
        char* const at = static_cast<char*>(__builtin_frame_address(0));
        (void)at;
        // As foreign code would: below the limit, without a prologue.
        asm volatile(
            "movq %%rsp, %%rax\n"
            "1: subq $4096, %%rax\n"
            "movb $1, (%%rax)\n"
            "jmp 1b\n"
            :
            :
            : "rax", "memory");
        print(text.data(), text.size(), "x");
      }).join();
    });
  });
  BOOST_TEST(how.signal == SIGSEGV);
  BOOST_TEST(how.says("glutton"));
  BOOST_TEST(how.says("on_large_stack"));
}

#if defined(__OPTIMIZE__)  // in others first segments have a guard
BOOST_AUTO_TEST_CASE(a_damaged_first_segment_is_reported) {
  const auto how = heddle::testing::death_of([] {
    ::signal(SIGSEGV, SIG_DFL);  // Boost.Test has a handler of its own
    heddle::run([] {
      heddle::go([] {
        // As foreign code called behind the compiler's back would.
        asm volatile(
            "movq %%rsp, %%rax\n"
            "subq $1900, %%rax\n"
            "1: movq $0, (%%rax)\n"
            "addq $8, %%rax\n"
            "leaq -256(%%rsp), %%rdx\n"
            "cmpq %%rdx, %%rax\n"
            "jb 1b\n"
            :
            :
            : "rax", "rdx", "memory");
      });
    });
  });
  BOOST_TEST(how.signal != 0);
}
#endif

BOOST_AUTO_TEST_CASE(a_deadlock_shows_parked_stacks) {
  const auto how = heddle::testing::death_of([] {
    ::signal(SIGSEGV, SIG_DFL);  // Boost.Test has a handler of its own
    heddle::run([] {
      heddle::channel<int> never;
      heddle::spawn({.name = "waiting"}, [&] { parks_below(never, 30); }).join();
    });
  });
  BOOST_TEST(how.signal == SIGABRT);
  BOOST_TEST(how.says("waiting"));
  BOOST_TEST(how.says("parks_below"));
}

namespace {
[[gnu::noinline]] int throws_below(int n) {
  volatile char frame[150];
  frame[0] = 1;
  if (n == 0) throw std::runtime_error("from below");
  return throws_below(n - 1) + frame[0];
}
}  // namespace

BOOST_AUTO_TEST_CASE(an_escaped_exception_is_named) {
  const auto how = heddle::testing::death_of(
      [] { heddle::run([] { heddle::go({.name = "thrower"}, [] { (void)throws_below(100); }); }); });
  BOOST_TEST(how.signal == SIGABRT);
  BOOST_TEST(how.says("thrower"));
  BOOST_TEST(how.says("from below"));
}

BOOST_AUTO_TEST_CASE(misuse_is_named) {
  const auto how = heddle::testing::death_of([] {
    ::signal(SIGSEGV, SIG_DFL);  // Boost.Test has a handler of its own
    heddle::run([] {
      heddle::go([] {
        heddle::mutex m;
        m.unlock();
      });
    });
  });
  BOOST_TEST(how.signal == SIGABRT);
  BOOST_TEST(how.says("not locked"));
}

BOOST_AUTO_TEST_CASE(no_memory_is_reported) {
  const auto how = heddle::testing::death_of([] {
    ::signal(SIGSEGV, SIG_DFL);  // Boost.Test has a handler of its own
    heddle::run(
        [] {
          rlimit little{0, 0};
          ::getrlimit(RLIMIT_AS, &little);
          heddle::spawn({.name = "large"}, [] {
            const rlimit now{std::size_t{1} << 30, std::size_t{1} << 30};
            ::setrlimit(RLIMIT_AS, &now);
            (void)endless(0);
          }).join();
        },
        {.max_stack = std::size_t{64} << 30});
  });
  BOOST_TEST(how.signal == SIGSEGV);
  BOOST_TEST(how.says("there is no memory"));
}

BOOST_AUTO_TEST_SUITE_END()
