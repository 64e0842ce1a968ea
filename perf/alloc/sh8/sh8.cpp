// SPDX-License-Identifier: BSL-1.0
//
// shbench for several threads, as others describe it: what sh6 does, but each thread frees the blocks of whoever put
// his into the ring before it.
#include <atomic>

#include "alloc/common/workload.hpp"

namespace {

constexpr std::size_t window = 1'000;
constexpr std::size_t places = 8;  // windows that wait for somebody to free them

struct batch {
  perf::block blocks[window];
};

class ring {
 public:
  /// Leaves a batch and takes the one that was there, if any.
  batch* swap(std::uint64_t place, batch* own) {
    // release: so that the blocks are written before somebody takes them; acquire: the other half.
    return places_[place % places].exchange(own, std::memory_order_acq_rel);
  }

 private:
  std::atomic<batch*> places_[places]{};
};

}  // namespace

static void free_all(batch* taken, bool backwards) {
  if (taken == nullptr) return;
  for (std::size_t i = 0; i < window; ++i) taken->blocks[backwards ? window - 1 - i : i].free();
  delete taken;
}

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"rounds", 5'000}});
  const std::uint64_t rounds = args.share("rounds");
  ring shared;
  const double elapsed = perf::together(args.procs(), [&](unsigned i) {
    perf::random choice(i);
    for (std::uint64_t n = 0; n < rounds; ++n) {
      auto* own = new batch;
      for (auto& block : own->blocks) block = perf::block(choice.skewed(1, 1'000));
      free_all(shared.swap(choice.below(places), own), n % 2 == 1);
    }
  });
  for (std::size_t i = 0; i < places; ++i) free_all(shared.swap(i, nullptr), false);
  perf::print_operation(elapsed, rounds * window * args.procs());
}
