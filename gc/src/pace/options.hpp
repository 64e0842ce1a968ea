// SPDX-License-Identifier: BSL-1.0
//
// Options of a process, by HEDDLE_GC=name=value,...
#pragma once

#include <cstddef>

namespace heddle::gc::detail {

struct options {
  std::size_t percent = 100;  ///< garbage between cycles, of the live bytes; 0: no cycle by itself
  std::size_t limit = 0;      ///< bytes of the heap; 0: none
  std::size_t stress = 0;     ///< a cycle before each N-th allocation; dead objects are poisoned; 0: off
  bool check = false;         ///< all marks of each cycle are checked, see mark_check.hpp; dead objects are poisoned
  bool leaks = false;         ///< each whole cycle looks for fibers that wait for ever
  bool misplaced = false;     ///< each store by a gc::ptr is looked at, see cycle/misplaced.hpp
  bool trace = false;         ///< a line a cycle on stderr
  bool watch = true;          ///< young cycles pass over stacks that nobody has written into
  bool generational = false;  ///< most cycles are young ones
};

/// Read once, when they are first needed. Unknown keys and bad values are reported on stderr, and change nothing.
const options& the_options() noexcept;
/// For tests: the options in `text`. Complaints go to stderr.
options parse_options(const char* text) noexcept;

}  // namespace heddle::gc::detail
