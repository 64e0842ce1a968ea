// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cstdlib>
#include <heddle/heddle.hpp>
#include <heddle/io/file.hpp>

#include "common/bench.hpp"
#include "common/cold_file.hpp"

/// `fibers` fibers read n blocks together, of which none is in memory.
static double read_all(const perf::cold_file& cold, const heddle::io::file& f, std::uint64_t fibers, std::uint64_t n,
                       double& cpu) {
  cold.cool();
  cpu = perf::cpu_seconds();
  const double ns = perf::timed([&] {
    heddle::wait_group done(static_cast<std::uint32_t>(fibers));
    for (std::uint64_t i = 0; i != fibers; ++i)
      heddle::go([&, i] {
        alignas(perf::block_bytes) std::array<std::byte, perf::block_bytes> memory;
        for (std::uint64_t k = i; k < n; k += fibers) {
          const std::uint64_t block = cold.block(k);
          f.read_at(memory, block * perf::block_bytes);
          perf::cold_file::check(reinterpret_cast<const char*>(memory.data()), block);
        }
        done.done();
      });
    done.wait();
  });
  cpu = (perf::cpu_seconds() - cpu) * 1e9 / static_cast<double>(n);
  return ns;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"fibers", 64}, {"mib", 512}});
#ifdef PERF_NO_RING
  ::setenv("HEDDLE_NET", "ring=0", 1);
#endif
  const perf::cold_file cold(args["mib"]);
  perf::report report;
  heddle::run(
      [&] {
        const auto f = heddle::io::file::adopt(::dup(cold.fd()), "cold");
        double cpu = 0;
        report.add("read_ns", perf::measure(
                                  args, [&](std::uint64_t n) { return read_all(cold, f, args["fibers"], n, cpu); },
                                  args["fibers"]));
        report.add("read_cpu_ns", cpu);
      },
      {.procs = args.procs()});
  report.print();
}
