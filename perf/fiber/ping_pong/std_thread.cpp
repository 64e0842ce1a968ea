// SPDX-License-Identifier: BSL-1.0
#include <thread>

#include "common/bench.hpp"
#include "common/threads.hpp"

// A number goes `n` times to a second thread and comes back one larger, each way by rendezvous.
static double round_trips(std::uint64_t n) {
  perf::thread_rendezvous<std::uint64_t> there, back;
  std::thread echo([&] {
    for (std::uint64_t i = 0; i < n; ++i) back.send(there.receive() + 1);
  });
  std::uint64_t value = 0;
  const double elapsed = perf::timed([&] {
    for (std::uint64_t i = 0; i < n; ++i) {
      there.send(value);
      value = back.receive();
    }
  });
  echo.join();
  perf::require(value == n, "a message was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {});
  perf::use_processors(args.procs());
  perf::report report;
  report.add("one_way_ns", perf::measure(args, round_trips) / 2);
  report.print();
}
