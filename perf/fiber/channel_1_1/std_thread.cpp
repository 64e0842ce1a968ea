// SPDX-License-Identifier: BSL-1.0
#include <thread>
#include <vector>

#include "common/bench.hpp"
#include "common/threads.hpp"

// One producer, one consumer, and `rounds` messages from each producer through a queue with room for
// `capacity`.
static double transfer(std::uint64_t rounds, std::uint64_t pairs, std::uint64_t capacity) {
  perf::thread_channel<std::uint64_t> channel(capacity);
  std::vector<std::thread> producers, consumers;
  std::vector<std::uint64_t> sums(pairs);
  const double elapsed = perf::timed([&] {
    for (std::uint64_t p = 0; p < pairs; ++p) {
      consumers.emplace_back([&, p] {
        std::uint64_t mine = 0;
        while (const auto value = channel.receive()) mine += *value;
        sums[p] = mine;
      });
      producers.emplace_back([&] {
        for (std::uint64_t i = 1; i <= rounds; ++i) channel.send(i);
      });
    }
    for (auto& producer : producers) producer.join();
    channel.close();
    for (auto& consumer : consumers) consumer.join();
  });
  std::uint64_t sum = 0;
  for (const std::uint64_t mine : sums) sum += mine;
  perf::require(sum == pairs * (rounds * (rounds + 1) / 2), "a message was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"pairs", 1}, {"capacity", 128}});
  const std::uint64_t pairs = args["pairs"];
  perf::use_processors(args.procs());
  perf::report report;
  const double ns = perf::measure(
      args, [&](std::uint64_t rounds) { return transfer(rounds, pairs, args["capacity"]); }, 1'000);
  report.add("message_ns", ns / static_cast<double>(pairs));
  report.print();
}
