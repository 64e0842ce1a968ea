// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <thread>

#include "common/bench.hpp"
#include "common/threads.hpp"

// A thread with ten children, each with ten children ... until there are `leaves`; every leaf returns its
// number and everyone else the sum of its children.
static void skynet(std::uint64_t& sum, std::uint64_t first, std::uint64_t leaves) {
  sum = first;
  if (leaves <= 1) return;
  std::array<std::thread, 10> children;
  std::array<std::uint64_t, 10> sums;
  for (std::uint64_t i = 0; i < 10; ++i) {
    children[i] = std::thread(skynet, std::ref(sums[i]), first + i * (leaves / 10), leaves / 10);
  }
  sum = 0;
  for (std::uint64_t i = 0; i < 10; ++i) {
    children[i].join();
    sum += sums[i];
  }
}

static double timed_skynet(std::uint64_t leaves) {
  std::uint64_t sum = 0;
  const double elapsed = perf::timed([&] { std::thread(skynet, std::ref(sum), 0, leaves).join(); });
  perf::require(sum == leaves * (leaves - 1) / 2, "the sum is wrong");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"leaves", 1'000'000}, {"most", 1'000}});
  const std::uint64_t leaves = std::min(args["leaves"], args["most"]);
  perf::use_processors(args.procs());
  perf::report report;
  timed_skynet(leaves / 100);  // warm up
  report.add("leaf_ns", timed_skynet(leaves) / static_cast<double>(leaves));
  report.capped("leaf_ns", leaves, args["leaves"], "leaves");
  report.print();
}
