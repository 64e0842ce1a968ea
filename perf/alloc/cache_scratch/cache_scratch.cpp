// SPDX-License-Identifier: BSL-1.0
//
// Passive false sharing, after Berger et al., "Hoard" (2000): one thread allocates a small object for each other; they
// free it, then allocate, write and free objects of their own. An allocator that gives them the pieces of the line
// that they came with makes them share it.
#include "alloc/common/writing.hpp"

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"rounds", 400}, {"size", 8}, {"writes", 200'000}});
  const std::uint64_t rounds = args.share("rounds");
  std::vector<perf::block> gifts;
  for (unsigned i = 0; i < args.procs(); ++i) gifts.emplace_back(args["size"]);
  const double elapsed = perf::together(args.procs(), [&](unsigned i) {
    gifts[i].free();
    perf::write_fresh_objects(rounds, args["size"], args["writes"]);
  });
  perf::print_operation(elapsed, rounds * args["writes"]);
}
