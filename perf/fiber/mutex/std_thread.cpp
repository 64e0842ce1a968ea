// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "common/bench.hpp"
#include "common/threads.hpp"

// `threads` threads count to `rounds` each, together and under one lock. Timed from the moment the last one has started
// until the last has ended.
static double count(std::uint64_t threads, std::uint64_t rounds) {
  std::mutex mutex;
  std::uint64_t counter = 0;
  std::atomic<std::uint64_t> started{0}, finished{0};
  double start = 0, end = 0;
  std::vector<std::thread> all;
  for (std::uint64_t i = 0; i < threads; ++i) {
    all.emplace_back([&] {
      if (started.fetch_add(1) + 1 == threads) {
        start = perf::now();
        started.notify_all();
      }
      for (std::uint64_t n = started; n < threads; n = started) started.wait(n);
      for (std::uint64_t n = 0; n < rounds; ++n) {
        const std::lock_guard lock(mutex);
        counter = counter + 1;
      }
      if (finished.fetch_add(1) + 1 == threads) end = perf::now();
    });
  }
  for (auto& thread : all) thread.join();
  perf::require(counter == threads * rounds, "an increment was lost");
  return end - start;
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
