// SPDX-License-Identifier: BSL-1.0
//
// A thread is started, allocates and frees a block of 64 bytes, ends, and is awaited.
#include <thread>

#include "alloc/common/blocks.hpp"
#include "common/bench.hpp"

int main(int argc, char** argv) {
  const perf::allocator_arguments args(argc, argv, {});
  perf::report report;
  const double ns = perf::measure(args, [&](std::uint64_t n) {
    return perf::timed([&] {
      for (; n > 0; --n) std::thread([] { perf::block(64).free(); }).join();
    });
  });
  report.add("thread_ns", ns);
  report.print();
}
