// SPDX-License-Identifier: BSL-1.0
//
// Stores of an address into objects that exist: while nothing happens, and while one full collection follows another.
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "common/bench.hpp"

namespace perf::gc {

template <class M>
struct target {
  typename M::template link<target> other;
  std::uint64_t contents[7] = {};
};

constexpr std::size_t slots = 1'024;

template <class M>
using slot_array = typename M::template array<typename M::template link<target<M>>>;

/// Nanoseconds of a store: in the middle one of all batches, and on the average.
struct costs {
  double middle = 0, mean = 0;
};

/// Stores while go_on(batches so far) is true.
template <class M, class F>
costs store_cost(const slot_array<M>& into, const typename M::template hold<target<M>> (&values)[2], F&& go_on) {
  constexpr std::size_t batch = 20'000;
  std::vector<double> each;
  const double first = now();
  while (go_on(each.size())) {
    const double begin = now();
    for (std::size_t i = 0; i < batch; ++i) {
      into[i % slots] = values[(i / slots) % 2];
      asm volatile("" ::: "memory");  // each is a store of its own
    }
    each.push_back((now() - begin) / static_cast<double>(batch));
    M::yield();
  }
  require(!each.empty(), "nothing was measured");
  const double mean = (now() - first) / static_cast<double>(each.size() * batch);
  std::nth_element(each.begin(), each.begin() + static_cast<std::ptrdiff_t>(each.size() / 2), each.end());
  return {each[each.size() / 2], mean};
}

/// The same while another worker collects.
template <class M>
costs store_cost_marking(const slot_array<M>& into, const typename M::template hold<target<M>> (&values)[2],
                         std::uint64_t collections) {
  std::atomic<bool> begun{false}, over{false};
  costs cost;
  M::on_workers(2, [&](unsigned worker) {
    if (worker == 0) {
      begun = true;
      for (std::uint64_t i = 0; i < collections; ++i) M::collect();
      over = true;
      return;
    }
    while (!begun) M::yield();
    cost = store_cost<M>(into, values, [&](std::size_t batches) { return batches == 0 || !over; });
  });
  return cost;
}

/// What the collections look at: objects that know their places.
template <class M>
class bystanders {
 public:
  explicit bystanders(std::uint64_t objects)
      : objects_(objects), all_(M::template make_array<typename M::template link<target<M>>>(objects)) {
    for (std::uint64_t i = 0; i < objects_; ++i) all_[i] = numbered(i);
  }
  /// Objects made now would lie where one lay that was freed by mistake.
  void check() {
    for (std::uint64_t i = 0; i < objects_ / 8; ++i) (void)numbered(objects_);
    for (std::uint64_t i = 0; i < objects_; ++i) {
      require(M::at(all_[i])->contents[0] == i, "an object was lost");
    }
  }

 private:
  static auto numbered(std::uint64_t number) {
    auto one = M::template make<target<M>>();
    one->contents[0] = number;
    return one;
  }

  std::uint64_t objects_;
  typename M::template array<typename M::template link<target<M>>> all_;
};

template <class M>
void measure_stores(const arguments& args, report& to) {
  auto into = M::template make_array<typename M::template link<target<M>>>(slots);
  typename M::template hold<target<M>> values[2] = {M::template make<target<M>>(), M::template make<target<M>>()};
  (void)store_cost<M>(into, values, [](std::size_t batches) { return batches < 100; });
  to.add("idle_ns", store_cost<M>(into, values, [](std::size_t batches) { return batches < 1'000; }).middle);
  if constexpr (M::collects) {
    bystanders<M> heap(args["objects"]);
    const costs marking = store_cost_marking<M>(into, values, args["collections"]);
    to.add("marking_ns", marking.middle);
    to.add("marking_mean_ns", marking.mean);
    heap.check();
  }
  for (std::size_t i = 0; i < slots; ++i) {
    require(M::at(into[i]) == M::at(values[0]) || M::at(into[i]) == M::at(values[1]), "a store was lost");
  }
  M::release(M::at(values[0]));
  M::release(M::at(values[1]));
  M::release_array(into);
}

template <class M>
int pointer_store(int argc, char** argv) {
  const arguments args(argc, argv, {{"objects", 4'000'000}, {"collections", 20}});
  require(args["objects"] > 0 && args["collections"] > 0, "--objects and --collections must be at least 1");
  report report;
  M::run(args, [&] { measure_stores<M>(args, report); });
  report.print();
  return 0;
}

}  // namespace perf::gc
