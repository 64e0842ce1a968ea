// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "common/bench.hpp"
#include "common/threads.hpp"

// `threads` threads lock `rounds` times each, for reading or, one time in `every` (never: 0), for writing. Timed from
// the moment the last one has started until the last has ended.
static double visit(std::uint64_t threads, std::uint64_t every, std::uint64_t rounds) {
  std::shared_mutex mutex;
  std::uint64_t counter = 0;
  std::atomic<std::uint64_t> started{0}, finished{0}, written{0};
  double start = 0, end = 0;
  std::vector<std::thread> all;
  for (std::uint64_t i = 0; i < threads; ++i) {
    all.emplace_back([&] {
      if (started.fetch_add(1) + 1 == threads) {
        start = perf::now();
        started.notify_all();
      }
      for (std::uint64_t n = started; n < threads; n = started) started.wait(n);
      std::uint64_t seen = 0, writes = 0;
      for (std::uint64_t n = 0, turn = every; n < rounds; ++n) {
        if (every != 0 && --turn == 0) {
          const std::lock_guard lock(mutex);
          counter = counter + 1;
          turn = every;
          ++writes;
        } else {
          const std::shared_lock lock(mutex);
          const std::uint64_t now = counter;
          perf::require(now >= seen, "a write was lost");
          seen = now;
        }
      }
      written += writes;
      if (finished.fetch_add(1) + 1 == threads) end = perf::now();
    });
  }
  for (auto& thread : all) thread.join();
  perf::require(counter == written, "a write was lost");
  return end - start;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"one", 1}, {"few", 2}, {"some", 8}, {"every", 10}});
  perf::use_processors(args.procs());
  perf::report report;
  for (const char* size : {"one", "few", "some"}) {
    const std::uint64_t threads = args[size];
    const double ns = perf::measure(args, [&](std::uint64_t rounds) { return visit(threads, 0, rounds); });
    report.add("read_" + std::to_string(threads) + "_ns", ns / static_cast<double>(threads));
  }
  const std::uint64_t threads = args["some"];
  const double ns = perf::measure(args, [&](std::uint64_t rounds) { return visit(threads, args["every"], rounds); });
  report.add("mixed_" + std::to_string(threads) + "_ns", ns / static_cast<double>(threads));
  report.print();
}
