// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace perf {

constexpr std::uint64_t fibonacci(std::uint64_t n) {
  std::uint64_t a = 0, b = 1;
  for (; n > 0; --n) {
    const std::uint64_t next = a + b;
    a = b;
    b = next;
  }
  return a;
}

/// How often fib(n) spawns when it spawns one of its two calls: s(n) = s(n-1) + s(n-2) + 1, s(0) = s(1) = 0.
constexpr std::uint64_t fibonacci_spawns(std::uint64_t n) { return fibonacci(n + 1) - 1; }

}  // namespace perf
