// SPDX-License-Identifier: BSL-1.0
#include <memory>
#include <thread>

#include "common/switching.hpp"
#include "common/threads.hpp"
#include "common/turns.hpp"

// Two threads of one process on one processor; the kernel switches between them.
int main(int argc, char** argv) {
  const perf::arguments args = perf::switch_arguments(argc, argv);
  perf::use_processors(1);
  const auto memory = std::make_unique<perf::cold_watch>();
  perf::cold_watch& watch = *memory;
  perf::report report;
  const auto direct = [](std::uint64_t n) {
    perf::turns turns;
    std::thread other([&] {
      turns.await(1);
      for (std::uint64_t i = 1; i < n; ++i) turns.pass(1);
      turns.give(1);
    });
    const double elapsed = perf::timed([&] {
      for (std::uint64_t i = 0; i < n; ++i) turns.pass(0);
    });
    other.join();
    return elapsed;
  };
  const auto cold = [&](std::uint64_t n, std::size_t evict) {
    perf::turns turns;
    std::thread other([&] {
      turns.await(1);
      for (std::uint64_t i = 0; i < n; ++i) {
        watch.arrive();
        watch.leave(evict);
        i + 1 < n ? turns.pass(1) : turns.give(1);
      }
    });
    for (std::uint64_t i = 0; i < n; ++i) {
      watch.leave(evict);
      turns.pass(0);
      watch.arrive();
    }
    other.join();
  };
  perf::report_switch(report, args, watch, direct, cold);
  report.print();
}
