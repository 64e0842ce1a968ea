// SPDX-License-Identifier: BSL-1.0
#include <thread>

#include "common/bench.hpp"
#include "common/threads.hpp"

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {});
  perf::use_processors(args.procs());
  perf::report report;
  report.add("spawn_join_ns", perf::measure(args, [](std::uint64_t n) {
               std::uint64_t sum = 0;
               const double elapsed = perf::timed([&] {
                 for (std::uint64_t i = 0; i < n; ++i) std::thread([&sum, i] { sum += i; }).join();
               });
               perf::require(sum == n * (n - 1) / 2, "a result was lost");
               return elapsed;
             }));
  report.print();
}
