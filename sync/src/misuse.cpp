// SPDX-License-Identifier: BSL-1.0
#include "misuse.hpp"

#include <cstdio>
#include <cstdlib>

namespace heddle::detail {

void misuse(const char* kind, const void* object, const char* what) noexcept {
  std::fprintf(stderr, "heddle: %s %p: %s\n", kind, object, what);
  std::abort();
}

}  // namespace heddle::detail
