// SPDX-License-Identifier: BSL-1.0
#include <heddle/heddle.hpp>
#include <memory>

#include "common/switching.hpp"

// Two fibers on one processor yield to each other.
int main(int argc, char** argv) {
  const perf::arguments args = perf::switch_arguments(argc, argv);
  const auto memory = std::make_unique<perf::cold_watch>();
  perf::cold_watch& watch = *memory;
  perf::report report;
  const auto direct = [](std::uint64_t n) {
    auto other = heddle::spawn([n] {
      for (std::uint64_t i = 0; i < n; ++i) heddle::this_fiber::yield();
    });
    const double elapsed = perf::timed([&] {
      for (std::uint64_t i = 0; i < n; ++i) heddle::this_fiber::yield();
    });
    other.join();
    return elapsed;
  };
  const auto cold = [&](std::uint64_t n, std::size_t evict) {
    auto other = heddle::spawn([&watch, n, evict] {
      for (std::uint64_t i = 0; i < n; ++i) {
        watch.arrive();
        watch.leave(evict);
        heddle::this_fiber::yield();
      }
    });
    for (std::uint64_t i = 0; i < n; ++i) {
      watch.leave(evict);
      heddle::this_fiber::yield();
      watch.arrive();
    }
    other.join();
  };
  heddle::run([&] { perf::report_switch(report, args, watch, direct, cold); }, {.procs = 1});
  report.print();
}
