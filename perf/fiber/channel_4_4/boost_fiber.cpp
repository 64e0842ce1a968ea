// SPDX-License-Identifier: BSL-1.0
#include "common/boost_fibers.hpp"

#include "common/bench.hpp"

// Four producers, four consumers, and `rounds` messages from each producer through a channel with room for
// `capacity` (Boost.Fiber wants a power of two, and uses one slot less).
static double transfer(std::uint64_t rounds, std::uint64_t pairs, std::uint64_t capacity) {
  boost::fibers::buffered_channel<std::uint64_t> channel(capacity);
  std::vector<boost::fibers::fiber> producers, consumers;
  std::vector<std::uint64_t> sums(pairs);
  const double elapsed = perf::timed([&] {
    for (std::uint64_t p = 0; p < pairs; ++p) {
      consumers.emplace_back([&, p] {
        std::uint64_t mine = 0;
        for (const std::uint64_t value : channel) mine += value;
        sums[p] = mine;
      });
      producers.emplace_back([&] {
        for (std::uint64_t i = 1; i <= rounds; ++i) channel.push(i);
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
  const perf::arguments args(argc, argv, {{"pairs", 4}, {"capacity", 128}});
  const std::uint64_t pairs = args["pairs"];
  perf::report report;
  perf::run_boost_fibers(args.procs(), [&] {
    const double ns = perf::measure(
        args, [&](std::uint64_t rounds) { return transfer(rounds, pairs, args["capacity"]); }, 1'000);
    report.add("message_ns", ns / static_cast<double>(pairs));
  });
  report.print();
}
