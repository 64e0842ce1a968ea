// SPDX-License-Identifier: BSL-1.0
//
// What glibc's benchmark of simple patterns is said to do: 25, 100, 400, 1,600 blocks of one size are allocated, then
// freed in the same order; as many pairs for each number, so that the thread's cache counts as much as what is behind
// it.
#include "alloc/common/workload.hpp"

static void pairs(std::vector<perf::block>& blocks, std::size_t count, std::size_t size) {
  for (std::size_t i = 0; i < count; ++i) blocks[i] = perf::block(size);
  for (std::size_t i = 0; i < count; ++i) blocks[i].free();
}

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"pairs", 200'000}});
  const std::uint64_t wanted = args.share("pairs");
  std::vector<perf::block> blocks(1'600);
  std::uint64_t done = 0;
  const double elapsed = perf::timed([&] {
    for (const std::size_t size : {16, 32, 64, 128, 256, 512, 1'024, 2'048, 4'096}) {
      for (const std::size_t count : {25, 100, 400, 1'600}) {
        for (std::uint64_t n = 0; n < wanted; n += count, done += count) pairs(blocks, count, size);
      }
    }
  });
  perf::print_operation(elapsed, done);
}
