// SPDX-License-Identifier: BSL-1.0
#include "heddle/latch.hpp"

#include "heddle/detail/trusted.hpp"
#include "misuse.hpp"

namespace heddle {

void latch::out_of_range() const noexcept {
  detail::misuse("latch", this, "a count below 0 or above 2^32-1; pass one within latch::max()");
}

void latch::destroyed_in_use() const noexcept {
  detail::destroyed_in_use("latch", this, "destroyed while others wait for it; join them first");
}

}  // namespace heddle
