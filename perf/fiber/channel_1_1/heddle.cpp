// SPDX-License-Identifier: BSL-1.0
#include <heddle/heddle.hpp>
#include <vector>

#include "common/bench.hpp"

// One producer, one consumer, and `rounds` messages from each producer through a channel with room for
// `capacity`.
static double transfer(std::uint64_t rounds, std::uint64_t pairs, std::uint64_t capacity) {
  heddle::channel<std::uint64_t> channel(capacity);
  std::vector<heddle::join_handle<void>> producers;
  std::vector<heddle::join_handle<std::uint64_t>> consumers;
  std::uint64_t sum = 0;
  const double elapsed = perf::timed([&] {
    for (std::uint64_t p = 0; p < pairs; ++p) {
      consumers.push_back(heddle::spawn([&] {
        std::uint64_t mine = 0;
        for (const std::uint64_t value : channel) mine += value;
        return mine;
      }));
      producers.push_back(heddle::spawn([&] {
        for (std::uint64_t i = 1; i <= rounds; ++i) channel.send(i);
      }));
    }
    for (auto& producer : producers) producer.join();
    channel.close();
    for (auto& consumer : consumers) sum += consumer.join();
  });
  perf::require(sum == pairs * (rounds * (rounds + 1) / 2), "a message was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {{"pairs", 1}, {"capacity", 128}});
  const std::uint64_t pairs = args["pairs"];
  perf::report report;
  heddle::run(
      [&] {
        const double ns = perf::measure(
            args, [&](std::uint64_t rounds) { return transfer(rounds, pairs, args["capacity"]); }, 1'000);
        report.add("message_ns", ns / static_cast<double>(pairs));
      },
      {.procs = args.procs()});
  report.print();
}
