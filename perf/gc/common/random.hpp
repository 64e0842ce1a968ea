// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace perf::gc {

/// Numbers that are the same in all languages and runs: xorshift64 (Marsaglia 2003).
class random {
 public:
  explicit random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  /// Of 0 ... n - 1.
  std::uint64_t below(std::uint64_t n) { return (next() >> 33) % n; }

 private:
  std::uint64_t state_;
};

}  // namespace perf::gc
