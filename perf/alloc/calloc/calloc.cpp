// SPDX-License-Identifier: BSL-1.0
//
// calloc, a word of each page and the ends looked at, all of it made dirty, and freed: the next one has to be zero
// again. Every byte of a hundred rounds is verified before any is timed.
#include <algorithm>

#include "alloc/common/blocks.hpp"
#include "alloc/common/sizes.hpp"
#include "common/bench.hpp"

namespace {

char* obtain_zeroed(std::size_t size) {
  void* block = std::calloc(1, size);
  perf::keep(block);
  perf::require(block != nullptr, "calloc gave no memory");
  return static_cast<char*>(block);
}

void require_zero(bool zero) {
  if (!zero) [[unlikely]]
    perf::fail("calloc gave memory that is not zero");
}

}  // namespace

static void round(std::size_t size, bool thorough) {
  char* bytes = obtain_zeroed(size);
  if (thorough) require_zero(std::all_of(bytes, bytes + size, [](char byte) { return byte == 0; }));
  for (std::size_t i = 0; i < size; i += 4'096) require_zero(bytes[i] == 0);
  require_zero(bytes[size - 1] == 0);
  std::memset(bytes, 0x5a, size);
  perf::give_back(bytes);
}

int main(int argc, char** argv) {
  const perf::allocator_arguments args(argc, argv, {});
  perf::report report;
  for (const std::size_t size : {std::size_t{64}, perf::kib, 16 * perf::kib, 256 * perf::kib, 4 * perf::mib}) {
    for (int i = 0; i < 100; ++i) round(size, true);
    const double ns = perf::measure(args, [&](std::uint64_t n) {
      return perf::timed([&] {
        for (; n > 0; --n) round(size, false);
      });
    });
    report.add("calloc_" + std::to_string(size) + "_ns", ns);
  }
  report.print();
}
