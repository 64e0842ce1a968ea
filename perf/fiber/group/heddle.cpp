// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <heddle/heddle.hpp>

#include "common/bench.hpp"

// `n` times: `children` fibers are started and awaited.
static double in_groups(std::uint64_t n, std::uint64_t children) {
  std::atomic<std::uint64_t> sum{0};
  const double elapsed = perf::timed([&] {
    for (std::uint64_t i = 0; i < n; ++i) {
      heddle::group group;
      for (std::uint64_t c = 0; c < children; ++c) group.spawn([&sum] { sum.fetch_add(1, std::memory_order_relaxed); });
      group.wait();
    }
  });
  perf::require(sum == n * children, "a child was lost");
  return elapsed;
}

// The same without what a group does: nobody is stopped, no exception comes out.
static double with_wait_groups(std::uint64_t n, std::uint64_t children) {
  std::atomic<std::uint64_t> sum{0};
  const double elapsed = perf::timed([&] {
    for (std::uint64_t i = 0; i < n; ++i) {
      heddle::wait_group group;
      for (std::uint64_t c = 0; c < children; ++c) {
        group.add();
        heddle::go([&sum, &group] {
          sum.fetch_add(1, std::memory_order_relaxed);
          group.done();
        });
      }
      group.wait();
    }
  });
  perf::require(sum == n * children, "a child was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"few", 2}, {"many", 1'000}});
  perf::report report;
  heddle::run(
      [&] {
        for (const char* size : {"few", "many"}) {
          const std::uint64_t children = args[size];
          const auto add = [&](const char* how, double (*batch)(std::uint64_t, std::uint64_t)) {
            const double ns = perf::measure(args, [&](std::uint64_t n) { return batch(n, children); });
            report.add(how + std::to_string(children) + "_ns", ns / static_cast<double>(children));
          };
          add("group_", in_groups);
          add("wait_group_", with_wait_groups);
        }
      },
      {.procs = args.procs()});
  report.print();
}
