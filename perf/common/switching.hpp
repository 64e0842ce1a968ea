// SPDX-License-Identifier: BSL-1.0
//
// How fiber/switch measures one switch between two parties, whatever they are: directly, and with a cold
// cache.
#pragma once

#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <vector>

#include "common/bench.hpp"

namespace perf {

inline constexpr std::size_t most_samples = 100'000;

/// Takes the time of single switches whose every cache line has been evicted from the first two cache levels.
/// The party that is about to switch calls leave(), the one that goes on calls arrive(). May lie in shared
/// memory.
class cold_watch {
 public:
  /// Overwrites `evict` bytes, which should be several times the second-level cache, and starts the watch.
  void leave(std::size_t evict) {
    static std::vector<char> ballast;
    ballast.resize(evict);
    for (std::size_t i = 0; i < evict; i += 64) ballast[i] = static_cast<char>(ballast[i] + 1);
    left_ = ticks();
  }
  void arrive() {
    const std::uint64_t elapsed = ticks() - left_;
    require(count() < most_samples, "too many samples");
    samples_[count()] = elapsed;
    ++count_;
  }
  /// The median in ticks.
  double median() {
    std::nth_element(samples_.begin(), samples_.begin() + count_ / 2, samples_.begin() + count_);
    return static_cast<double>(samples_[count() / 2]);
  }
  std::size_t count() const { return static_cast<std::size_t>(count_); }
  void reset() { count_ = 0; }

 private:
  static std::uint64_t ticks() {
    _mm_lfence();  // so that nothing before is still under way
    const std::uint64_t now = __rdtsc();
    _mm_lfence();  // so that nothing after has begun
    return now;
  }

  std::uint64_t left_ = 0;
  std::ptrdiff_t count_ = 0;
  std::array<std::uint64_t, most_samples> samples_{};
};

/// Nanoseconds per tick of the time stamp counter.
inline double tick_ns() {
  const double start = now();
  const std::uint64_t first = __rdtsc();
  while (now() - start < 20e6) {
  }
  const std::uint64_t last = __rdtsc();
  return (now() - start) / static_cast<double>(last - first);
}

/// The arguments of every contender of fiber/switch.
inline arguments switch_arguments(int argc, char** argv) {
  return arguments(argc, argv, {{"samples", 1'000}, {"evict_kib", 4'096}});
}

/// Adds both metrics. direct(n) makes n round trips, two switches each, and returns the ns they took;
/// cold(n, evict) makes n round trips around watch.leave(evict) and watch.arrive().
template <class Direct, class Cold>
void report_switch(report& report, const arguments& args, cold_watch& watch, Direct&& direct, Cold&& cold) {
  report.add("direct_ns", measure(args, direct, 100) / 2);
  const std::size_t evict = args["evict_kib"] * 1024;
  for (std::uint64_t i = 0; i < args["samples"]; ++i) {  // what leaving and arriving cost without a switch
    watch.leave(evict);
    watch.arrive();
  }
  const double nothing = watch.median();
  watch.reset();
  cold(args["samples"] / 2, evict);
  require(watch.count() == args["samples"] / 2 * 2, "switches were lost");
  report.add("cold_ns", (watch.median() - nothing) * tick_ns());
}

}  // namespace perf
