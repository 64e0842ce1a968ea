// SPDX-License-Identifier: BSL-1.0
//
// In the manner of Ignatchenko's alloc-test, as he describes it: an array of slots, of which one chosen at random is
// filled if it is empty and freed if it is not; sizes follow a power law. It touches what it allocates, as a program
// does whose heap does not fit the cache.
#include "alloc/common/workload.hpp"

static void work(std::uint64_t operations, std::size_t slots, unsigned seed) {
  perf::random choice(seed);
  std::vector<perf::block> blocks(slots);
  for (; operations > 0; --operations) {
    perf::block& slot = blocks[choice.below(slots)];
    if (!slot.empty()) {
      slot.free();
      continue;
    }
    slot = perf::block(choice.skewed(16, 4'096));
    auto* bytes = static_cast<volatile char*>(slot.at());
    for (std::size_t i = 64; i + 8 < slot.size(); i += 64) bytes[i] = 1;
  }
  for (auto& block : blocks) {
    if (!block.empty()) block.free();
  }
}

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"operations", 4'000'000}, {"slots", 50'000}});
  const std::uint64_t operations = args.share("operations");
  const double elapsed = perf::together(args.procs(), [&](unsigned i) { work(operations, args["slots"], i); });
  perf::print_operation(elapsed, operations * args.procs());
}
