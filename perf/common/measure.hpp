// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "common/arguments.hpp"

namespace perf {

/// Wall time in nanoseconds since some fixed point.
inline double now() {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Nanoseconds per operation. `batch(n)` performs n operations and returns the nanoseconds they took; it is called once
/// to warm up and then with growing n until a batch lasts `--ms`, so that slow and fast contenders are measured for the
/// same time. A first batch that lasts four times that needs no warming up. Source: Go's testing.B.
template <class Batch>
double measure(const arguments& args, Batch&& batch, std::uint64_t first = 1) {
  const double wanted = static_cast<double>(args["ms"]) * 1e6;
  std::uint64_t n = first;
  double elapsed = batch(n);
  for (double enough = 4 * wanted; elapsed < enough; enough = wanted) {
    const double scale = std::clamp(1.2 * wanted / std::max(elapsed, 1.0), 1.0, 100.0);
    n = static_cast<std::uint64_t>(static_cast<double>(n) * scale);
    elapsed = batch(n);
  }
  return elapsed / static_cast<double>(n);
}

/// Nanoseconds that f() takes.
template <class F>
double timed(F&& f) {
  const double start = now();
  f();
  return now() - start;
}

}  // namespace perf
