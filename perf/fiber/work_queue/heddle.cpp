// SPDX-License-Identifier: BSL-1.0
#include <heddle/heddle.hpp>
#include <utility>
#include <vector>

#include "common/bench.hpp"
#include "work_queue.hpp"

// `fibers` producers, each with its share of the keys, add all of them, wait until they have been processed, and begin
// again, `rounds` times; as many workers process them.
static double process(std::uint64_t rounds, std::uint64_t fibers, std::uint64_t keys) {
  examples::work_queue<std::uint64_t> queue;
  const std::uint64_t share = keys / fibers;
  std::vector<heddle::wait_group> left(fibers);
  std::vector<std::uint64_t> processed(fibers);
  const double elapsed = perf::timed([&] {
    std::vector<heddle::join_handle<void>> workers, producers;
    for (std::uint64_t w = 0; w < fibers; ++w)
      workers.push_back(heddle::spawn([&, w] {
        std::uint64_t mine = 0;
        for (auto item = queue.get(); item; item = queue.get(std::move(item))) {
          ++mine;
          left[*item / share].done();
        }
        processed[w] = mine;
      }));
    for (std::uint64_t p = 0; p < fibers; ++p)
      producers.push_back(heddle::spawn([&, p] {
        for (std::uint64_t r = 0; r < rounds; ++r) {
          left[p].add(static_cast<std::uint32_t>(share));
          for (std::uint64_t k = p * share; k < (p + 1) * share; ++k) queue.add(k);
          left[p].wait();
        }
      }));
    for (auto& producer : producers) producer.join();
    queue.shut_down();
    for (auto& worker : workers) worker.join();
  });
  std::uint64_t sum = 0;
  for (const std::uint64_t mine : processed) sum += mine;
  perf::require(sum == rounds * fibers * share, "an item was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"keys", 1'000}, {"few", 1}, {"many", 4}});
  perf::report report;
  heddle::run(
      [&] {
        for (const char* size : {"few", "many"}) {
          const std::uint64_t fibers = args[size];
          const double ns =
              perf::measure(args, [&](std::uint64_t rounds) { return process(rounds, fibers, args["keys"]); });
          report.add("pairs_" + std::to_string(fibers) + "_ns", ns / static_cast<double>(args["keys"]));
        }
      },
      {.procs = args.procs()});
  report.print();
}
