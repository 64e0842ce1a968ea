// SPDX-License-Identifier: BSL-1.0
//
// The numbers and helpers that the sleepers of all contenders share; the same numbers are in fiber/sleepers/go.go.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "common/cpu_time.hpp"
#include "common/report.hpp"

namespace perf {

constexpr int sleeps_each = 3;
constexpr std::uint64_t longest_sleep_us = 2'000'000;
constexpr std::uint64_t late_sleepers = 200, late_sleeps = 100;
constexpr std::chrono::microseconds half_period(500);

/// Until all have begun to sleep.
inline std::chrono::milliseconds time_to_start(std::uint64_t sleepers) {
  return std::chrono::milliseconds(1'000 + sleepers * 12 / 1'000);
}

/// xorshift64 (Marsaglia 2003), as in gobench.
class random_row {
 public:
  explicit random_row(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  std::uint64_t below(std::uint64_t n) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return (state_ >> 33) % n;
  }

 private:
  std::uint64_t state_;
};

inline void compute(std::chrono::nanoseconds time) {
  for (const auto end = std::chrono::steady_clock::now() + time; std::chrono::steady_clock::now() < end;) {
  }
}

class late_times {
 public:
  void add(std::uint64_t sleeper, std::uint64_t n, std::chrono::nanoseconds late) {
    times_[sleeper * late_sleeps + n] = late.count();
  }
  void report(perf::report& to) {
    std::sort(times_.begin(), times_.end());
    to.add("late_50_us", static_cast<double>(times_[times_.size() / 2]) / 1e3);
    to.add("late_99_us", static_cast<double>(times_[times_.size() * 99 / 100]) / 1e3);
  }

 private:
  std::vector<std::int64_t> times_ = std::vector<std::int64_t>(late_sleepers * late_sleeps);
};

}  // namespace perf
