// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <heddle/heddle.hpp>
#include <mutex>
#include <shared_mutex>

#include "common/bench.hpp"

// `fibers` fibers lock `rounds` times each, for reading or, one time in `every` (never: 0), for writing. Timed from the
// moment the last one has started until the last has ended.
static double visit(std::uint64_t fibers, std::uint64_t every, std::uint64_t rounds) {
  heddle::shared_mutex mutex;
  std::uint64_t counter = 0;
  std::atomic<std::uint64_t> started{0}, finished{0}, written{0};
  double start = 0, end = 0;
  heddle::wait_group done;
  done.add(static_cast<std::uint32_t>(fibers));
  for (std::uint64_t i = 0; i < fibers; ++i) {
    heddle::go([&] {
      if (started.fetch_add(1) + 1 == fibers) start = perf::now();
      while (started.load() < fibers) heddle::this_fiber::yield();
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
      if (finished.fetch_add(1) + 1 == fibers) end = perf::now();
      done.done();
    });
  }
  done.wait();
  perf::require(counter == written, "a write was lost");
  return end - start;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"one", 1}, {"few", 2}, {"some", 8}, {"every", 10}});
  perf::report report;
  heddle::run(
      [&] {
        for (const char* size : {"one", "few", "some"}) {
          const std::uint64_t fibers = args[size];
          const double ns = perf::measure(args, [&](std::uint64_t rounds) { return visit(fibers, 0, rounds); });
          report.add("read_" + std::to_string(fibers) + "_ns", ns / static_cast<double>(fibers));
        }
        const std::uint64_t fibers = args["some"];
        const double ns =
            perf::measure(args, [&](std::uint64_t rounds) { return visit(fibers, args["every"], rounds); });
        report.add("mixed_" + std::to_string(fibers) + "_ns", ns / static_cast<double>(fibers));
      },
      {.procs = args.procs()});
  report.print();
}
