// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "common/bench.hpp"
#include "common/threads.hpp"

// `n` threads wait for a gate to open; it is opened once all of them wait.
static void park(std::uint64_t n, perf::report* report) {
  std::mutex mutex;
  std::condition_variable opened;
  bool open = false;
  std::vector<std::thread> all;
  all.reserve(n);
  std::atomic<std::uint64_t> parked{0}, woken{0};
  const std::uint64_t memory = perf::memory_in_use();
  const double create = perf::timed([&] {
    for (std::uint64_t i = 0; i < n; ++i) {
      all.emplace_back([&] {
        std::unique_lock lock(mutex);
        parked.fetch_add(1, std::memory_order_relaxed);
        opened.wait(lock, [&] { return open; });
        woken.fetch_add(1, std::memory_order_relaxed);
      });
    }
    while (parked < n) std::this_thread::yield();
  });
  const std::uint64_t grown = perf::memory_in_use() - memory;
  perf::require(woken == 0, "a thread did not wait");
  const double wake = perf::timed([&] {
    {
      const std::lock_guard lock(mutex);
      open = true;
    }
    opened.notify_all();
    for (auto& thread : all) thread.join();
  });
  perf::require(woken == n, "a thread was lost");
  if (report == nullptr) return;
  report->add("bytes", static_cast<double>(grown) / static_cast<double>(n));
  report->add("create_ns", create / static_cast<double>(n));
  report->add("wake_ns", wake / static_cast<double>(n));
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"fibers", 1'000'000}, {"most", perf::most_threads}});
  const std::uint64_t threads = std::min(args["fibers"], args["most"]);
  perf::use_processors(args.procs());
  perf::report report;
  park(std::min<std::uint64_t>(1'000, args["fibers"] / 10), nullptr);  // warm up, and leave few to reuse
  park(threads, &report);
  for (const char* metric : {"bytes", "create_ns", "wake_ns"}) {
    report.capped(metric, threads, args["fibers"], "threads");
  }
  report.print();
}
