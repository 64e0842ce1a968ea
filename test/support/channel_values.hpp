// SPDX-License-Identifier: BSL-1.0
//
// What the tests of channels send through them.
#pragma once

#include <atomic>
#include <stdexcept>

namespace heddle::testing {

/// A value that counts how many of its kind exist, and has no default constructor.
struct counted {
  static inline std::atomic<int> alive{0};
  int number;
  explicit counted(int n) : number(n) { ++alive; }
  counted(const counted& other) : number(other.number) { ++alive; }
  counted(counted&& other) noexcept : number(other.number) { ++alive; }
  ~counted() { --alive; }
};

/// A value whose move throws when told to, and then leaves the source as it was.
struct touchy {
  static inline std::atomic<int> moves_until_throw{-1};
  static inline std::atomic<int> alive{0};
  int number;
  explicit touchy(int n) : number(n) { ++alive; }
  touchy(touchy&& other) : number(other.number) {
    if (moves_until_throw == 0) {
      moves_until_throw = -1;
      throw std::runtime_error("touchy");
    }
    if (moves_until_throw > 0) --moves_until_throw;
    other.number = -1;
    ++alive;
  }
  ~touchy() { --alive; }
};

}  // namespace heddle::testing
