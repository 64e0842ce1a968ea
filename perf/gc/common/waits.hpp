// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "common/bench.hpp"

namespace perf::gc {

/// The distribution of many times, to 1/64 of each. add() takes some nanoseconds and allocates nothing. Source:
/// HdrHistogram (G. Tene).
class waits {
 public:
  void add(double ns) {
    const auto value = static_cast<std::uint64_t>(std::max(ns, 0.0));
    worst_ = std::max(worst_, value);
    ++count_;
    ++buckets_[index(value)];
  }

  void add(const waits& other) {
    worst_ = std::max(worst_, other.worst_);
    count_ += other.count_;
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  }

  std::uint64_t count() const { return count_; }

  /// The time that a share of q of all does not exceed.
  double at(double q) const {
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > rank) return static_cast<double>(std::min(worst_, value_of(i)));
    }
    return static_cast<double>(worst_);
  }

  void print(report& to, const std::string& what) const {
    to.add(what + "_p50_ns", at(0.5));
    to.add(what + "_p90_ns", at(0.9));
    to.add(what + "_p99_ns", at(0.99));
    to.add(what + "_p999_ns", at(0.999));
    to.add(what + "_p9999_ns", at(0.9999));
    to.add(what + "_worst_ns", static_cast<double>(worst_));
  }

 private:
  static std::size_t index(std::uint64_t value) {
    value = std::min(value, (std::uint64_t{1} << 44) - 1);
    const int shift = std::max(0, static_cast<int>(std::bit_width(value)) - 7);
    return static_cast<std::size_t>(shift) * 64 + static_cast<std::size_t>(value >> shift);
  }
  static std::uint64_t value_of(std::size_t i) {  // the last one of its bucket
    if (i < 128) return i;
    const std::size_t shift = i / 64 - 1;
    return ((std::uint64_t{i % 64 + 64} + 1) << shift) - 1;
  }

  std::vector<std::uint64_t> buckets_ = std::vector<std::uint64_t>(40 * 64);
  std::uint64_t count_ = 0;
  std::uint64_t worst_ = 0;
};

}  // namespace perf::gc
