// SPDX-License-Identifier: BSL-1.0
//
// One thread allocates blocks of 64 bytes, another frees them, on another processor; between them a ring.
#include <atomic>
#include <thread>

#include "alloc/common/blocks.hpp"
#include "common/bench.hpp"
#include "common/threads.hpp"

namespace {

class ring {
 public:
  void put(perf::block one) {
    const std::uint64_t at = written_.load(std::memory_order_relaxed);
    while (at - read_seen_ == places) {
      // acquire: so that the reader has copied what we overwrite.
      read_seen_ = read_.load(std::memory_order_acquire);
      if (at - read_seen_ == places) std::this_thread::yield();
    }
    blocks_[at % places] = one;
    written_.store(at + 1, std::memory_order_release);  // release: so that the block is written before it is seen
  }
  perf::block get() {
    const std::uint64_t at = read_.load(std::memory_order_relaxed);
    while (at == written_seen_) {
      written_seen_ = written_.load(std::memory_order_acquire);  // acquire: the other half
      if (at == written_seen_) std::this_thread::yield();
    }
    const perf::block one = blocks_[at % places];
    read_.store(at + 1, std::memory_order_release);  // release: so that the writer overwrites what was copied
    return one;
  }

 private:
  static constexpr std::uint64_t places = 1'024;
  alignas(64) std::atomic<std::uint64_t> written_{0};
  std::uint64_t read_seen_ = 0;  // the writer's
  alignas(64) std::atomic<std::uint64_t> read_{0};
  std::uint64_t written_seen_ = 0;  // the reader's
  alignas(64) perf::block blocks_[places];
};

}  // namespace

static double hand_over(std::uint64_t count, std::size_t size) {
  ring shared;
  return perf::timed([&] {
    std::thread writer([&] {
      perf::stay_on_processor(0);
      for (std::uint64_t n = 0; n < count; ++n) shared.put(perf::block(size));
    });
    std::thread reader([&] {
      perf::stay_on_processor(1);
      for (std::uint64_t n = 0; n < count; ++n) shared.get().free();
    });
    writer.join();
    reader.join();
  });
}

int main(int argc, char** argv) {
  const perf::allocator_arguments args(argc, argv, {{"size", 64}});
  perf::report report;
  report.add("block_ns", perf::measure(
                             args, [&](std::uint64_t n) { return hand_over(n, args["size"]); }, 100'000));
  report.print();
}
