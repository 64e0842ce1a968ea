// SPDX-License-Identifier: BSL-1.0
#include "misuse.hpp"

#include <cstdio>
#include <cstdlib>

#include "heddle/detail/exit.hpp"
#include "heddle/detail/home_stack.hpp"

namespace heddle::detail {

void misuse(const char* kind, const void* object, const char* what) noexcept {
  on_home_stack([&] { std::fprintf(stderr, "heddle: %s %p: %s\n", kind, object, what); });
  std::abort();
}

void destroyed_in_use(const char* kind, const void* object, const char* what) noexcept {
  if (!process_exits()) misuse(kind, object, what);
}

}  // namespace heddle::detail
