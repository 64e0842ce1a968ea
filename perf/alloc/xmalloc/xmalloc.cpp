// SPDX-License-Identifier: BSL-1.0
//
// After Lever and Boreham, "malloc() Performance in a Multithreaded Linux Environment" (2000): some threads allocate,
// as many others free, and no block is ever freed by the thread that allocated it. Blocks travel in batches.
#include "alloc/common/workload.hpp"
#include "common/threads.hpp"

namespace {

constexpr std::size_t batch_size = 4'096;
using batch = std::vector<perf::block>;  // from the allocator, too

}  // namespace

static void produce(perf::thread_channel<batch>& line, std::uint64_t batches, std::size_t size) {
  for (; batches > 0; --batches) {
    batch blocks;
    blocks.reserve(batch_size);
    for (std::size_t i = 0; i < batch_size; ++i) blocks.emplace_back(size);
    line.send(std::move(blocks));
  }
}

static std::uint64_t consume(perf::thread_channel<batch>& line) {
  std::uint64_t freed = 0;
  while (auto blocks = line.receive()) {
    for (auto& block : *blocks) block.free();
    freed += blocks->size();
  }
  return freed;
}

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"size", 64}, {"batches", 1'000}, {"waiting", 8}});
  const std::uint64_t batches = args.share("batches");
  perf::thread_channel<batch> line(args["waiting"] * args.procs());
  std::atomic<std::uint64_t> freed{0};
  std::atomic<unsigned> producing{args.procs()};
  const double elapsed = perf::together(2 * args.procs(), [&](unsigned i) {
    if (i % 2 == 1) {
      freed += consume(line);
    } else {
      produce(line, batches, args["size"]);
      if (--producing == 0) line.close();
    }
  });
  perf::require(freed == batches * batch_size * args.procs(), "a block was lost");
  perf::print_operation(elapsed, freed);
}
