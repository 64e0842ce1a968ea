// SPDX-License-Identifier: BSL-1.0
//
// A counted pointer copied, and the copy dropped: by the thread that has made the object, and by another. Both threads
// exist all the time, since counts need no atomic instructions in a process of one thread.
#pragma once

#include <atomic>
#include <thread>

#include "common/bench.hpp"

namespace perf::gc {

struct counted_thing {
  std::uint64_t contents[2] = {};
};

/// Nanoseconds of a copy and its end.
template <class M>
double copy_and_drop(const arguments& args, const typename M::template hold<counted_thing>& of) {
  return measure(
      args,
      [&](std::uint64_t n) {
        return timed([&] {
          for (std::uint64_t i = 0; i < n; ++i) {
            const typename M::template hold<counted_thing> copy = of;
            asm volatile("" : : "r"(&copy) : "memory");  // it is really made
          }
        });
      },
      1'000);
}

template <class M>
int copy_drop(int argc, char** argv) {
  const arguments args(argc, argv, {});
  report report;
  M::run(args, [&] {
    const auto shared = M::template make<counted_thing>();
    std::atomic<bool> owner_is_done{false};
    double others = 0;
    std::jthread other([&] {
      owner_is_done.wait(false);
      others = copy_and_drop<M>(args, shared);
    });
    report.add("owner_ns", copy_and_drop<M>(args, shared));
    owner_is_done = true;
    owner_is_done.notify_one();
    other.join();
    report.add("other_ns", others);
    require(shared->contents[1] == 0, "the object has changed");
  });
  report.print();
  return 0;
}

}  // namespace perf::gc
