// SPDX-License-Identifier: BSL-1.0
//
// 10,000 blocks allocated, then freed in their order, in the reverse and in a random one; per block.
#include <numeric>
#include <vector>

#include "alloc/common/blocks.hpp"
#include "common/bench.hpp"

namespace {

constexpr std::size_t batch_size = 10'000;
enum class order { same, reverse, shuffled };

std::vector<std::uint32_t> indices(order wanted) {
  std::vector<std::uint32_t> all(batch_size);
  std::iota(all.begin(), all.end(), 0u);
  if (wanted == order::reverse) std::reverse(all.begin(), all.end());
  if (wanted == order::shuffled) {
    perf::random choice(7);
    for (std::size_t i = batch_size - 1; i > 0; --i) std::swap(all[i], all[choice.below(i + 1)]);
  }
  return all;
}

}  // namespace

static void round(std::vector<perf::block>& blocks, const std::vector<std::uint32_t>& sequence, std::size_t size) {
  for (auto& block : blocks) block = perf::block(size);
  for (const auto i : sequence) blocks[i].free();
}

int main(int argc, char** argv) {
  const perf::allocator_arguments args(argc, argv, {});
  perf::report report;
  std::vector<perf::block> blocks(batch_size);
  for (const std::size_t size : {64, 1'024}) {
    for (const auto& [wanted, name] :
         {std::pair{order::same, "same"}, {order::reverse, "reverse"}, {order::shuffled, "random"}}) {
      const auto sequence = indices(wanted);
      round(blocks, sequence, size);  // what is touched for the first time costs a page fault, whoever allocates it
      const double ns = perf::measure(args, [&](std::uint64_t rounds) {
        return perf::timed([&] {
          for (; rounds > 0; --rounds) round(blocks, sequence, size);
        });
      });
      report.add(std::string(name) + "_" + std::to_string(size) + "_ns", ns / batch_size);
    }
  }
  report.print();
}
