// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <heddle/heddle.hpp>

#include "common/bench.hpp"
#include "common/heddle_options.hpp"

// `n` fibers wait for a channel to be closed; it is closed once all of them wait.
static void park(std::uint64_t n, perf::report* report) {
  heddle::channel<int> gate;
  heddle::wait_group done;
  std::atomic<std::uint64_t> parked{0}, woken{0};
  const std::uint64_t memory = perf::memory_in_use();
  const double create = perf::timed([&] {
    done.add(static_cast<long>(n));
    for (std::uint64_t i = 0; i < n; ++i) {
      heddle::go([&] {
        parked.fetch_add(1, std::memory_order_relaxed);
        (void)gate.receive();
        woken.fetch_add(1, std::memory_order_relaxed);
        done.done();
      });
    }
    while (parked < n) heddle::this_fiber::yield();
  });
  const std::uint64_t grown = perf::memory_in_use() - memory;
  perf::require(woken == 0, "a fiber did not wait");
  const double wake = perf::timed([&] {
    gate.close();
    done.wait();
  });
  perf::require(woken == n, "a fiber was lost");
  if (report == nullptr) return;
  report->add("bytes", static_cast<double>(grown) / static_cast<double>(n));
  report->add("create_ns", create / static_cast<double>(n));
  report->add("wake_ns", wake / static_cast<double>(n));
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"fibers", 1'000'000}});
  perf::report report;
  heddle::run(
      [&] {
        park(std::min<std::uint64_t>(1'000, args["fibers"] / 10), nullptr);  // warm up, and leave few to reuse
        park(args["fibers"], &report);
      },
      perf::heddle_options(args));
  report.print();
}
