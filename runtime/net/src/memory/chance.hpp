// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace heddle::net::detail {

/// Numbers that look random and are the same for the same seed everywhere. Source: G. Steele, D. Lea, C. Flood, "Fast
/// splittable pseudorandom number generators", 2014 (SplitMix64).
class chance {
 public:
  explicit chance(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// 0 to n - 1; n is not 0.
  std::uint64_t below(std::uint64_t n) noexcept { return next() % n; }
  /// One time in n; 0: never.
  bool one_in(unsigned n) noexcept { return n != 0 && below(n) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace heddle::net::detail
