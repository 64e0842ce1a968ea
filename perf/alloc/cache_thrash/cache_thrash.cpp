// SPDX-License-Identifier: BSL-1.0
//
// Active false sharing, after Berger et al., "Hoard" (2000): threads allocate small objects, write each often and free
// it. An allocator that gives two threads pieces of one line makes them share it.
#include "alloc/common/writing.hpp"

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"rounds", 400}, {"size", 8}, {"writes", 200'000}});
  const std::uint64_t rounds = args.share("rounds");
  const double elapsed =
      perf::together(args.procs(), [&](unsigned) { perf::write_fresh_objects(rounds, args["size"], args["writes"]); });
  perf::print_operation(elapsed, rounds * args["writes"]);
}
