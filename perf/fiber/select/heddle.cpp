// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <heddle/heddle.hpp>
#include <string>
#include <utility>

#include "common/bench.hpp"

using channel = heddle::channel<std::uint64_t>;
using receive_case = heddle::receive_case<std::uint64_t>;

template <std::size_t>
using with_room_for_one = std::size_t;

// What is chosen among the cases.
template <std::size_t... I>
static std::uint64_t chosen(std::array<receive_case, sizeof...(I)>& cases, std::size_t& index,
                            std::index_sequence<I...>) {
  index = heddle::select(cases[I]...);
  return *cases[index].result();
}

// One fiber sends to the channels in turns, another selects over them: it waits, or the other one does.
template <std::size_t... I>
static double blocking(std::uint64_t n, std::index_sequence<I...> all) {
  std::array<channel, sizeof...(I)> channels;
  std::array<receive_case, sizeof...(I)> cases{receive_case(channels[I])...};
  auto sender = heddle::spawn([&] {
    for (std::uint64_t i = 0; i < n; ++i) channels[i % sizeof...(I)].send(i);
  });
  std::uint64_t sum = 0;
  std::size_t index = 0;
  const double elapsed = perf::timed([&] {
    for (std::uint64_t i = 0; i < n; ++i) sum += chosen(cases, index, all);
  });
  sender.join();
  perf::require(sum == n * (n - 1) / 2, "a message was lost");
  return elapsed;
}

// Each of the channels has a value at any time: the one that is taken is put back.
template <std::size_t... I>
static double ready(std::uint64_t n, std::index_sequence<I...> all) {
  std::array<channel, sizeof...(I)> channels{channel(with_room_for_one<I>(1))...};
  std::array<receive_case, sizeof...(I)> cases{receive_case(channels[I])...};
  for (channel& c : channels) c.send(0);
  std::size_t index = 0;
  const double elapsed = perf::timed([&] {
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::uint64_t value = chosen(cases, index, all);
      channels[index].send(value + 1);
    }
  });
  std::uint64_t sum = 0;
  for (channel& c : channels) sum += c.receive().value();
  perf::require(sum == n, "a message was lost");
  return elapsed;
}

int main(int argc, char** argv) {
  const perf::arguments args(argc, argv, {});
  perf::report report;
  heddle::run(
      [&] {
        const auto measure = [&](auto all) {
          const std::string size = std::to_string(all.size()) + "_ns";
          report.add("blocking_" + size, perf::measure(args, [&](std::uint64_t n) { return blocking(n, all); }));
          report.add("ready_" + size, perf::measure(args, [&](std::uint64_t n) { return ready(n, all); }));
        };
        measure(std::make_index_sequence<2>());
        measure(std::make_index_sequence<4>());
      },
      {.procs = args.procs()});
  report.print();
}
