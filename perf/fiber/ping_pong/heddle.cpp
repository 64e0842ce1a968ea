// SPDX-License-Identifier: BSL-1.0
#include <heddle/heddle.hpp>

#include "common/bench.hpp"

// A number goes `n` times to a second fiber and comes back one larger, each way over an unbuffered channel.
static double round_trips(std::uint64_t n) {
  heddle::channel<std::uint64_t> there, back;
  auto echo = heddle::spawn([&] {
    for (const std::uint64_t value : there) back.send(value + 1);
  });
  std::uint64_t value = 0;
  const double elapsed = perf::timed([&] {
    for (std::uint64_t i = 0; i < n; ++i) {
      there.send(value);
      value = back.receive().value();
    }
  });
  there.close();
  echo.join();
  perf::require(value == n, "a message was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {});
  perf::report report;
  heddle::run([&] { report.add("one_way_ns", perf::measure(args, round_trips) / 2); }, {.procs = args.procs()});
  report.print();
}
