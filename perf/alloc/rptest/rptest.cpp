// SPDX-License-Identifier: BSL-1.0
//
// In the manner of rpmalloc's benchmark, as its author describes it: each thread keeps a thousand blocks of 8 to 16,000
// bytes, the small ones more often, and replaces a hundred at a time; every other loop it hands as many to the next
// thread, which frees them.
#include <atomic>
#include <utility>

#include "alloc/common/workload.hpp"

namespace {

constexpr std::size_t batch_size = 100;

struct batch {
  batch* next;
  perf::block blocks[batch_size];
};

void free_all(batch* one) {
  for (auto& block : one->blocks) block.free();
  delete one;
}

/// What others have left for a thread to free: no more than a few batches, so that the memory in use does not depend on
/// who happens to run.
class mailbox {
 public:
  void put(batch* one) {
    if (waiting_.load(std::memory_order_relaxed) >= most_waiting) return free_all(one);
    waiting_.fetch_add(1, std::memory_order_relaxed);
    one->next = head_.load(std::memory_order_relaxed);
    // release: so that the blocks are written before the owner takes them.
    while (!head_.compare_exchange_weak(one->next, one, std::memory_order_release, std::memory_order_relaxed)) {
    }
  }
  void empty() {
    // acquire: pairs with the release of put().
    batch* one = head_.exchange(nullptr, std::memory_order_acquire);
    while (one != nullptr) {
      free_all(std::exchange(one, one->next));
      waiting_.fetch_sub(1, std::memory_order_relaxed);
    }
  }

 private:
  static constexpr int most_waiting = 4;
  alignas(64) std::atomic<batch*> head_{nullptr};
  std::atomic<int> waiting_{0};
};

/// Linear: the chance of a size falls evenly to nothing at the largest.
std::size_t size_of(perf::random& choice) { return 8 + choice.below(choice.below(16'000 - 8) + 1); }

}  // namespace

static void work(std::uint64_t loops, std::size_t count, unsigned seed, mailbox& own, mailbox& next) {
  perf::random choice(seed);
  std::vector<perf::block> blocks(count);
  for (auto& block : blocks) block = perf::block(size_of(choice));
  for (std::uint64_t n = 0; n < loops; ++n) {
    for (std::size_t i = 0; i < batch_size; ++i) {
      perf::block& slot = blocks[choice.below(count)];
      slot.free();
      slot = perf::block(size_of(choice));
    }
    if (n % 2 == 0) continue;
    auto* parcel = new batch;
    for (auto& block : parcel->blocks) block = perf::block(size_of(choice));
    next.put(parcel);
    own.empty();
  }
  for (auto& block : blocks) block.free();
}

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"loops", 12'000}, {"blocks", 1'000}});
  const std::uint64_t loops = args.share("loops");
  std::vector<mailbox> mailboxes(args.procs());
  const double elapsed = perf::together(args.procs(), [&](unsigned i) {
    work(loops, args["blocks"], i, mailboxes[i], mailboxes[(i + 1) % args.procs()]);
  });
  for (auto& one : mailboxes) one.empty();
  perf::print_operation(elapsed, (loops * batch_size + loops / 2 * batch_size) * args.procs());
}
