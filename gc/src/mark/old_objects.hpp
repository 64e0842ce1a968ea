// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "mark/marker.hpp"

namespace heddle::gc::detail {

// In this order, in each cycle with generations: take_cards() before mutators are armed, then one of the two others.

/// Takes the written cards of all pages of the heap. O(pages of the heap).
void take_cards() noexcept;
/// Visits what old objects may have got since the last cycle: the addresses in the pieces of them whose cards were
/// taken, or are written by now. Old are those that are marked. By the collector, while stores are told of. O(pages of
/// the heap + bytes of such pieces).
void look_at_old_objects(marker& m) noexcept;
/// All objects are gone through anyhow. O(pages of the heap).
void forget_cards() noexcept;

}  // namespace heddle::gc::detail
