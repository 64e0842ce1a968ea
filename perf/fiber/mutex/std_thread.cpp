// SPDX-License-Identifier: BSL-1.0
#include <mutex>
#include <thread>
#include <vector>

#include "common/bench.hpp"
#include "common/threads.hpp"

// `threads` threads count to `rounds` each, together and under one lock.
static double count(std::uint64_t threads, std::uint64_t rounds) {
  std::mutex mutex;
  std::uint64_t counter = 0;
  const double elapsed = perf::timed([&] {
    std::vector<std::thread> all;
    for (std::uint64_t i = 0; i < threads; ++i) {
      all.emplace_back([&] {
        for (std::uint64_t n = 0; n < rounds; ++n) {
          const std::lock_guard lock(mutex);
          counter = counter + 1;
        }
      });
    }
    for (auto& thread : all) thread.join();
  });
  perf::require(counter == threads * rounds, "an increment was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"one", 1}, {"few", 2}, {"some", 8}, {"many", 1'000}});
  perf::use_processors(args.procs());
  perf::report report;
  for (const char* size : {"one", "few", "some", "many"}) {
    const std::uint64_t threads = args[size];
    const double ns = perf::measure(args, [&](std::uint64_t rounds) { return count(threads, rounds); });
    report.add("fibers_" + std::to_string(threads) + "_ns", ns / static_cast<double>(threads));
  }
  report.print();
}
