// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>

#include "heap_profile.hpp"
#include "heddle/detail/size_class.hpp"
#include "mcache.hpp"
#include "scavenger.hpp"
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

/// Takes the feed out of the slot, if there is one.
inline void mcache::unfeed(size_class c) noexcept {
  if (&slot(c) == &feeds_->of_class[c]) unfeed_slot(c);
}

/// Memory waits: has calls for this class leave the short path again, now and then or at once.
inline void mcache::space_calls(size_class c) noexcept {
  if (the_scavenger.is_at_rest())
    feed_slot(c, 0, 0);
  else if (&slot(c) == &magazines_[c + 1])  // else freed blocks are not allocated next
    space_calls_of_magazine(c);
}

}  // namespace heddle::detail
