// SPDX-License-Identifier: BSL-1.0
//
// Stacks that grow: every way into a frame that does not fit, every way into code that knows nothing of it, and what
// comes back out of them.
#define BOOST_TEST_MODULE runtime_segmented
#include <alloca.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/context/detail/fcontext.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <csetjmp>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <memory>
#include <numeric>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "heddle/large_stack.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

using namespace std::chrono_literals;

namespace {

/// Runs f on fibers that stand side by side on small stacks, so that whoever overruns damages another: each holds a
/// pattern across the call, and each stack has its canary.
template <class F>
void beside_others(F f, int n = 20) {
  heddle::run(
      [&] {
        std::vector<heddle::join_handle<bool>> all;
        for (int i = 0; i != n; ++i)
          all.push_back(heddle::spawn([&f, i] {
            volatile int pattern[16];
            for (int k = 0; k != 16; ++k) pattern[k] = i * 100 + k;
            heddle::this_fiber::yield();
            f();
            heddle::this_fiber::yield();
            f();
            bool whole = true;
            for (int k = 0; k != 16; ++k) whole = whole && pattern[k] == i * 100 + k;
            return whole;
          }));
        for (auto& one : all) BOOST_TEST(one.join());
      },
      {.procs = 2});
}

// Nothing below may be known to the compiler: neither a pointer's target nor the depth.
template <class T>
[[gnu::noinline]] T opaque(T value) {
  asm volatile("" : "+m"(value));
  return value;
}

}  // namespace

// --- frames ---------------------------------------------------------------------------------------------------------

[[gnu::noinline]] int deep(int n) {
  volatile char frame[100];
  frame[n % 100] = 1;
  return n == 0 ? 0 : deep(n - 1) + frame[n % 100];
}

__extension__ using wider = __int128;

struct alignas(64) wide {
  std::array<long, 20> words;
};

[[gnu::noinline]] long with_arguments(int n, long a, long b, long c, long d, long e, long f, long g, wide w, char h,
                                      wider i) {
  if (reinterpret_cast<std::uintptr_t>(&w) % alignof(wide) != 0) return -1'000'000;
  if (n != 0) return with_arguments(n - 1, b, c, d, e, f, g, a, w, static_cast<char>(h + 1), i + 1) + w.words[3];
  return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f + 1000000 * g + h + static_cast<long>(i);
}
long the_same_by_hand(int n, std::array<long, 7> a, long w, char h, long i) {
  for (int k = 0; k != n; ++k) {
    std::rotate(a.begin(), a.begin() + 1, a.end());
    h = static_cast<char>(h + 1);
    ++i;
  }
  long sum = n * w + h + i;
  for (long k = 0, factor = 1; k != 7; ++k, factor *= 10) sum += factor * a[static_cast<std::size_t>(k)];
  return sum;
}

[[gnu::noinline]] long variadic(int n, int count, ...) {
  va_list list;
  va_start(list, count);
  long sum = 0;
  for (int i = 0; i != count; ++i) sum += i % 2 != 0 ? static_cast<long>(va_arg(list, double)) : va_arg(list, int);
  va_end(list);
  return n == 0 ? sum : variadic(n - 1, 12, 1, 2.0, 3, 4.0, 5, 6.0, 7, 8.0, 9, 10.0, 11, 12.0) + sum - 78;
}

[[gnu::noinline]] long double long_doubles(int n, long double x) {
  volatile char frame[200];
  frame[n % 200] = 1;
  return n == 0 ? x : long_doubles(n - 1, x + 1) + frame[n % 200] - 1;
}
struct pair_of_both {
  double x;
  long y;
};
[[gnu::noinline]] pair_of_both pairs(int n) {
  volatile char frame[200];
  frame[n % 200] = 1;
  if (n == 0) return {0.5, 1};
  const pair_of_both p = pairs(n - 1);
  return {p.x + 1, p.y + frame[n % 200]};
}
[[gnu::noinline]] wide by_memory(int n) {
  if (n == 0) return {};
  wide w = by_memory(n - 1);
  w.words[7] += n;
  return w;
}

