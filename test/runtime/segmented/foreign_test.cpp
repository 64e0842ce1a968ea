// SPDX-License-Identifier: BSL-1.0
//
// Every way into code that knows nothing of segments.
#include <dlfcn.h>
#include <netdb.h>
#include <signal.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iomanip>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "runtime/segmented/small_stacks.hpp"

using heddle::testing::beside_others;
using heddle::testing::deep;
using heddle::testing::one_machine;
using heddle::testing::opaque;

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
  const auto main = [] {
    const auto once = [] {
      std::jmp_buf here;
      if (setjmp(here) == 0) (void)jumps_from_below(opaque(2'000), here);
    };
    once();
    const std::size_t made = heddle::stats().segments;
    for (int i = 0; i != 100; ++i) once();
    BOOST_TEST(heddle::stats().segments == made);
  };
  heddle::run(main, one_machine);
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
