// SPDX-License-Identifier: BSL-1.0
//
// What the tests of channels send through them.
#pragma once

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <stdexcept>

#include "heddle/this_fiber.hpp"

namespace heddle::testing {

/// BOOST_TEST for code that runs beside other checks: touches Boost.Test, which is for one thread, only if it fails.
inline void expect(bool holds, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  if (!holds) BOOST_ERROR(file << ":" << line << ": does not hold");
}

/// On one processor: lets every other fiber run until it blocks.
inline void settle() {
  for (int i = 0; i < 50; ++i) heddle::this_fiber::yield();
}

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
