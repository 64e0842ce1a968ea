// SPDX-License-Identifier: BSL-1.0
//
// The work of an mcache while its slots run dry early: see cache_feeds.
#include <algorithm>
#include <new>
#include <utility>

#include "cache_feeds.hpp"
#include "mcache.hpp"
#include "nobody.hpp"
#include "scavenger.hpp"

namespace heddle::detail {

/// False: no memory.
bool mcache::make_feeds() noexcept {
  if (feeds_ == nullptr)
    if (void* const memory = the_mheap.make_record(sizeof(cache_feeds)); memory != nullptr)
      feeds_ = new (memory) cache_feeds;
  return feeds_ != nullptr;
}

/// A busy program allocates from the magazine, into which it frees: has that run dry now and then.
void mcache::space_calls_of_magazine(size_class c) noexcept {
  magazine& m = magazines_[c + 1];
  // With a few blocks they would leave the short path at each of their calls.
  const std::uint32_t few = magazine_bounds[c].least / 4;
  if (m.count() < few) add_spare(c);
  if (span& s = *active_[c]; m.count() < few && &s != &nobodys_span && replenish(s))
    set_slot(c, s);
  else
    feed_slot(c, m.count(), 0);
}

/// Puts the blocks of the other magazine behind those of the first.
void mcache::add_spare(size_class c) noexcept {
  magazine& m = magazines_[c + 1];
  spare& other = spares_[c];
  free_block** end = &m.free;
  while (*end != nullptr) end = &(*end)->next;
  *end = std::exchange(other.first, nullptr);
  m.live -= std::exchange(other.count, 0);
}

void mcache::watch_calls() noexcept {
  if (!make_feeds()) return;
  for (std::size_t c = 0; c != class_count; ++c) {
    unfeed(static_cast<size_class>(c));
    feed_slot(static_cast<size_class>(c), 0, 0);
  }
}

/// The same for one class. A feed that is there already will run dry.
void mcache::watch_call(size_class c) noexcept {
  if (make_feeds() && &slot(c) != &feeds_->of_class[c]) feed_slot(c, 0, 0);
}

void mcache::answer_knock(size_class c) noexcept {
  set_slot(c, slot(c));
  if (the_scavenger.waits_for_calls()) watch_call(c);
}

void mcache::end_feeding() noexcept {
  if (feeds_ == nullptr) return;
  for (std::size_t c = 0; c != class_count; ++c) unfeed(static_cast<size_class>(c));
}

/// Puts a feed into the slot, with as many blocks as the list has and `most` at most.
void mcache::feed_slot(size_class c, std::uint64_t most, std::size_t sampled_size) noexcept {
  block_list& from = slot(c);
  feed& to = feeds_->of_class[c];
  const magazine& m = magazines_[c + 1];
  std::uint32_t n = 0;
  free_block** end = &from.free;
  if (&from == &m && m.free != nullptr && most >= m.count()) {
    n = m.count();
    to.free = std::exchange(from.free, nullptr);
  } else {
    for (; n < most && *end != nullptr; ++n) end = &(*end)->next;
    to.free = nullptr;
    if (n != 0) {
      to.free = from.free;
      from.free = *end;
      *end = nullptr;
    }
  }
  from.live += n;
  to.live = 0;
  to.base = n;
  to.behind = &from;
  to.sampled_size = static_cast<std::uint32_t>(sampled_size);
  if (sampled_size != 0) feeds_->sampling.until[c] -= std::uint64_t{n} * sampled_size;
  set_slot(c, to);
}

/// Puts the list back that was there, with the blocks that are left.
void mcache::unfeed_slot(size_class c) noexcept {
  feed& from = feeds_->of_class[c];
  block_list& to = *from.behind;
  if (const std::uint32_t left = from.base - from.live; left != 0) {
    free_block* last = from.free;
    while (last->next != nullptr) last = last->next;
    last->next = to.free;
    to.free = from.free;
    to.live -= left;
    if (from.sampled_size != 0) feeds_->sampling.until[c] += std::uint64_t{left} * from.sampled_size;
  }
  from.free = nullptr;
  from.live = from.base = 0;
  set_slot(c, to);
}

/// From now on blocks are taken out of the magazine, not out of the active span.
void mcache::allocate_from_magazine(size_class c) noexcept {
  magazine& m = magazines_[c + 1];
  block_list& l = slot(c);
  if (&l == active_[c]) return set_slot(c, m);
  if (feeds_ == nullptr || &l != &feeds_->of_class[c]) return;
  feed& f = feeds_->of_class[c];
  if (f.free == nullptr && f.behind == active_[c]) f.behind = &m;  // else its blocks are the span's
}

}  // namespace heddle::detail
