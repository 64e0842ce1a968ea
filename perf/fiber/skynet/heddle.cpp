// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <heddle/heddle.hpp>

#include "common/bench.hpp"

// A fiber with ten children, each with ten children ... until there are `leaves`; every leaf returns its
// number and everyone else the sum of its children.
static std::uint64_t skynet(std::uint64_t first, std::uint64_t leaves) {
  if (leaves <= 1) return first;
  std::array<heddle::join_handle<std::uint64_t>, 10> children;
  for (std::uint64_t i = 0; i < 10; ++i) {
    children[i] = heddle::spawn(skynet, first + i * (leaves / 10), leaves / 10);
  }
  std::uint64_t sum = 0;
  for (auto& child : children) sum += child.join();
  return sum;
}

static double timed_skynet(std::uint64_t leaves) {
  std::uint64_t sum = 0;
  const double elapsed = perf::timed([&] { sum = heddle::spawn(skynet, 0, leaves).join(); });
  perf::require(sum == leaves * (leaves - 1) / 2, "the sum is wrong");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"leaves", 1'000'000}});
  const std::uint64_t leaves = args["leaves"];
  perf::report report;
  heddle::run(
      [&] {
        timed_skynet(leaves / 100);  // warm up
        report.add("leaf_ns", timed_skynet(leaves) / static_cast<double>(leaves));
      },
      {.procs = args.procs()});
  report.print();
}
