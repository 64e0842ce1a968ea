// SPDX-License-Identifier: BSL-1.0
//
// One block allocated, its first word written, and freed, over and over. With `--size N --count N` as many bare pairs
// of one size and no figure: for programs that count instructions.
#include <cstdlib>

#include "alloc/common/blocks.hpp"
#include "alloc/common/sizes.hpp"
#include "common/bench.hpp"

[[gnu::noinline]] static void pairs(std::size_t size, std::uint64_t count) {
  for (; count > 0; --count) {
    void* block = perf::obtain(size);
    *static_cast<volatile std::uint64_t*>(block) = count;
    perf::give_back(block);
  }
}

/// Nothing but the two calls: a loop of six instructions and two jumps to the library.
[[gnu::noinline]] static void bare_pairs(std::size_t size, std::uint64_t count) {
  for (; count > 0; --count) std::free(std::malloc(size));
}

int main(int argc, char** argv) {
  const perf::allocator_arguments args(argc, argv, {{"size", 0}, {"count", 0}});
  if (args["size"] > 0) {
    bare_pairs(args["size"], args["count"]);
    return 0;
  }
  perf::report report;
  for (const std::size_t size : perf::sizes) {
    const double ns = perf::measure(args, [&](std::uint64_t n) { return perf::timed([&] { pairs(size, n); }); });
    report.add("pair_" + std::to_string(size) + "_ns", ns);
  }
  report.print();
}
