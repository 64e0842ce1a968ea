// SPDX-License-Identifier: BSL-1.0
//
// Full collections of a heap that all survives: 8 million objects of 64 bytes, which an array names in the order of
// their addresses and then in a random one.
#pragma once

#include <algorithm>

#include "common/bench.hpp"
#include "gc/common/random.hpp"

namespace perf::gc {

template <class M>
struct marked {
  typename M::template link<marked> other;
  std::uint64_t number = 0;
  std::uint64_t contents[6] = {};
};

/// Nanoseconds of the middle one of three collections.
template <class M>
double collection() {
  double ns[3];
  for (double& one : ns) one = timed([] { M::collect(); });
  std::sort(ns, ns + 3);
  return ns[1];
}

template <class M>
int mark(int argc, char** argv) {
  const arguments args(argc, argv, {{"objects", 8'000'000}});
  const std::uint64_t objects = args["objects"];
  report report;
  M::run(args, [&] {
    auto all = M::template make_array<typename M::template link<marked<M>>>(objects);
    for (std::uint64_t i = 0; i < objects; ++i) {
      auto one = M::template make<marked<M>>();
      one->number = i;
      all[i] = std::move(one);
    }
    report.add("in_order_ns", collection<M>() / static_cast<double>(objects));
    random choice(1);
    for (std::uint64_t i = objects - 1; i > 0; --i) std::swap(all[i], all[choice.below(i + 1)]);
    report.add("shuffled_ns", collection<M>() / static_cast<double>(objects));
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < objects; ++i) sum += M::at(all[i])->number;
    require(sum == objects * (objects - 1) / 2, "an object was lost");
  });
  report.print();
  return 0;
}

}  // namespace perf::gc
