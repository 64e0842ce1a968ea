// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdlib>
#include <string>

namespace heddle::testing {

/// Adds to the options of the process, before the heap is first used.
inline void add_option(const std::string& option) {
  const char* const before = std::getenv("HEDDLE_GC");
  ::setenv("HEDDLE_GC", before == nullptr ? option.c_str() : (before + ("," + option)).c_str(), 1);
}

}  // namespace heddle::testing
