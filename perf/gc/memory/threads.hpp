// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <latch>
#include <thread>
#include <vector>

#include "common/threads.hpp"

namespace perf::gc {

/// Workers that are threads: for every kind of memory but heddle's.
struct on_threads {
  template <class F>
  static void run(const arguments& args, F&& f) {
    use_processors(args.procs());
    f();
  }

  /// Runs f(0) ... f(count - 1) at once and returns when all have ended. A single one runs on the calling thread.
  template <class F>
  static void on_workers(unsigned count, F&& f) {
    if (count == 1) return f(0u);
    std::latch begin(count);
    std::vector<std::jthread> all;
    for (unsigned i = 0; i < count; ++i) {
      all.emplace_back([&, i] {
        begin.arrive_and_wait();
        f(i);
      });
    }
  }

  /// ns: of perf::now().
  static void sleep_until(double ns) {
    const std::chrono::duration<double, std::nano> since_start(ns);
    std::this_thread::sleep_until(std::chrono::steady_clock::time_point(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(since_start)));
  }
  /// Lets others of its processor run where nobody takes it away. The kernel does.
  static void yield() {}
};

}  // namespace perf::gc
