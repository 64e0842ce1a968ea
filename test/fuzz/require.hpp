// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdio>
#include <cstdlib>

namespace heddle::testing {

/// Ends the process if the promise does not hold.
inline void require(bool holds, const char* promise) {
  if (holds) [[likely]]
    return;
  std::fprintf(stderr, "the allocator breaks a promise: %s\n", promise);
  std::abort();
}

}  // namespace heddle::testing
