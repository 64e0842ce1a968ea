// SPDX-License-Identifier: BSL-1.0
//
// A heap of many objects of 16 to 2,000 bytes, of which nine tenths, chosen at random, are freed: how much memory stays
// with the process, at once and while nothing happens; and the same after all of it was freed.
#include <chrono>
#include <thread>

#include "alloc/common/workload.hpp"

namespace {

// What measures must not be in the heap that is measured.
double resident_mib() {
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  perf::require(file != nullptr, "cannot read /proc/self/statm");
  unsigned long size = 0, resident = 0;
  perf::require(std::fscanf(file, "%lu %lu", &size, &resident) == 2, "cannot read /proc/self/statm");
  std::fclose(file);
  return static_cast<double>(resident) * 4'096 / (1 << 20);
}

void sample(perf::report& report, const std::string& what, std::uint64_t until_ms, std::uint64_t step_ms) {
  for (std::uint64_t ms = 0; ms <= until_ms; ms += step_ms) {
    if (ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(step_ms));
    report.add(what + "_" + std::to_string(ms) + "_mib", resident_mib());
  }
}

std::vector<perf::block> build(std::size_t bytes) {
  perf::random choice(3);
  std::vector<perf::block> heap;
  for (std::size_t sum = 0; sum < bytes; sum += heap.back().size()) heap.emplace_back(choice.between(16, 2'000));
  return heap;
}

}  // namespace

// Every page of a block is written, as it is at its ends only.
static void touch(const std::vector<perf::block>& heap) {
  for (const auto& block : heap) {
    if (block.size() > 24) std::memset(static_cast<char*>(block.at()) + 8, 1, block.size() - 16);
  }
}

int main(int argc, char** argv) {
  const perf::allocator_arguments args(argc, argv, {{"mib", 356}, {"settle", 15'000}, {"step", 500}});
  perf::report report;
  auto heap = build(args["mib"] << 20);
  touch(heap);
  report.add("live_mib", resident_mib());
  perf::random choice(4);
  for (auto& block : heap) {
    if (choice.below(10) != 0) block.free();
  }
  sample(report, "tenth", args["settle"], args["step"]);
  for (auto& block : heap) {
    if (!block.empty()) block.free();
  }
  sample(report, "freed", args["settle"], args["step"]);
  report.print();
}
