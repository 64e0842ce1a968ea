// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <utility>

namespace perf::net {

/// The quantiles that are reported, in microseconds.
inline constexpr std::array<std::pair<const char*, double>, 3> quantiles{
    {{"p50_us", 0.5}, {"p99_us", 0.99}, {"p999_us", 0.999}}};

/// A histogram of times, in nanoseconds, whose steps are a 64th of the value. Source: HdrHistogram.
class latencies {
 public:
  void clear() {
    counts_ = {};
    count_ = 0;
  }
  void add(double nanoseconds) {
    ++counts_[index_of(static_cast<std::uint64_t>(nanoseconds < 0 ? 0 : nanoseconds))];
    ++count_;
  }
  std::uint64_t count() const { return count_; }

  /// The time that so large a part of all does not exceed; 0 if there is none.
  double at(double quantile) const {
    const auto wanted = quantile * static_cast<double>(count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (counts_[i] > 0 && static_cast<double>(seen) >= wanted) return static_cast<double>(value_of(i));
    }
    return 0;
  }

 private:
  static constexpr unsigned bits = 6;  // of the value, behind its first

  static std::size_t index_of(std::uint64_t value) {
    if (value < (1U << bits)) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - bits;
    return (std::size_t{shift} << bits) + (value >> shift);
  }
  /// The largest value that falls into this place.
  static std::uint64_t value_of(std::size_t index) {
    if (index < (2U << bits)) return index;
    const auto shift = (index >> bits) - 1;
    return ((index - (shift << bits) + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (64U - bits + 1) << bits> counts_{};
  std::uint64_t count_ = 0;
};

}  // namespace perf::net
