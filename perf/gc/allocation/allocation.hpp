// SPDX-License-Identifier: BSL-1.0
//
// Objects of 16, 32 and 64 bytes that hold a link and live until 1,024 more have been made: what one costs from its
// making to its memory's next use, all included.
#pragma once

#include <atomic>

#include "common/bench.hpp"

namespace perf::gc {

template <std::size_t bytes>
struct padding {
  unsigned char contents[bytes];
};
template <>
struct padding<0> {};

template <class M, std::size_t bytes>
struct cell {
  typename M::template link<cell> other;
  [[no_unique_address]] padding<bytes - sizeof(typename M::template link<int>)> rest;
};

constexpr std::size_t window = 1'024;

template <class M, std::size_t bytes>
void make_cells(std::uint64_t objects) {
  using object = cell<M, bytes>;
  static_assert(sizeof(object) == bytes);
  auto recent = M::template make_array<typename M::template link<object>>(window);
  for (std::uint64_t i = 0; i < objects; ++i) {
    auto& slot = recent[i % window];
    if constexpr (M::by_hand) M::release(M::at(slot));
    slot = M::template make<object>();
  }
  for (std::size_t i = 0; i < window; ++i) {
    require(M::at(recent[i]) != nullptr && M::at(M::at(recent[i])->other) == nullptr, "an object was overwritten");
    if constexpr (M::by_hand) M::release(M::at(recent[i]));
  }
  M::release_array(recent);
}

template <class M, std::size_t bytes>
void measure_cells(const arguments& args, report& to) {
  const double ns =
      timed([&] { M::on_workers(args.procs(), [&](unsigned) { make_cells<M, bytes>(args["objects"]); }); });
  to.add("object_" + std::to_string(bytes) + "_ns", ns / static_cast<double>(args["objects"]));
}

template <class M>
int allocation(int argc, char** argv) {
  const arguments args(argc, argv, {{"objects", 20'000'000}});
  require(args["objects"] >= window, "--objects must be at least 1024");
  report report;
  M::run(args, [&] {
    measure_cells<M, 16>(args, report);
    measure_cells<M, 32>(args, report);
    measure_cells<M, 64>(args, report);
  });
  report.print();
  return 0;
}

}  // namespace perf::gc