[[gnu::noinline]] std::size_t with_alloca(std::size_t bytes) {
  char* const at = static_cast<char*>(alloca(bytes));
  std::memset(at, 7, bytes);
  heddle::this_fiber::yield();
  return static_cast<std::size_t>(std::count(at, at + bytes, 7));
}

template <std::size_t bytes>
[[gnu::noinline]] int large_frame() {
  volatile char frame[bytes];
  for (std::size_t i = 0; i < bytes; i += 512) frame[i] = 1;
  int sum = 0;
  for (std::size_t i = 0; i < bytes; i += 512) sum += frame[i];
  return sum;
}

BOOST_AUTO_TEST_SUITE(frames)

BOOST_AUTO_TEST_CASE(a_deep_recursion) {
  beside_others([] {
    if (deep(opaque(10'000)) != 10'000) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(arguments_on_the_stack) {
  wide w{};
  w.words[3] = 5;
  const long expected = the_same_by_hand(300, {1, 2, 3, 4, 5, 6, 7}, 5, 8, 9);
  beside_others([&] {
    if (with_arguments(opaque(300), 1, 2, 3, 4, 5, 6, 7, w, 8, 9) != expected) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(variable_arguments) {
  beside_others([] {
    if (variadic(opaque(300), 12, 1, 2.0, 3, 4.0, 5, 6.0, 7, 8.0, 9, 10.0, 11, 12.0) != 78) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(every_kind_of_result) {
  beside_others([] {
    if (long_doubles(opaque(500), 0.25L) != 500.25L) std::abort();
    const pair_of_both p = pairs(opaque(500));
    if (p.x != 500.5 || p.y != 501) std::abort();
    if (by_memory(opaque(100)).words[7] != 5050) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(allocas) {
  beside_others([] {
    for (const std::size_t bytes : {1u, 500u, 3'000u, 100'000u, 3'000'000u})
      if (with_alloca(opaque(bytes)) != bytes) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(an_alloca_in_a_loop_keeps_nothing) {
  heddle::run([] {
    const auto before = heddle::testing::belongings::now();
    for (int i = 0; i != 1000; ++i) BOOST_REQUIRE(with_alloca(opaque(100'000)) == 100'000);
    (void)before;
  });
}

BOOST_AUTO_TEST_CASE(large_frames) {
  beside_others([] {
    if (large_frame<40'000>() != 79) std::abort();
    if (large_frame<1'000'000>() != 1954) std::abort();
  });
  BOOST_TEST(heddle::run([] { return large_frame<20'000'000>(); }) == 39063);
}

BOOST_AUTO_TEST_CASE(segments_come_back) {
  heddle::run([] {
    (void)deep(10'000);
    const std::size_t made = heddle::stats().segments;
    BOOST_TEST(made > 0);
    for (int i = 0; i != 100; ++i) (void)deep(10'000);
    BOOST_TEST(heddle::stats().segments == made);
    std::vector<heddle::join_handle<int>> all;
    for (int i = 0; i != 1000; ++i) all.push_back(heddle::spawn([] { return deep(1'000); }));
    for (auto& one : all) BOOST_TEST(one.join() == 1000);
    BOOST_TEST(heddle::stats().segments <= made + 64);
  });
}

[[gnu::noinline]] int deep_with_yields(int n) {
  volatile int here = n;
  if (n % 50 == 0) heddle::this_fiber::yield();
  return n == 0 ? 0 : deep_with_yields(n - 1) + (here == n ? 1 : 1000);
}
BOOST_AUTO_TEST_CASE(fibers_move_while_grown) {
  heddle::run(
      [] {
        std::vector<heddle::join_handle<int>> all;
        for (int i = 0; i != 100; ++i)
          all.push_back(heddle::spawn([] {
            int sum = 0;
            for (int k = 0; k != 10; ++k) sum += deep_with_yields(2'000);
            return sum;
          }));
        for (auto& one : all) BOOST_TEST(one.join() == 20'000);
      },
      {.procs = 4});
}

BOOST_AUTO_TEST_SUITE_END()

// --- exceptions -----------------------------------------------------------------------------------------------------

namespace {
struct counted {
  static inline std::atomic<int> alive{0};
  counted() { ++alive; }
  counted(const counted&) = delete;
  ~counted() { --alive; }
};
}  // namespace

[[gnu::noinline]] int throws_below(int n) {
  const counted here;
  volatile char frame[150];
  frame[0] = 1;
  if (n == 0) throw std::runtime_error("from below");
  return throws_below(n - 1) + frame[0];
}
[[gnu::noinline]] int rethrows_below(int n) {
  const counted here;
  volatile char frame[700];
  frame[0] = 1;
  if (n == 0) throw std::runtime_error("from below");
  try {
    return rethrows_below(n - 1) + frame[0];
  } catch (const std::exception&) {
    if (n % 3 == 0) heddle::this_fiber::yield();
    throw;
  }
}

BOOST_AUTO_TEST_SUITE(exceptions)

BOOST_AUTO_TEST_CASE(pass_many_segments) {
  beside_others([] {
    for (int i = 0; i != 5; ++i) {
      std::string what;
      try {
        (void)throws_below(opaque(3'000));
      } catch (const std::exception& e) {
        what = e.what();
      }
      if (what != "from below" || std::uncaught_exceptions() != 0) std::abort();
      if (deep(opaque(3'000)) != 3'000) std::abort();  // the stack is what it was
    }
  });
  BOOST_TEST(counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(are_caught_and_rethrown_on_the_way) {
  beside_others([] {
    try {
      (void)rethrows_below(opaque(200));
      std::abort();
    } catch (const std::runtime_error&) {
    }
  });
  BOOST_TEST(counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(leave_no_segment_behind) {
  heddle::run([] {
    const auto once = [] {
      try {
        (void)throws_below(3'000);
      } catch (const std::exception&) {
      }
    };
    for (int i = 0; i != 10; ++i) once();
    const std::size_t made = heddle::stats().segments;
    for (int i = 0; i != 100; ++i) once();
    BOOST_TEST(heddle::stats().segments == made);
  });
}

BOOST_AUTO_TEST_CASE(come_out_of_join) {
  heddle::run([] {
    auto failing = heddle::spawn([]() -> int { return throws_below(1'000); });
    BOOST_CHECK_THROW(failing.join(), std::runtime_error);
  });
}

BOOST_AUTO_TEST_CASE(pass_foreign_frames) {
  beside_others([] {
    std::array<int, 50> numbers;
    std::iota(numbers.begin(), numbers.end(), 0);
    try {
      std::qsort(numbers.data(), numbers.size(), sizeof(int),
                 [](const void*, const void*) -> int { return throws_below(opaque(100)); });
      std::abort();
    } catch (const std::runtime_error&) {
    }
  });
}

BOOST_AUTO_TEST_CASE(pass_on_large_stack) {
  beside_others([] {
    try {
      heddle::on_large_stack([] { (void)throws_below(opaque(10)); });
      std::abort();
    } catch (const std::runtime_error&) {
    }
  });
}

BOOST_AUTO_TEST_CASE(of_the_runtime_itself) {
  beside_others([] {
    heddle::channel<int> closed;
    closed.close();
    try {
      closed.send(1);
      std::abort();
    } catch (const heddle::channel_closed&) {
    }
    try {
      heddle::go({.stack_size = 5}, [] {});
      std::abort();
    } catch (const std::invalid_argument&) {
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()

// --- foreign code ---------------------------------------------------------------------------------------------------

namespace {
struct printer {
  virtual ~printer() = default;
  virtual int print(char* to, std::size_t size, double value) const = 0;
};
struct libc_printer final : printer {
  int print(char* to, std::size_t size, double value) const override { return std::snprintf(to, size, "%.17g", value); }
};

bool is_pi(const char* text) { return std::strcmp(text, "3.1415926535897931") == 0; }
}  // namespace

BOOST_AUTO_TEST_SUITE(foreign)

BOOST_AUTO_TEST_CASE(by_name) {
  beside_others([] {
    char text[64];
    std::snprintf(text, sizeof text, "%.17g", opaque(M_PI));
    if (!is_pi(text)) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(as_the_last_thing) {
  beside_others([] {
    struct local {
      [[gnu::noinline]] static int tail(char* to, double x) { return std::snprintf(to, 64, "%.17g", x); }
    };
    char text[64];
    local::tail(text, opaque(M_PI));
    if (!is_pi(text)) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(by_pointer) {
  beside_others([] {
    auto* const print = opaque(&std::snprintf);
    char text[64];
    print(text, sizeof text, "%.17g", opaque(M_PI));
    if (!is_pi(text)) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(by_pointer_as_the_last_thing) {
  beside_others([] {
    struct local {
      [[gnu::noinline]] static int tail(int (*f)(char*, std::size_t, const char*, ...), char* to, double x) {
        return f(to, 64, "%.17g", x);
      }
    };
    char text[64];
    local::tail(opaque(&std::snprintf), text, opaque(M_PI));
    if (!is_pi(text)) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(by_a_symbol_looked_up) {
  beside_others([] {
    auto* const print =
        reinterpret_cast<int (*)(char*, std::size_t, const char*, ...)>(::dlsym(RTLD_DEFAULT, "snprintf"));
    char text[64];
    print(text, sizeof text, "%.17g", opaque(M_PI));
    if (!is_pi(text)) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(by_virtual_call) {
  const std::unique_ptr<printer> p = std::make_unique<libc_printer>();
  beside_others([&] {
    char text[64];
    opaque(p.get())->print(text, sizeof text, opaque(M_PI));
    if (!is_pi(text)) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(by_std_function) {
  const std::function<int(char*, std::size_t, double)> print = [](char* to, std::size_t size, double x) {
    return std::snprintf(to, size, "%.17g", x);
  };
  const std::function<double(double)> libm = static_cast<double (*)(double)>(&std::tgamma);
  beside_others([&] {
    char text[64];
    print(text, sizeof text, opaque(M_PI));
    if (!is_pi(text) || libm(opaque(5.0)) != 24) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(as_the_whole_fiber) {
  static std::atomic<int> calls{0};
  struct local {
    static void f() {
      char text[64];
      std::snprintf(text, sizeof text, "%.17g", opaque(M_PI));
      calls += is_pi(text) ? 1 : 0;
    }
  };
  heddle::run([] {
    for (int i = 0; i != 100; ++i) heddle::go(opaque(&local::f));
    for (int i = 0; i != 100; ++i) heddle::go(&std::free, nullptr);
  });
  BOOST_TEST(calls == 100);
}

BOOST_AUTO_TEST_CASE(iostreams) {
  beside_others([] {
    std::ostringstream out;
    out << std::setprecision(17) << opaque(M_PI) << " " << std::hex << 255 << std::put_money(12345);
    if (out.str().rfind("3.1415926535897931 ff", 0) != 0) std::abort();
    std::istringstream in("1 2.5 three");
    int i = 0;
    double d = 0;
    std::string s;
    in >> i >> d >> s;
    if (i != 1 || d != 2.5 || s != "three") std::abort();
  });
}

BOOST_AUTO_TEST_CASE(qsort_with_our_comparator) {
  beside_others([] {
    std::vector<int> numbers(300);
    for (std::size_t i = 0; i != numbers.size(); ++i) numbers[i] = static_cast<int>(i * 7919 % 300);
    std::qsort(numbers.data(), numbers.size(), sizeof(int), [](const void* a, const void* b) {
      if (deep(opaque(20)) != 20) std::abort();
      return *static_cast<const int*>(a) - *static_cast<const int*>(b);
    });
    if (!std::is_sorted(numbers.begin(), numbers.end())) std::abort();
  });
}

BOOST_AUTO_TEST_CASE(what_needs_much_of_it) {
  beside_others([] {
    const std::regex words("([a-z]+) ([0-9]+)");
    std::smatch found;
    const std::string text = "heddle 42";
    if (!std::regex_match(text, found, words) || found[2] != "42") std::abort();
    if (!std::filesystem::exists("/proc/self/status")) std::abort();
    std::ifstream file("/proc/self/status");
    std::string line;
    if (!std::getline(file, line) || line.rfind("Name:", 0) != 0) std::abort();
  });
  beside_others([] {
    heddle::on_large_stack([] {
      addrinfo* all = nullptr;
      if (::getaddrinfo("127.0.0.1", "80", nullptr, &all) == 0) ::freeaddrinfo(all);
      std::vector<char> text(6'000);
      std::snprintf(text.data(), text.size(), "%.0Lf", opaque(1e4931L));
      if (std::strlen(text.data()) != 4932) std::abort();
    });
  });
}

BOOST_AUTO_TEST_CASE(threads_made_by_fibers) {
  beside_others(
      [] {
        std::atomic<int> result{0};
        std::thread([&] { result = deep(opaque(1'000)); }).join();
        if (result != 1'000) std::abort();
      },
      4);
}

BOOST_AUTO_TEST_CASE(memory_and_strings) {
  beside_others([] {
    std::vector<std::string> all;
    for (int i = 0; i != 200; ++i) all.push_back(std::string(static_cast<std::size_t>(i), 'x') + std::to_string(i));
    std::shared_ptr<std::string> shared = std::make_shared<std::string>(all[150]);
    if (*shared != std::string(150, 'x') + "150") std::abort();
  });
}

[[gnu::noinline]] int jumps_from_below(int n, std::jmp_buf& to) {
  volatile char frame[300];
  frame[0] = 1;
  if (n < 0) return 0;
  if (n == 0) std::longjmp(to, 7);
  return jumps_from_below(n - 1, to) + frame[0];
}
BOOST_AUTO_TEST_CASE(longjmp_across_segments) {
  beside_others([] {
    for (int i = 0; i != 20; ++i) {
      std::jmp_buf here;
      const int came_back = setjmp(here);
      if (came_back == 0) (void)jumps_from_below(opaque(500), here);
      if (came_back != 7 || deep(opaque(100)) != 100) std::abort();
    }
  });
  heddle::run([] {
    const auto once = [] {
      std::jmp_buf here;
      if (setjmp(here) == 0) (void)jumps_from_below(opaque(2'000), here);
    };
    once();
    const std::size_t made = heddle::stats().segments;
    for (int i = 0; i != 100; ++i) once();
    BOOST_TEST(heddle::stats().segments == made);
  });
}

BOOST_AUTO_TEST_CASE(handlers_of_signals) {
  static std::atomic<int> handled{0};
  struct sigaction action {};
  struct sigaction before {};
  action.sa_handler = [](int) {
    if (deep(opaque(50)) == 50) ++handled;
  };
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  ::sigaction(SIGUSR1, &action, &before);
  beside_others([] { ::raise(SIGUSR1); });
  ::sigaction(SIGUSR1, &before, nullptr);
  BOOST_TEST(handled == 40);
}

BOOST_AUTO_TEST_SUITE_END()

// --- with the rest of heddle ----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(kinds)

BOOST_AUTO_TEST_CASE(what_was_compiled_for_it_is_segmented) {
  heddle::run([] {
    const std::size_t before = heddle::stats().segments;
    std::size_t used = 0;
    heddle::go([&] { used = heddle::this_fiber::stack_used(); });
    while (used == 0) heddle::this_fiber::yield();
    BOOST_TEST(used < 2'000);
    BOOST_TEST(heddle::stats().segments >= before);
  });
}

BOOST_AUTO_TEST_CASE(contiguous_if_asked) {
  heddle::run([] {
    const std::size_t used = heddle::spawn({.stack = heddle::stack_kind::contiguous}, [] {
                               (void)deep(500);
                               return heddle::this_fiber::stack_used();
                             }).join();
    BOOST_TEST(used > 0);
    const std::size_t made = heddle::stats().segments;
    BOOST_TEST(heddle::spawn({.stack_size = 1 << 20}, [] { return deep(4'000); }).join() == 4'000);
    BOOST_TEST(heddle::stats().segments == made);
  });
}

BOOST_AUTO_TEST_CASE(of_any_first_size) {
  heddle::run([] {
    for (const std::size_t size : {1024, 2048, 16384, 65536, 1 << 20})
      BOOST_TEST(heddle::spawn({.stack_size = size, .stack = heddle::stack_kind::segmented}, [] {
                   return deep(20'000);
                 }).join() == 20'000);
  });
}

BOOST_AUTO_TEST_CASE(sizes_out_of_range) {
  heddle::run([] {
    for (const std::size_t size : {1, 1023, 3000, 4096, 16383, (64 << 20) + 1})
      BOOST_CHECK_EXCEPTION(
          heddle::go({.stack_size = size, .stack = heddle::stack_kind::segmented}, [] {}), std::invalid_argument,
          [&](const auto& e) { return std::string(e.what()).find(std::to_string(size)) != std::string::npos; });
  });
  BOOST_CHECK_THROW(heddle::run([] {}, {.segment_size = 4096}), std::invalid_argument);
  BOOST_CHECK_THROW(heddle::run([] {}, {.max_stack = 1000}), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(everything_of_sync) {
  heddle::run(
      [] {
        heddle::channel<std::string> words(3);
        heddle::channel<int> sums;
        heddle::mutex m;
        heddle::wait_group all;
        long guarded = 0;
        for (int i = 0; i != 50; ++i) {
          all.add(1);
          heddle::go([&, i] {
            words.send(std::string(static_cast<std::size_t>(i), 'a'));
            const std::lock_guard hold(m);
            guarded += deep(100);
            heddle::this_fiber::sleep_for(10us);
            all.done();
          });
        }
        auto reader = heddle::spawn([&] {
          std::size_t sum = 0;
          for (const std::string& word : words) sum += word.size();
          sums.send(static_cast<int>(sum));
        });
        all.wait();
        words.close();
        BOOST_TEST(*sums.receive() == 1225);
        BOOST_TEST(guarded == 5000);
      },
      {.procs = 2});
}

BOOST_AUTO_TEST_CASE(what_a_closure_carries) {
  std::atomic<int> sum{0};
  heddle::run(
      [&] {
        const std::string text(100, 'x');
        const std::array<char, 500> large{};
        for (int i = 0; i != 200; ++i) {
          heddle::go([&sum, text] { sum += static_cast<int>(text.size()); });
          heddle::go([&sum, large] { sum += large[7] + 1; });
          heddle::go({.name = "a name that is too long for a short string"}, [&sum, shared = std::make_shared<int>(3)] {
            sum += *shared;
            heddle::this_fiber::name("another name, as long as the first one was");
          });
          heddle::spawn([text] { return text; }).detach();
        }
      },
      {.procs = 2});
  BOOST_TEST(sum == 200 * 104);
}

BOOST_AUTO_TEST_CASE(on_large_stack_returns) {
  beside_others([] {
    if (heddle::on_large_stack([] { return std::string("value"); }) != "value") std::abort();
    int n = 0;
    int& r = heddle::on_large_stack([&]() -> int& { return n; });
    if (&r != &n) std::abort();
    heddle::on_large_stack(
        [&] {
          heddle::this_fiber::yield();
          char* const all = static_cast<char*>(__builtin_frame_address(0)) - 900'000;
          std::memset(all, 1, 890'000);
          n = 1;
        },
        1 << 20);
    if (n != 1) std::abort();
  });
  BOOST_TEST(heddle::on_large_stack([] { return 5; }) == 5);  // a plain thread
}

BOOST_AUTO_TEST_CASE(many_small_ones_fit) {
  heddle::run(
      [] {
        heddle::channel<int> gate;
        heddle::wait_group done;
        constexpr int n = 20'000;
        int parked = 0;
        for (int i = 0; i != n; ++i) {
          done.add(1);
          heddle::go([&] {
            ++parked;
            (void)gate.receive();
            done.done();
          });
        }
        while (parked != n) heddle::this_fiber::yield();
        BOOST_TEST(heddle::stats().segments < 10);  // nobody needed a second one
        gate.close();
        done.wait();
      },
      {.procs = 1, .segment_size = 1024});
}

BOOST_AUTO_TEST_SUITE_END()

// --- preemption -----------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_SUITE(preemption)

[[gnu::noinline]] double works(double x) { return std::sqrt(x * x + 1) - 1e-9 * deep(3); }

BOOST_AUTO_TEST_CASE(a_loop_that_calls_a_function_yields) {
  for (const bool vectors : {false, true}) {
    std::atomic<bool> stop{false};
    std::chrono::steady_clock::duration waited{};
    double sum = 0;
    heddle::run(
        [&] {
          auto busy = heddle::spawn([&] {
            double local = 1;
            std::array<double, 8> lanes{1, 2, 3, 4, 5, 6, 7, 8};
            while (!stop.load(std::memory_order_relaxed)) {
              local = works(local);
              if (vectors)
                for (double& lane : lanes) lane = lane * 1.0000001 + local;
            }
            sum = local + lanes[3];
          });
          heddle::this_fiber::yield();  // busy runs, and has the only processor
          const auto begin = std::chrono::steady_clock::now();
          heddle::this_fiber::yield();
          waited = std::chrono::steady_clock::now() - begin;
          stop = true;
          busy.join();
        },
        {.procs = 1, .max_machines = 1});
    BOOST_TEST(sum != 0);
    const double ms = std::chrono::duration<double, std::milli>(waited).count();
    BOOST_TEST_MESSAGE("the other fiber ran after " << ms << " ms");
  }
}

BOOST_AUTO_TEST_CASE(every_register_survives) {
  struct check {
    [[gnu::noinline]] static std::array<double, 8> step(std::array<double, 8> v, long& calls, double a, double b,
                                                        double c, double d) {
      ++calls;
      v[0] += a;
      v[1] += b;
      v[2] += c;
      v[3] += d;
      return v;
    }
  };
  heddle::run(
      [&] {
        std::vector<heddle::join_handle<bool>> all;
        for (int i = 0; i != 4; ++i)
          all.push_back(heddle::spawn([] {
            std::array<double, 8> v{};
            long calls = 0;
            const auto end = std::chrono::steady_clock::now() + 200ms;
            do {
              for (int k = 0; k != 1000; ++k) v = check::step(v, calls, 1, 2, 3, 4);
            } while (std::chrono::steady_clock::now() < end);
            const auto n = static_cast<double>(calls);
            return v[0] == n && v[1] == 2 * n && v[2] == 3 * n && v[3] == 4 * n && v[4] == 0;
          }));
        for (auto& one : all) BOOST_TEST(one.join());
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_CASE(not_under_a_lock_of_the_runtime) {
  struct slow {
    int value = 0;
    slow() = default;
    explicit slow(int v) : value(v) {}
    slow(slow&& other) noexcept : value(other.value) {
      for (int i = 0; i != 300; ++i) (void)works(i);
    }
    slow& operator=(slow&&) = default;
  };
  heddle::run(
      [] {
        heddle::channel<slow> c(4);
        std::vector<heddle::join_handle<void>> all;
        for (int k = 0; k != 4; ++k)
          all.push_back(heddle::spawn([&] {
            for (int i = 0; i != 2'000; ++i) c.send(slow(i));
          }));
        for (int k = 0; k != 4; ++k)
          all.push_back(heddle::spawn([&] {
            for (int i = 0; i != 2'000; ++i) (void)c.receive();
          }));
      },
      {.procs = 2, .slice = 1ms});
}

[[gnu::noinline]] int has_a_frame_for_a_segment(int n) {
  volatile int frame[600];
  frame[n % 600] = n;
  return frame[n % 600];
}
BOOST_AUTO_TEST_CASE(on_the_boundary_of_a_segment) {
  std::atomic<long> sum{0};
  heddle::run(
      [&] {
        for (int k = 0; k != 6; ++k)
          heddle::go([&] {
            long mine = 0;
            for (int round = 0; round != 200; ++round) {
              for (int i = 0; i != 20'000; ++i) mine += has_a_frame_for_a_segment(1);
              sum += mine;
              mine = 0;
            }
          });
      },
      {.procs = 2, .slice = 1ms});
  BOOST_TEST(sum == 6L * 200 * 20'000);
}

BOOST_AUTO_TEST_CASE(can_be_turned_off) {
  heddle::run(
      [] {
        bool ran = false;
        heddle::go([&] { ran = true; });
        const auto end = std::chrono::steady_clock::now() + 50ms;
        while (std::chrono::steady_clock::now() < end) (void)works(1);
        BOOST_TEST(!ran);
      },
      {.procs = 1, .monitor = false, .preempt = false});
}

BOOST_AUTO_TEST_SUITE_END()

// --- other libraries' contexts ------------------------------------------------------------------------------------

extern "C" {
void* __splitstack_makecontext(std::size_t, void*, std::size_t*) noexcept;
void __splitstack_releasecontext(void*) noexcept;
void __splitstack_getcontext(void*) noexcept;
void __splitstack_setcontext(void*) noexcept;
void* __splitstack_find(void*, void*, std::size_t*, void**, void**, void**) noexcept;
}

namespace {
/// A stack as Boost.Context's segmented_stack makes them, and a switch to it and back.
int on_a_context_of_its_own(int n) {
  struct crossing {
    std::array<void*, 10> mine{}, other{};
    int n = 0;
    int result = 0;
  } c;
  c.n = n;
  std::size_t size = 0;
  char* const bottom = static_cast<char*>(__splitstack_makecontext(16'384, c.other.data(), &size));
  const auto inside = [](boost::context::detail::transfer_t t) {
    auto& here = *static_cast<crossing*>(t.data);
    here.result = deep(here.n);
    __splitstack_getcontext(here.other.data());
    __splitstack_setcontext(here.mine.data());
    boost::context::detail::jump_fcontext(t.fctx, nullptr);
  };
  const auto context = boost::context::detail::make_fcontext(bottom + size, size, inside);
  __splitstack_getcontext(c.mine.data());
  __splitstack_setcontext(c.other.data());
  boost::context::detail::jump_fcontext(context, &c);
  __splitstack_releasecontext(c.other.data());
  return c.result;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(splitstack)

BOOST_AUTO_TEST_CASE(contexts_within_a_fiber) {
  beside_others([] {
    if (on_a_context_of_its_own(opaque(5'000)) != 5'000 || deep(opaque(1'000)) != 1'000) std::abort();
  });
}
BOOST_AUTO_TEST_CASE(contexts_on_a_plain_thread) { BOOST_TEST(on_a_context_of_its_own(opaque(5'000)) == 5'000); }

[[gnu::noinline]] std::size_t segments_seen(int n, std::size_t& bytes) {
  volatile char frame[1000];
  frame[0] = 1;
  if (n != 0) return segments_seen(n - 1, bytes) + (frame[0] - 1u);
  std::size_t segments = 0;
  std::size_t length = 0;
  void* next = nullptr;
  void* sp = nullptr;
  void* first = nullptr;
  for (void* at = __splitstack_find(nullptr, nullptr, &length, &next, &sp, &first); at != nullptr;
       at = next != nullptr ? __splitstack_find(next, nullptr, &length, &next, &sp, &first) : nullptr) {
    ++segments;
    bytes += length;
  }
  return segments;
}
BOOST_AUTO_TEST_CASE(find_goes_through_all_segments) {
  heddle::run([] {
    std::size_t bytes = 0;
    BOOST_TEST(segments_seen(opaque(200), bytes) >= 3);
    BOOST_TEST(bytes > 200'000);
  });
}

BOOST_AUTO_TEST_SUITE_END()

// --- reports --------------------------------------------------------------------------------------------------------

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

// --- memory ---------------------------------------------------------------------------------------------------------

namespace {
std::size_t resident() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t pages = 0;
  file >> total >> pages;
  return pages * 4096;
}
}  // namespace

BOOST_AUTO_TEST_CASE(memory_comes_back_after_a_burst) {
  heddle::run([] {
    const auto burst = [](int n) {
      heddle::channel<int> gate;
      heddle::wait_group done;
      std::atomic<int> parked{0};
      for (int i = 0; i != n; ++i) {
        done.add(1);
        heddle::go([&] {
          ++parked;
          (void)gate.receive();
          done.done();
        });
      }
      while (parked != n) heddle::this_fiber::yield();
      const std::size_t most = resident();
      gate.close();
      done.wait();
      return most;
    };
    burst(1000);
    const std::size_t before = resident();
    const std::size_t most = burst(100'000);
#if defined(__OPTIMIZE__)  // others need more than a page
    BOOST_TEST(most > before + 100'000 * 1900);
    BOOST_TEST(most < before + 100'000 * 2250);
#endif
    std::size_t now = most;
    for (int i = 0; i != 100 && now > before + before / 10; ++i) {
      heddle::this_fiber::sleep_for(100ms);
      ::malloc_trim(0);
      now = resident();
    }
    BOOST_TEST(now <= before + before / 10);
    burst(1000);
  });
}
