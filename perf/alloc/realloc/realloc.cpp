// SPDX-License-Identifier: BSL-1.0
//
// A buffer that grows by 64 KiB at a time to 64 MiB, filled as it grows; all of it is read in the end.
#include "alloc/common/blocks.hpp"
#include "alloc/common/sizes.hpp"
#include "common/bench.hpp"

namespace {

constexpr std::size_t step = 64 * perf::kib;
constexpr std::size_t largest = 64 * perf::mib;

void fill(char* buffer, std::size_t from) {
  const std::uint64_t word = from * 0x9e3779b97f4a7c15u;
  for (std::size_t i = from; i < from + step; i += sizeof word) std::memcpy(buffer + i, &word, sizeof word);
}

void check(const char* buffer) {
  for (std::size_t i = 0; i < largest; i += sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, buffer + i, sizeof word);
    if (word != i / step * step * 0x9e3779b97f4a7c15u) perf::fail("realloc lost what the block held");
  }
}

}  // namespace

static double grow() {
  void* buffer = nullptr;
  const double elapsed = perf::timed([&] {
    for (std::size_t size = 0; size < largest; size += step) {
      buffer = std::realloc(buffer, size + step);
      perf::keep(buffer);
      perf::require(buffer != nullptr, "realloc gave no memory");
      fill(static_cast<char*>(buffer), size);
    }
  });
  check(static_cast<const char*>(buffer));
  perf::give_back(buffer);
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::allocator_arguments args(argc, argv, {});
  perf::report report;
  const double elapsed = perf::measure(args, [&](std::uint64_t times) {
    double sum = 0;
    for (; times > 0; --times) sum += grow();
    return sum;
  });
  report.add("growth_ms", elapsed / 1e6);
  report.print();
}
