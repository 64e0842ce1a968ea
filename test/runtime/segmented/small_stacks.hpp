// SPDX-License-Identifier: BSL-1.0
//
// What the tests of stacks that grow share.
#pragma once

#include <boost/test/unit_test.hpp>
#include <vector>

#include "heddle/heddle.hpp"

namespace heddle::testing {

/// On one machine throughout: a further one takes segments of its own for a fiber that comes to it with a segmented
/// stack, and a busy machine makes further ones.
inline constexpr heddle::options one_machine{.procs = 1, .monitor = false};

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

/// Goes down n frames of some 150 bytes each, and returns n.
[[gnu::noinline]] inline int deep(int n) {
  volatile char frame[100];
  frame[n % 100] = 1;
  return n == 0 ? 0 : deep(n - 1) + frame[n % 100];
}

}  // namespace heddle::testing
