// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <thread>
#include <vector>

#include "common/bench.hpp"
#include "common/threads.hpp"

// `threads` threads yield `rounds` times each. Timed from the moment the last one has started until the last
// has yielded for the last time.
static double yield_rounds(std::uint64_t threads, std::uint64_t rounds) {
  std::atomic<std::uint64_t> started{0}, finished{0}, yields{0};
  double start = 0, end = 0;
  std::vector<std::thread> all;
  for (std::uint64_t i = 0; i < threads; ++i) {
    all.emplace_back([&] {
      if (started.fetch_add(1) + 1 == threads) {
        start = perf::now();
        started.notify_all();
      }
      for (std::uint64_t n = started; n < threads; n = started) started.wait(n);
      std::uint64_t mine = 0;
      for (; mine < rounds; ++mine) std::this_thread::yield();
      yields.fetch_add(mine);
      if (finished.fetch_add(1) + 1 == threads) end = perf::now();
    });
  }
  for (auto& thread : all) thread.join();
  perf::require(yields == threads * rounds, "yields were lost");
  return end - start;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv,
                             {{"few", 2}, {"some", 1'000}, {"many", 100'000}, {"most", perf::most_threads}});
  perf::use_processors(args.procs());
  perf::report report;
  for (const char* size : {"few", "some", "many"}) {
    const std::uint64_t threads = std::min(args[size], args["most"]);
    const double ns = perf::measure(
        args, [&](std::uint64_t rounds) { return yield_rounds(threads, rounds); }, 4);
    const std::string metric = "fibers_" + std::to_string(args[size]) + "_ns";
    report.add(metric, ns / static_cast<double>(threads));
    report.capped(metric, threads, args[size], "threads");
  }
  report.print();
}
