// SPDX-License-Identifier: BSL-1.0
#include <heddle/heddle.hpp>

#include "common/bench.hpp"
#include "common/sleepers.hpp"

using std::chrono::microseconds;
using clock_type = std::chrono::steady_clock;

/// Many fibers sleep until times of their own, again and again: processor time a sleep.
static double sleep_all(const perf::arguments& args) {
  const std::uint64_t fibers = args["sleepers"];
  const auto begin = clock_type::now() + perf::time_to_start(fibers);
  heddle::wait_group ended(static_cast<std::uint32_t>(fibers));
  for (std::uint64_t i = 0; i != fibers; ++i)
    heddle::go([&ended, begin, i] {
      perf::random_row row(i);
      auto next = begin;
      for (int n = 0; n != perf::sleeps_each; ++n) {
        next += microseconds(row.below(perf::longest_sleep_us));
        heddle::this_fiber::sleep_until(next);
      }
      ended.done();
    });
  perf::require(clock_type::now() < begin, "the fibers took too long to start");
  heddle::this_fiber::sleep_until(begin);
  const double before = perf::cpu_seconds();
  ended.wait();
  return (perf::cpu_seconds() - before) * 1e9 / (static_cast<double>(fibers) * perf::sleeps_each);
}

/// How late some sleepers wake while every processor is busy half of the time.
static void lateness(const perf::arguments& args, perf::report& report) {
  std::atomic<bool> stop = false;
  heddle::group busy;
  for (unsigned p = 0; p != args.procs(); ++p)
    busy.spawn([&stop] {
      while (!stop) {
        perf::compute(perf::half_period);
        heddle::this_fiber::sleep_for(perf::half_period);
      }
    });
  perf::late_times late;
  heddle::group sleepers;
  for (std::uint64_t i = 0; i != perf::late_sleepers; ++i)
    sleepers.spawn([&late, i] {
      perf::random_row row(i + 1);
      for (std::uint64_t n = 0; n != perf::late_sleeps; ++n) {
        const auto due = clock_type::now() + microseconds(100 + row.below(20'000));
        heddle::this_fiber::sleep_until(due);
        late.add(i, n, clock_type::now() - due);
      }
    });
  sleepers.wait();
  stop = true;
  busy.wait();
  late.report(report);
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"sleepers", 1'000'000}});
  perf::report report;
  heddle::run(
      [&] {
        lateness(args, report);  // first: a million fibers leave memory behind, which is given back meanwhile
        report.add("sleep_cpu_ns", sleep_all(args));
      },
      {.procs = args.procs()});
  report.print();
}
