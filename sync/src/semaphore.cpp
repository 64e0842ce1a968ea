// SPDX-License-Identifier: BSL-1.0
#include "heddle/semaphore.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/trusted.hpp"
#include "misuse.hpp"

namespace heddle {

void semaphore::out_of_range(std::ptrdiff_t n) const noexcept {
  detail::on_home_stack([&] {
    char text[128];
    std::snprintf(text, sizeof text, "%td permits; pass a number from 0 to %td", n, most_);
    detail::misuse(kind_, this, text);
  });
  std::abort();  // not reached
}

void semaphore::too_many(std::ptrdiff_t n) const noexcept {
  detail::on_home_stack([&] {
    char text[160];
    std::snprintf(text, sizeof text,
                  "release(%td) with %" PRIu64 " permits free; the limit is %td: release what you have acquired", n,
                  permits_.count(), most_);
    detail::misuse(kind_, this, text);
  });
  std::abort();  // not reached
}

void semaphore::destroyed_in_use() const noexcept {
  detail::destroyed_in_use(kind_, this, "destroyed while others wait for it; join them first");
}

}  // namespace heddle
