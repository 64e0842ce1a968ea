// SPDX-License-Identifier: BSL-1.0
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>

#include "common/switching.hpp"
#include "common/threads.hpp"

// Into the kernel and back out: no switch at all, but what every switch through the kernel pays at least.
int main(int argc, char** argv) {
  const perf::arguments args = perf::switch_arguments(argc, argv);
  perf::use_processors(1);
  const auto memory = std::make_unique<perf::cold_watch>();
  perf::cold_watch& watch = *memory;
  perf::report report;
  const auto direct = [](std::uint64_t n) {
    long calls = 0;
    const double elapsed = perf::timed([&] {
      for (std::uint64_t i = 0; i < 2 * n; ++i) calls += syscall(SYS_getppid) >= 0;
    });
    perf::require(calls == static_cast<long>(2 * n), "a system call failed");
    return elapsed;
  };
  const auto cold = [&](std::uint64_t n, std::size_t evict) {
    for (std::uint64_t i = 0; i < 2 * n; ++i) {
      watch.leave(evict);
      syscall(SYS_getppid);
      watch.arrive();
    }
  };
  perf::report_switch(report, args, watch, direct, cold);
  report.print();
}
