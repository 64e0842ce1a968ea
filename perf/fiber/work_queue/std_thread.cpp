// SPDX-License-Identifier: BSL-1.0
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "common/bench.hpp"
#include "common/client_go_queue.hpp"
#include "common/threads.hpp"

// `threads` producers, each with its share of the keys, add all of them, wait until they have been processed, and begin
// again, `rounds` times; as many workers process them.
static double process(std::uint64_t rounds, std::uint64_t threads, std::uint64_t keys) {
  perf::client_go_queue<std::uint64_t, std::mutex, std::condition_variable> queue;
  const std::uint64_t share = keys / threads;
  std::vector<perf::counted_wait<std::mutex, std::condition_variable>> left(threads);
  std::vector<std::uint64_t> processed(threads);
  const double elapsed = perf::timed([&] {
    std::vector<std::thread> workers, producers;
    for (std::uint64_t w = 0; w < threads; ++w)
      workers.emplace_back([&, w] {
        std::uint64_t mine = 0;
        while (const auto key = queue.get()) {
          queue.done(*key);
          ++mine;
          left[*key / share].done();
        }
        processed[w] = mine;
      });
    for (std::uint64_t p = 0; p < threads; ++p)
      producers.emplace_back([&, p] {
        for (std::uint64_t r = 0; r < rounds; ++r) {
          left[p].add(share);
          for (std::uint64_t k = p * share; k < (p + 1) * share; ++k) queue.add(k);
          left[p].wait();
        }
      });
    for (auto& producer : producers) producer.join();
    queue.shut_down();
    for (auto& worker : workers) worker.join();
  });
  std::uint64_t sum = 0;
  for (const std::uint64_t mine : processed) sum += mine;
  perf::require(sum == rounds * threads * share, "an item was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"keys", 1'000}, {"few", 1}, {"many", 4}});
  perf::use_processors(args.procs());
  perf::report report;
  for (const char* size : {"few", "many"}) {
    const std::uint64_t threads = args[size];
    const double ns = perf::measure(args, [&](std::uint64_t rounds) { return process(rounds, threads, args["keys"]); });
    report.add("pairs_" + std::to_string(threads) + "_ns", ns / static_cast<double>(args["keys"]));
  }
  report.print();
}
