// SPDX-License-Identifier: BSL-1.0
#include <heddle/heddle.hpp>
#include <mutex>
#include <vector>

#include "common/bench.hpp"

// `fibers` fibers count to `rounds` each, together and under one lock.
static double count(std::uint64_t fibers, std::uint64_t rounds) {
  heddle::mutex mutex;
  std::uint64_t counter = 0;
  const double elapsed = perf::timed([&] {
    std::vector<heddle::join_handle<void>> all;
    for (std::uint64_t i = 0; i < fibers; ++i) {
      all.push_back(heddle::spawn([&] {
        for (std::uint64_t n = 0; n < rounds; ++n) {
          const std::lock_guard lock(mutex);
          counter = counter + 1;
        }
      }));
    }
    for (auto& fiber : all) fiber.join();
  });
  perf::require(counter == fibers * rounds, "an increment was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"one", 1}, {"few", 2}, {"some", 8}, {"many", 1'000}});
  perf::report report;
  heddle::run(
      [&] {
        for (const char* size : {"one", "few", "some", "many"}) {
          const std::uint64_t fibers = args[size];
          const double ns = perf::measure(args, [&](std::uint64_t rounds) { return count(fibers, rounds); });
          report.add("fibers_" + std::to_string(fibers) + "_ns", ns / static_cast<double>(fibers));
        }
      },
      {.procs = args.procs()});
  report.print();
}
