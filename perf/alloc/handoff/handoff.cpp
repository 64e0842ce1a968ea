// SPDX-License-Identifier: BSL-1.0
//
// One thread allocates blocks of 64 bytes, another frees them, on another processor; between them a ring.
#include <atomic>
#include <thread>

#include "alloc/common/blocks.hpp"
#include "common/bench.hpp"
#include "common/threads.hpp"

namespace {

/// One writer, one reader. Each tells the other of what it has done a few blocks at a time, so that the ring's own
/// traffic between the processors is small beside that of the blocks.
class ring {
 public:
  void put(perf::block one) {
    if (at_ - read_seen_ == places) {
      publish();
      // acquire: so that the reader has copied what we overwrite.
      while (read_seen_ = read_.load(std::memory_order_acquire), at_ - read_seen_ == places) std::this_thread::yield();
    }
    blocks_[at_++ % places] = one;
    if (at_ % few == 0) publish();
  }
  void publish() { written_.store(at_, std::memory_order_release); }  // release: so that blocks are written before
  perf::block get() {
    if (next_ == written_seen_) {
      // release: so that the writer overwrites what was copied
      read_.store(next_, std::memory_order_release);
      // acquire: the other half of publish()
      while (written_seen_ = written_.load(std::memory_order_acquire), next_ == written_seen_)
        std::this_thread::yield();
    }
    const perf::block one = blocks_[next_++ % places];
    if (next_ % few == 0) read_.store(next_, std::memory_order_release);  // release: as above
    return one;
  }

 private:
  static constexpr std::uint64_t places = 1'024;
  static constexpr std::uint64_t few = 32;
  alignas(64) std::atomic<std::uint64_t> written_{0};
  alignas(64) std::uint64_t at_ = 0;  // the writer's
  std::uint64_t read_seen_ = 0;
  alignas(64) std::atomic<std::uint64_t> read_{0};
  alignas(64) std::uint64_t next_ = 0;  // the reader's
  std::uint64_t written_seen_ = 0;
  alignas(64) perf::block blocks_[places];
};

}  // namespace

static double hand_over(std::uint64_t count, std::size_t size) {
  ring shared;
  return perf::timed([&] {
    std::thread writer([&] {
      perf::stay_on_processor(0);
      for (std::uint64_t n = 0; n < count; ++n) shared.put(perf::block(size));
      shared.publish();
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
