// SPDX-License-Identifier: BSL-1.0
//
// Programs of a fixed amount of work, so that time, processor time and memory can be compared.
#pragma once

#include <latch>
#include <thread>
#include <vector>

#include "alloc/common/blocks.hpp"
#include "common/bench.hpp"

namespace perf {

/// The arguments of such a program: its own and `--work`, the percentage of its usual work.
class workload : public allocator_arguments {
 public:
  workload(int argc, char** argv, std::map<std::string, std::uint64_t> defaults)
      : allocator_arguments(argc, argv, with_work(std::move(defaults))) {}

  /// As much of `amount` as there is to do.
  std::uint64_t share(const std::string& amount) const {
    const std::uint64_t scaled = (*this)[amount] * (*this)["work"] / 100;
    return scaled == 0 ? 1 : scaled;
  }

 private:
  static std::map<std::string, std::uint64_t> with_work(std::map<std::string, std::uint64_t> defaults) {
    defaults.try_emplace("work", 100);
    return defaults;
  }
};

/// Runs f(0) ... f(threads - 1) on as many threads, which begin together; nanoseconds until the last one has ended.
/// A single one runs on the calling thread: allocators know programs that have no other.
template <class F>
double together(unsigned threads, F&& f) {
  if (threads == 1) return timed([&] { f(0u); });
  std::latch begin(threads + 1);
  std::vector<std::thread> all;
  for (unsigned i = 0; i < threads; ++i) {
    all.emplace_back([&, i] {
      begin.arrive_and_wait();
      f(i);
    });
  }
  begin.arrive_and_wait();
  return timed([&] {
    for (auto& thread : all) thread.join();
  });
}

/// Prints what such a program measured: the time of one operation.
inline void print_operation(double elapsed, std::uint64_t operations) {
  report report;
  report.add("operation_ns", elapsed / static_cast<double>(operations));
  report.print();
}

}  // namespace perf
