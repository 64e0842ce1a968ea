// SPDX-License-Identifier: BSL-1.0
//
// A million fibers wait, each with an object that nothing else knows: what a full collection costs, and how late a
// heartbeat is meanwhile.
#include <algorithm>
#include <atomic>

#include "gc/common/waits.hpp"
#include "gc/memory/heddle.hpp"

namespace {

using memory = perf::gc::heddle_memory;

struct kept {
  using no_links = void;
  std::uint64_t number = 0;
  std::uint64_t contents[7] = {};
};

struct gathering {
  heddle::channel<int> gate;
  heddle::wait_group done;
  std::atomic<std::uint64_t> parked{0}, sum{0};
};

}  // namespace

static void park(gathering& all, std::uint64_t number) {
  kept* const mine = memory::make<kept>();
  mine->number = number;
  all.parked.fetch_add(1, std::memory_order_relaxed);
  (void)all.gate.receive();
  all.sum.fetch_add(mine->number, std::memory_order_relaxed);
  all.done.done();
}

/// How late the heartbeat was while f ran.
template <class F>
static perf::gc::waits beat_beside(double period, F&& f) {
  std::atomic<bool> over{false};
  perf::gc::waits late;
  memory::on_workers(2, [&](unsigned worker) {
    if (worker == 0) {
      f();
      over = true;
      return;
    }
    for (double due = perf::now() + period; !over; due = std::max(due + period, perf::now())) {
      memory::sleep_until(due);
      late.add(perf::now() - due);
    }
  });
  return late;
}

static void measure(const perf::arguments& args, perf::report& to) {
  const std::uint64_t n = args["fibers"];
  gathering all;
  const std::uint64_t before = perf::memory_in_use();
  all.done.add(static_cast<std::uint32_t>(n));
  for (std::uint64_t i = 0; i < n; ++i) heddle::go([&all, i] { park(all, i); });
  while (all.parked < n) memory::yield();
  to.add("bytes", static_cast<double>(perf::memory_in_use() - before) / static_cast<double>(n));
  double ns = 0;
  const auto late = beat_beside(static_cast<double>(args["beat_us"]) * 1e3, [&] {
    ns = perf::timed([&] {
      for (std::uint64_t i = 0; i < args["collections"]; ++i) memory::collect();
    });
  });
  to.add("fiber_ns", ns / static_cast<double>(n * args["collections"]));
  late.print(to, "beat");
  all.gate.close();
  all.done.wait();
  perf::require(all.sum == n * (n - 1) / 2, "a fiber lost its object");
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"fibers", 1'000'000}, {"collections", 3}, {"beat_us", 250}});
  perf::require(args["fibers"] > 0 && args["collections"] > 0, "--fibers and --collections must be at least 1");
  perf::report report;
  memory::run(args, [&] { measure(args, report); });
  report.print();
}
