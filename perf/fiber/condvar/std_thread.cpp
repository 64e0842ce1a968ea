// SPDX-License-Identifier: BSL-1.0
#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/bench.hpp"
#include "common/threads.hpp"

// Two threads take turns, `n` each: under one mutex, with one condition variable for both.
static double round_trips(std::uint64_t n) {
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t turn = 0;
  const auto play = [&](std::uint64_t me) {
    std::unique_lock lock(mutex);
    for (std::uint64_t i = 0; i < n; ++i) {
      changed.wait(lock, [&] { return turn % 2 == me; });
      ++turn;
      changed.notify_one();
    }
  };
  std::thread other([&] { play(1); });
  const double elapsed = perf::timed([&] { play(0); });
  other.join();
  perf::require(turn == 2 * n, "a turn was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {});
  perf::use_processors(args.procs());
  perf::report report;
  report.add("one_way_ns", perf::measure(args, round_trips) / 2);
  report.print();
}
