// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/size_class.hpp"
#include "span.hpp"

namespace heddle::detail {

/// Blocks that a cache has freed and allocates again, the last one first, whoever owns the spans they are of. `live` is
/// how many more it takes, `base` how many it has room for.
///
/// Source: J. Bonwick, J. Adams, "Magazines and Vmem" (2001), for two to a class: one that is used, and a full one.
struct magazine : block_list {
  bool is_full() const noexcept { return static_cast<std::int32_t>(live) <= 0; }
  std::uint32_t count() const noexcept { return base - live; }
};

/// What a magazine may have room for. It begins with the least, has twice as much or more when it has run dry after it
/// had been too small, and half when so many have been freed that nobody has asked for again.
struct magazine_bound {
  std::uint32_t least;
  std::uint32_t most;    ///< 0: this class has none
  std::uint32_t useful;  ///< From how many on to use them: fewer may lie in cache lines with blocks of others.
};
inline constexpr auto magazine_bounds = [] {
  std::array<magazine_bound, class_count> t{};
  for (std::size_t c = 0; c != t.size(); ++c) {
    const std::size_t size = class_info[c].size;
    if (size > (std::size_t{8} << 10)) break;
    const auto clamp = [](std::size_t n, std::size_t low, std::size_t high) {
      return static_cast<std::uint32_t>(std::clamp(n, low, high));
    };
    t[c] = {clamp((std::size_t{4} << 10) / size, 1, 64), clamp((std::size_t{16} << 10) / size, 2, 256),
            clamp(256 / size, 1, 16)};
  }
  return t;
}();

}  // namespace heddle::detail
