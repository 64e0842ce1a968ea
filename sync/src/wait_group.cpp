// SPDX-License-Identifier: BSL-1.0
#include "heddle/wait_group.hpp"

#include "heddle/detail/trusted.hpp"
#include "misuse.hpp"

namespace heddle {

void wait_group::destroyed_in_use() const noexcept {
  detail::destroyed_in_use("wait_group", this, "destroyed while others wait for it; join them first");
}

}  // namespace heddle
