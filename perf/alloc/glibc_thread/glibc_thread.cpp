// SPDX-License-Identifier: BSL-1.0
//
// What glibc's benchmark of threads is said to do: each replaces blocks of a working set of 1,024 at random; sizes from
// 4 bytes to 32 KiB, whose chance falls with the square of the size.
#include <cmath>

#include "alloc/common/workload.hpp"

// The inverse of the distribution's integral, at as many points as there are blocks.
static std::vector<std::size_t> sizes_of(std::size_t count) {
  const double least = 4, most = 32'768;
  std::vector<std::size_t> sizes;
  for (std::size_t i = 0; i < count; ++i) {
    const double part = (static_cast<double>(i) + 0.5) / static_cast<double>(count);
    sizes.push_back(static_cast<std::size_t>(1 / (1 / least - part * (1 / least - 1 / most))));
  }
  return sizes;
}

static void work(std::uint64_t operations, const std::vector<std::size_t>& sizes, unsigned seed) {
  perf::random choice(seed);
  std::vector<perf::block> blocks(sizes.size());
  for (auto& block : blocks) block = perf::block(sizes[choice.below(sizes.size())]);
  for (; operations > 0; --operations) {
    perf::block& slot = blocks[choice.below(blocks.size())];
    slot.free();
    slot = perf::block(sizes[choice.below(sizes.size())]);
  }
  for (auto& block : blocks) block.free();
}

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"operations", 10'000'000}, {"blocks", 1'024}});
  const std::uint64_t operations = args.share("operations");
  const auto sizes = sizes_of(args["blocks"]);
  const double elapsed = perf::together(args.procs(), [&](unsigned i) { work(operations, sizes, i); });
  perf::print_operation(elapsed, operations * args.procs());
}
