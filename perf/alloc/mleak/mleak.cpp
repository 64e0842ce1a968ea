// SPDX-License-Identifier: BSL-1.0
//
// Threads come and go, each with a heap of a few MiB that it frees before it ends: what stays behind adds up to the
// peak of memory.
#include "alloc/common/workload.hpp"

static void live(std::uint64_t seed, std::uint64_t blocks) {
  perf::random choice(seed);
  std::vector<perf::block> own;
  own.reserve(blocks);
  for (std::uint64_t n = 0; n < blocks; ++n) own.emplace_back(choice.skewed(16, 8'192));
  for (auto& block : own) block.free();
}

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"threads", 100}, {"blocks", 2'000}});
  const std::uint64_t threads = args.share("threads");
  const double elapsed = perf::timed([&] {
    for (std::uint64_t n = 0; n < threads; ++n) {
      std::vector<std::thread> all;
      for (unsigned i = 0; i < args.procs(); ++i) all.emplace_back(live, n * 64 + i, args["blocks"]);
      for (auto& thread : all) thread.join();
    }
  });
  perf::print_operation(elapsed, threads * args.procs());
}
