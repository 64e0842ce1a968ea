// SPDX-License-Identifier: BSL-1.0
//
// posix_memalign and free; twenty blocks live at a time, so that one address cannot serve them all.
#include "alloc/common/blocks.hpp"
#include "alloc/common/sizes.hpp"
#include "common/bench.hpp"

namespace {

constexpr std::size_t live = 20;

void* obtain_aligned(std::size_t alignment, std::size_t size) {
  void* block = nullptr;
  const int error = posix_memalign(&block, alignment, size);
  perf::keep(block);
  perf::require(error == 0, "posix_memalign gave no memory");
  perf::require(reinterpret_cast<std::uintptr_t>(block) % alignment == 0, "a block is not aligned as asked for");
  *static_cast<volatile char*>(block) = 1;
  return block;
}

}  // namespace

static double pairs(std::uint64_t n, std::size_t alignment, std::size_t size) {
  void* blocks[live] = {};
  return perf::timed([&] {
    for (std::uint64_t i = 0; i < n; ++i) {
      perf::give_back(blocks[i % live]);
      blocks[i % live] = obtain_aligned(alignment, size);
    }
    for (auto* block : blocks) perf::give_back(block);
  });
}

int main(int argc, char** argv) {
  const perf::allocator_arguments args(argc, argv, {});
  perf::report report;
  constexpr std::pair<std::size_t, std::size_t> shapes[] = {
      {64, 100}, {64, 4'000}, {4'096, 4'096}, {64 * perf::kib, 64 * perf::kib}, {2 * perf::mib, 2 * perf::mib}};
  for (const auto& [alignment, size] : shapes) {
    const double ns = perf::measure(args, [&](std::uint64_t n) { return pairs(n, alignment, size); });
    report.add("align_" + std::to_string(alignment) + "_size_" + std::to_string(size) + "_ns", ns);
  }
  report.print();
}
