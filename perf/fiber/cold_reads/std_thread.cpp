// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <thread>
#include <vector>

#include "common/bench.hpp"
#include "common/cold_file.hpp"
#include "common/threads.hpp"

/// So many threads read n blocks together, of which none is in memory.
static double read_all(const perf::cold_file& cold, std::uint64_t threads, std::uint64_t n, double& cpu) {
  cold.cool();
  cpu = perf::cpu_seconds();
  const double ns = perf::timed([&] {
    std::vector<std::thread> all;
    for (std::uint64_t i = 0; i != threads; ++i)
      all.emplace_back([&, i] {
        alignas(perf::block_bytes) std::array<char, perf::block_bytes> memory;
        for (std::uint64_t k = i; k < n; k += threads) {
          const std::uint64_t block = cold.block(k);
          (void)!::pread(cold.fd(), memory.data(), memory.size(), static_cast<off_t>(block * perf::block_bytes));
          perf::cold_file::check(memory.data(), block);
        }
      });
    for (auto& thread : all) thread.join();
  });
  cpu = (perf::cpu_seconds() - cpu) * 1e9 / static_cast<double>(n);
  return ns;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"fibers", 64}, {"mib", 512}});
  perf::use_processors(args.procs());
  const perf::cold_file cold(args["mib"]);
  perf::report report;
  double cpu = 0;
  report.add("read_ns",
             perf::measure(
                 args, [&](std::uint64_t n) { return read_all(cold, args["fibers"], n, cpu); }, args["fibers"]));
  report.add("read_cpu_ns", cpu);
  report.print();
}
