// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <heddle/heddle.hpp>

#include "common/bench.hpp"
#include "common/heddle_options.hpp"

// `fibers` fibers yield `rounds` times each. Timed from the moment the last one has started until the last
// has yielded for the last time.
static double yield_rounds(std::uint64_t fibers, std::uint64_t rounds) {
  std::atomic<std::uint64_t> started{0}, finished{0}, yields{0};
  double start = 0, end = 0;
  heddle::wait_group done;
  done.add(static_cast<long>(fibers));
  for (std::uint64_t i = 0; i < fibers; ++i) {
    heddle::go([&] {
      if (started.fetch_add(1) + 1 == fibers) start = perf::now();
      while (started.load() < fibers) heddle::this_fiber::yield();
      std::uint64_t mine = 0;
      for (; mine < rounds; ++mine) heddle::this_fiber::yield();
      yields.fetch_add(mine);
      if (finished.fetch_add(1) + 1 == fibers) end = perf::now();
      done.done();
    });
  }
  done.wait();
  perf::require(yields == fibers * rounds, "yields were lost");
  return end - start;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"few", 2}, {"some", 1'000}, {"many", 100'000}});
  perf::report report;
  heddle::run(
      [&] {
        for (const char* size : {"few", "some", "many"}) {
          const std::uint64_t fibers = args[size];
          const double ns = perf::measure(
              args, [&](std::uint64_t rounds) { return yield_rounds(fibers, rounds); }, 4);
          report.add("fibers_" + std::to_string(fibers) + "_ns", ns / static_cast<double>(fibers));
        }
      },
      perf::heddle_options(args));
  report.print();
}
