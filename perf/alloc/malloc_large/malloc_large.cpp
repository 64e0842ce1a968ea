// SPDX-License-Identifier: BSL-1.0
//
// Blocks of 5 to 25 MiB, replaced at random, every page written once: what it costs to get memory from the system and
// to give it back, or not to.
#include "alloc/common/workload.hpp"

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t page = 4'096;

}  // namespace

static void touch(const perf::block& one) {
  auto* bytes = static_cast<volatile char*>(one.at());
  for (std::size_t i = page; i + page < one.size(); i += page) bytes[i] = 1;
}

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"blocks", 50}, {"live", 10}});
  const std::uint64_t count = args.share("blocks");
  perf::random choice(1);
  std::vector<perf::block> blocks(args["live"]);
  const double elapsed = perf::timed([&] {
    for (std::uint64_t n = 0; n < count; ++n) {
      perf::block& slot = blocks[choice.below(blocks.size())];
      if (!slot.empty()) slot.free();
      slot = perf::block(choice.between(5 * mib, 25 * mib));
      touch(slot);
    }
    for (auto& block : blocks) {
      if (!block.empty()) block.free();
    }
  });
  perf::print_operation(elapsed, count);
}
