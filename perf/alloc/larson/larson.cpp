// SPDX-License-Identifier: BSL-1.0
//
// A server after Larson and Krishnan, "Memory Allocation for Long-Running Server Applications" (1998): each thread
// replaces blocks at random, then ends and leaves its blocks to a thread that it starts.
#include "alloc/common/workload.hpp"

namespace {

struct sizes {
  std::size_t least, most;
};

struct client {
  client(std::uint64_t seed, std::size_t slots, sizes range) : choice(seed), range(range), blocks(slots) {
    for (auto& block : blocks) block = perf::block(choice.between(range.least, range.most));
  }

  void replace(std::uint64_t operations) {
    for (; operations > 0; --operations) {
      perf::block& slot = blocks[choice.below(blocks.size())];
      slot.free();
      slot = perf::block(choice.between(range.least, range.most));
    }
  }

  perf::random choice;
  sizes range;
  std::vector<perf::block> blocks;
};

}  // namespace

static void generation(client& own, std::uint64_t operations, std::uint64_t left, std::latch& ended) {
  own.replace(operations);
  if (left == 0) return ended.count_down();
  std::thread([&own, operations, left, &ended] { generation(own, operations, left - 1, ended); }).detach();
}

int main(int argc, char** argv) {
  const perf::workload args(
      argc, argv, {{"slots", 5'000}, {"least", 8}, {"most", 1'000}, {"operations", 50'000}, {"generations", 80}});
  const std::uint64_t generations = args.share("generations");
  std::vector<client> clients;
  clients.reserve(args.procs());
  for (unsigned i = 0; i < args.procs(); ++i)
    clients.emplace_back(i, args["slots"], sizes{args["least"], args["most"]});
  std::latch ended(args.procs());
  const double elapsed = perf::timed([&] {
    for (auto& one : clients) {
      std::thread([&, generations] { generation(one, args["operations"], generations - 1, ended); }).detach();
    }
    ended.wait();
  });
  for (auto& one : clients) {
    for (auto& block : one.blocks) block.free();
  }
  perf::print_operation(elapsed, generations * args["operations"] * args.procs());
}
