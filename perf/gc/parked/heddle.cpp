// SPDX-License-Identifier: BSL-1.0
//
// A million fibers wait, each with an object that nothing else knows: what a full collection costs, and how late a
// heartbeat is meanwhile; with generations the same of young ones, when they have been there for some cycles.
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

/// Not inlined: on a stack that grows, what it needs is given back before the fiber waits.
[[gnu::noinline]] static kept* make_kept(std::uint64_t number) {
  kept* const mine = memory::make<kept>();
  mine->number = number;
  return mine;
}

static void park(gathering& all, std::uint64_t number) {
  kept* const mine = make_kept(number);
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

static void measure_young(const perf::arguments& args, perf::report& to) {
  const std::uint64_t before = heddle::gc::statistics().young_cycles;
  for (int i = 0; i < 4; ++i) heddle::gc::collect_young();  // fibers are seen to stand still
  if (heddle::gc::statistics().young_cycles == before) return;
  const auto first = heddle::gc::statistics();
  const std::uint64_t n = args["collections"];
  double ns = 0;
  const auto late = beat_beside(static_cast<double>(args["beat_us"]) * 1e3, [&] {
    ns = perf::timed([&] {
      for (std::uint64_t i = 0; i < n; ++i) heddle::gc::collect_young();
    });
  });
  const auto last = heddle::gc::statistics();
  const auto each = static_cast<double>(n);
  to.add("young_ms", ns / 1e6 / each);
  to.add("young_cpu_ms", static_cast<double>(last.mark_cpu_ns - first.mark_cpu_ns) / 1e6 / each);
  to.add("young_passed_over", static_cast<double>(last.fibers_passed_over - first.fibers_passed_over) / each);
  late.print(to, "young_beat");
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
  measure_young(args, to);
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
