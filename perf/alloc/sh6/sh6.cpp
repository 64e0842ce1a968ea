// SPDX-License-Identifier: BSL-1.0
//
// In the manner of MicroQuill's shbench, as others describe it: blocks of 1 to 1,000 bytes, small ones more often, are
// allocated by the thousand and freed in turn in their order, from the last to the first, and every other one. A few
// outlive many rounds, each thread for itself.
#include "alloc/common/workload.hpp"

namespace {

constexpr std::size_t window = 3'000;
constexpr std::size_t survivors = 500;

class worker {
 public:
  explicit worker(std::uint64_t seed) : choice_(seed), blocks_(window), old_(survivors) {}
  ~worker() {
    for (auto& block : old_) {
      if (!block.empty()) block.free();
    }
  }

  void round(std::uint64_t number) {
    for (auto& block : blocks_) block = perf::block(choice_.skewed(1, 1'000));
    for (int i = 0; i < 20; ++i) keep_one();
    if (number % 3 == 0) {
      for (std::size_t i = 0; i < window; ++i) free(i);
    } else if (number % 3 == 1) {
      for (std::size_t i = window; i > 0; --i) free(i - 1);
    } else {
      for (std::size_t i = 0; i < window; i += 2) free(i);
      for (std::size_t i = 1; i < window; i += 2) free(i);
    }
  }

 private:
  void free(std::size_t i) {
    if (!blocks_[i].empty()) blocks_[i].free();
  }
  void keep_one() { std::swap(blocks_[choice_.below(window)], old_[choice_.below(survivors)]); }

  perf::random choice_;
  std::vector<perf::block> blocks_;
  std::vector<perf::block> old_;
};

}  // namespace

int main(int argc, char** argv) {
  const perf::workload args(argc, argv, {{"rounds", 2'000}});
  const std::uint64_t rounds = args.share("rounds");
  const double elapsed = perf::together(args.procs(), [&](unsigned i) {
    worker own(i);
    for (std::uint64_t n = 0; n < rounds; ++n) own.round(n);
  });
  perf::print_operation(elapsed, rounds * window * args.procs());
}
