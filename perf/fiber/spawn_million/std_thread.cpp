// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <thread>
#include <vector>

#include "common/bench.hpp"
#include "common/threads.hpp"

// Starts `n` threads, then waits for all of them.
static double spawn_all(std::uint64_t n) {
  std::atomic<std::uint64_t> sum{0};
  const double elapsed = perf::timed([&] {
    std::vector<std::thread> all;
    all.reserve(n);
    for (std::uint64_t i = 0; i < n; ++i) {
      all.emplace_back([&, i] { sum.fetch_add(i, std::memory_order_relaxed); });
    }
    for (auto& thread : all) thread.join();
  });
  perf::require(sum == n * (n - 1) / 2, "a thread was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"fibers", 1'000'000}, {"most", perf::most_threads}});
  const std::uint64_t threads = std::min(args["fibers"], args["most"]);
  perf::use_processors(args.procs());
  perf::report report;
  spawn_all(threads / 100);  // warm up
  report.add("spawn_ns", spawn_all(threads) / static_cast<double>(threads));
  report.capped("spawn_ns", threads, args["fibers"], "threads");
  report.print();
}
