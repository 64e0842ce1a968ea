// SPDX-License-Identifier: BSL-1.0
//
// Boost.Fiber on a number of processors: one thread with the default scheduler, or several that steal.
#pragma once

#include <barrier>
#include <boost/fiber/all.hpp>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace perf {

/// The default of --most where a problem asks for a million: each takes 10 KiB, and beyond 100,000 some 20
/// us.
inline constexpr std::uint64_t most_boost_fibers = 100'000;

/// Runs f as the main fiber of `procs` threads; returns when f has returned.
template <class F>
void run_boost_fibers(unsigned procs, F&& f) {
  if (procs == 1) return f();
  using stealing = boost::fibers::algo::work_stealing;
  std::barrier<> ready(procs);  // a thief may look only at schedulers that exist
  boost::fibers::mutex mutex;
  boost::fibers::condition_variable ended;
  bool over = false;
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < procs; ++i) {
    threads.emplace_back([&] {
      boost::fibers::use_scheduling_algorithm<stealing>(procs);
      ready.arrive_and_wait();
      std::unique_lock lock(mutex);
      ended.wait(lock, [&] { return over; });
    });
  }
  boost::fibers::use_scheduling_algorithm<stealing>(procs);
  ready.arrive_and_wait();
  f();
  {
    const std::lock_guard lock(mutex);
    over = true;
  }
  ended.notify_all();
  for (auto& thread : threads) thread.join();
}

}  // namespace perf
