// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>

#include "heap_profile.hpp"
#include "size_class.hpp"
#include "span.hpp"

namespace heddle::detail {

/// Blocks of another list, which stand in a slot in front of that list. `base`: how many the feed was given, counted as
/// in use in the list from which they came.
struct feed : block_list {
  block_list* behind;
  std::uint32_t sampled_size;  ///< what each block counts on the way to the next sample; 0: nothing
};

/// The part of a cache that lets its slots run dry though there are blocks. In its slots stand feeds then. Their lists
/// hold as many blocks as may be allocated before something is to be done, so the short paths know nothing of it:
/// * A heap profile is taken: until the next sample.
/// * Memory waits to be given back by calls (scavenger). While the program is at rest a feed has no block, so that its
///   next call is seen. While it is busy, all the blocks of a magazine are moved to a feed at once. So freed blocks are
///   not allocated next, and a program that allocates and frees one block again and again is seen each time a magazine
///   has gone round.
struct cache_feeds {
  std::array<feed, class_count> of_class{};
  cache_sampling sampling;
};

}  // namespace heddle::detail
