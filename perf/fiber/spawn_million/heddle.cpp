// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <heddle/heddle.hpp>

#include "common/bench.hpp"

// Starts `n` fibers, then waits for all of them.
static double spawn_all(std::uint64_t n) {
  std::atomic<std::uint64_t> sum{0};
  const double elapsed = perf::timed([&] {
    heddle::wait_group done;
    done.add(static_cast<long>(n));
    for (std::uint64_t i = 0; i < n; ++i) {
      heddle::go([&, i] {
        sum.fetch_add(i, std::memory_order_relaxed);
        done.done();
      });
    }
    done.wait();
  });
  perf::require(sum == n * (n - 1) / 2, "a fiber was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"fibers", 1'000'000}});
  const std::uint64_t fibers = args["fibers"];
  perf::report report;
  heddle::run(
      [&] {
        spawn_all(fibers / 100);  // warm up
        report.add("spawn_ns", spawn_all(fibers) / static_cast<double>(fibers));
      },
      {.procs = args.procs()});
  report.print();
}
