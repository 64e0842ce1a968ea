// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <span>

#include "heddle/detail/config.hpp"

namespace heddle::detail {

struct table_extent {
  const void* from;
  std::size_t bytes;
};

/// The allocator's large variables with static storage. No address of an object of the program is only there, so a
/// collector need not read them: most of what a small program has of such variables.
HEDDLE_EXPORT std::span<const table_extent> own_tables() noexcept;

}  // namespace heddle::detail
