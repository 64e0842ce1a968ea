// SPDX-License-Identifier: BSL-1.0
//
// Stacks that grow: every way into a frame that does not fit.
#include <alloca.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "heddle/heddle.hpp"
#include "runtime/segmented/small_stacks.hpp"
#include "support/leak_check.hpp"

using heddle::testing::beside_others;
using heddle::testing::deep;
using heddle::testing::one_machine;
using heddle::testing::opaque;

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

/// Goes down n frames, and waits there until the gate is closed.
[[gnu::noinline]] void waits_deep_down(int n, std::atomic<int>& down, heddle::channel<int>& gate) {
  volatile char frame[100];
  frame[n % 100] = 1;
  if (n != 0) return waits_deep_down(n - 1, down, gate), static_cast<void>(frame[n % 100]);
  ++down;
  (void)gate.receive();
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
  const auto main = [] {
    (void)deep(10'000);
    const std::size_t made = heddle::stats().segments;
    BOOST_TEST(made > 0);
    for (int i = 0; i != 100; ++i) (void)deep(10'000);
    BOOST_TEST(heddle::stats().segments == made);
    std::vector<heddle::join_handle<int>> all;
    for (int i = 0; i != 1000; ++i) all.push_back(heddle::spawn([] { return deep(1'000); }));
    for (auto& one : all) BOOST_TEST(one.join() == 1000);
    BOOST_TEST(heddle::stats().segments <= made + 64);
  };
  heddle::run(main, one_machine);
}

[[gnu::noinline]] int deep_with_yields(int n) {
  volatile int here = n;
  if (n % 50 == 0) heddle::this_fiber::yield();
  return n == 0 ? 0 : deep_with_yields(n - 1) + (here == n ? 1 : 1000);
}
BOOST_AUTO_TEST_CASE(the_deepest_is_known) {
  heddle::run([] {
    const std::size_t before = heddle::deepest_stack();
    BOOST_TEST(before < 100'000u);
    if (heddle::spawn([] { return deep(opaque(2'000)); }).join() != 2'000) std::abort();
    const std::size_t deepest = heddle::deepest_stack();
    BOOST_TEST(deepest > 2'000u * 32);  // each frame has that at least
    BOOST_TEST(deepest < 4u << 20);
    // More than a machine keeps segments for grow at once, each less: that changes nothing.
    heddle::channel<int> gate;
    std::atomic<int> down{0};
    heddle::group others;
    for (int i = 0; i != 100; ++i) others.spawn([&] { waits_deep_down(opaque(100), down, gate); });
    while (down != 100) heddle::this_fiber::yield();
    BOOST_TEST(heddle::deepest_stack() == deepest);
    gate.close();
    others.wait();
  });
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
