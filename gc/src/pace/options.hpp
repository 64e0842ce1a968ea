// SPDX-License-Identifier: BSL-1.0
//
// What can be chosen when the process starts, by HEDDLE_GC=name=value,...
#pragma once

#include <cstddef>

namespace heddle::gc::detail {

struct options {
  std::size_t percent = 100;  ///< garbage that may come together before a cycle, of what lives; 0: no cycle by itself
  std::size_t limit = 0;      ///< bytes of the heap; 0: none
  std::size_t stress = 0;     ///< a whole cycle before each N-th allocation; 0: off
  bool check = false;         ///< each cycle's marks are compared with those that a stopped world gives
  bool trace = false;         ///< a line a cycle on stderr
};

/// Read once, when the heap is first used. What is unknown or cannot be is said on stderr and left as it is.
const options& the_options() noexcept;
/// For tests: what `text` says. Complaints go to stderr.
options parse_options(const char* text) noexcept;

}  // namespace heddle::gc::detail
