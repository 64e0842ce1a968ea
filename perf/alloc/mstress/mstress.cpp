// SPDX-License-Identifier: BSL-1.0
//
// In the manner of mimalloc's stress test, as its authors describe it: short-lived threads allocate objects of skewed
// sizes, free some at once, keep others until they end, and swap some with other threads through a shared table that
// outlives them all. Every word of an object is written, and read before it is freed.
#include <atomic>

#include "alloc/common/workload.hpp"

namespace {

using object = perf::filled_block;
constexpr std::size_t table_size = 1'000;

class table {
 public:
  // The word of a block is behind a pointer, so that a swap is one exchange.
  object* swap(std::size_t place, object* own) {
    // release: so that the block is written before somebody takes it; acquire: the other half.
    return places_[place].exchange(own, std::memory_order_acq_rel);
  }
  void clear(std::size_t from, std::size_t step) {
    for (std::size_t i = from; i < table_size; i += step) drop(swap(i, nullptr));
  }
  static void drop(object* taken) {
    if (taken == nullptr) return;
    taken->free();
    delete taken;
  }

 private:
  std::atomic<object*> places_[table_size]{};
};

}  // namespace

static void live(table& shared, std::uint64_t objects, std::uint64_t seed) {
  perf::random choice(seed);
  std::vector<object*> kept;
  for (; objects > 0; --objects) {
    // One in a hundred is large.
    kept.push_back(new object(choice.below(100) == 0 ? choice.skewed(4'096, 262'144) : choice.skewed(16, 2'048)));
    const std::size_t next = choice.below(10);
    if (next < 5) {
      object*& victim = kept[choice.below(kept.size())];
      table::drop(victim);
      victim = kept.back();
      kept.pop_back();
    } else if (next == 5) {
      object*& mine = kept[choice.below(kept.size())];
      mine = shared.swap(choice.below(table_size), mine);
      if (mine == nullptr) {
        mine = kept.back();
        kept.pop_back();
      }
    }
  }
  for (auto* one : kept) table::drop(one);
}

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"generations", 10}, {"objects", 50'000}});
  const std::uint64_t generations = args.share("generations");
  static table shared;
  double elapsed = 0;
  for (std::uint64_t n = 0; n < generations; ++n) {
    // A thread of its own even on one processor: threads that come and go are part of it.
    elapsed += perf::together(args.procs() + 1, [&](unsigned i) { live(shared, args["objects"], n * 64 + i); });
    shared.clear(n % 2, 2);
  }
  shared.clear(0, 1);
  perf::print_operation(elapsed, generations * args["objects"] * (args.procs() + 1));
}
