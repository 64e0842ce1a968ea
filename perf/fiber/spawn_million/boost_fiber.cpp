// SPDX-License-Identifier: BSL-1.0
#include "common/boost_fibers.hpp"

#include <atomic>

#include "common/bench.hpp"

// Starts `n` fibers, then waits for all of them.
static double spawn_all(std::uint64_t n) {
  std::atomic<std::uint64_t> sum{0};
  const double elapsed = perf::timed([&] {
    std::vector<boost::fibers::fiber> all;
    all.reserve(n);
    for (std::uint64_t i = 0; i < n; ++i) {
      all.emplace_back([&, i] { sum.fetch_add(i, std::memory_order_relaxed); });
    }
    for (auto& fiber : all) fiber.join();
  });
  perf::require(sum == n * (n - 1) / 2, "a fiber was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"fibers", 1'000'000}, {"most", perf::most_boost_fibers}});
  const std::uint64_t fibers = std::min(args["fibers"], args["most"]);
  perf::report report;
  perf::run_boost_fibers(args.procs(), [&] {
    spawn_all(fibers / 100);  // warm up
    report.add("spawn_ns", spawn_all(fibers) / static_cast<double>(fibers));
  });
  report.capped("spawn_ns", fibers, args["fibers"], "fibers");
  report.print();
}
