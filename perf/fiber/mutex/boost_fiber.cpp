// SPDX-License-Identifier: BSL-1.0
#include "common/boost_fibers.hpp"

#include <atomic>

#include "common/bench.hpp"

// `fibers` fibers count to `rounds` each, together and under one lock. Timed from the moment the last one has started
// until the last has ended.
static double count(std::uint64_t fibers, std::uint64_t rounds) {
  boost::fibers::mutex mutex;
  std::uint64_t counter = 0;
  std::atomic<std::uint64_t> started{0}, finished{0};
  double start = 0, end = 0;
  std::vector<boost::fibers::fiber> all;
  for (std::uint64_t i = 0; i < fibers; ++i) {
    all.emplace_back([&] {
      if (started.fetch_add(1) + 1 == fibers) start = perf::now();
      while (started.load() < fibers) boost::this_fiber::yield();
      for (std::uint64_t n = 0; n < rounds; ++n) {
        const std::lock_guard lock(mutex);
        counter = counter + 1;
      }
      if (finished.fetch_add(1) + 1 == fibers) end = perf::now();
    });
  }
  for (auto& fiber : all) fiber.join();
  perf::require(counter == fibers * rounds, "an increment was lost");
  return end - start;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"one", 1}, {"few", 2}, {"some", 8}, {"many", 1'000}});
  perf::report report;
  perf::run_boost_fibers(args.procs(), [&] {
    for (const char* size : {"one", "few", "some", "many"}) {
      const std::uint64_t fibers = args[size];
      const double ns = perf::measure(args, [&](std::uint64_t rounds) { return count(fibers, rounds); });
      report.add("fibers_" + std::to_string(fibers) + "_ns", ns / static_cast<double>(fibers));
    }
  });
  report.print();
}
