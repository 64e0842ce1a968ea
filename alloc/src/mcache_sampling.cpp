// SPDX-License-Identifier: BSL-1.0
//
// What an mcache does while a heap profile is taken.
#include <algorithm>
#include <new>

#include "heap_profile.hpp"
#include "mcache.hpp"

namespace heddle::detail {

/// Whether there is a profile to sample for, and what it takes; distances are those of its interval then.
bool mcache::can_sample() noexcept {
  const std::size_t interval = the_profile.interval();
  if (interval == 0) return false;
  if (sampling_ == nullptr) {
    void* const memory = the_mheap.make_record(sizeof(cache_sampling));
    if (memory == nullptr) return false;
    sampling_ = new (memory) cache_sampling;
  }
  if (sampling_->interval != interval) {
    sampling_->interval = interval;
    for (std::uint64_t& bytes : sampling_->until) bytes = sampling_->draw();
  }
  return true;
}

void* mcache::refill_sampled(size_class c) noexcept {
  if (sampling_ != nullptr) unfeed_slot(c);
  if (!can_sample()) return refill_unsampled(c);
  const std::size_t size = class_info[c].size;
  void* p = sampling_->until[c] <= size ? make_sample(c) : nullptr;
  if (p == nullptr) {
    p = refill_unsampled(c);
    if (p == nullptr) return nullptr;
    sampling_->until[c] -= std::min<std::uint64_t>(sampling_->until[c], size);
  }
  unfeed_slot(c);  // the backtrace may have allocated
  feed_slot(c);
  return p;
}

void mcache::begin_sampling() noexcept {
  if (!can_sample()) return;
  for (std::size_t c = 0; c != class_count; ++c) {
    unfeed_slot(static_cast<size_class>(c));
    feed_slot(static_cast<size_class>(c));
  }
}

/// Until the next refill.
void mcache::end_sampling() noexcept {
  if (sampling_ == nullptr) return;
  for (std::size_t c = 0; c != class_count; ++c) unfeed_slot(static_cast<size_class>(c));
}

/// A block with a span of its own, like a large one, so that it is no fast path's when it is freed.
void* mcache::make_sample(size_class c) noexcept {
  const std::size_t size = class_info[c].size;
  sampling_->until[c] = sampling_->draw();
  span* const s = the_mheap.make_span(class_count, (size + page_size - 1) >> page_shift, page_size, kind_);
  if (s == nullptr) return nullptr;
  s->zeroed = false;
  the_profile.add(s->start, size);
  return s->start;
}

void mcache::count_large(const void* p, std::size_t size) noexcept {
  if (!can_sample()) return;
  std::uint64_t& until = sampling_->until[class_count];
  if (until > size) return void(until -= size);
  until = sampling_->draw();
  the_profile.add(p, size);
}

/// Puts a feed into the slot, with as many blocks as the list has and as may be allocated until the next sample.
void mcache::feed_slot(size_class c) noexcept {
  block_list& from = slot(c);
  feed& to = sampling_->feeds[c];
  const std::size_t size = class_info[c].size;
  const std::uint64_t most = (std::max<std::uint64_t>(sampling_->until[c], 1) - 1) / size;
  std::uint32_t n = 0;
  free_block** end = &from.free;
  for (; n < most && *end != nullptr; ++n) end = &(*end)->next;
  to.free = nullptr;
  if (n != 0) {
    to.free = from.free;
    from.free = *end;
    *end = nullptr;
    from.live += n;
    sampling_->until[c] -= std::uint64_t{n} * size;
  }
  to.live = 0;
  to.base = n;
  to.behind = &from;
  set_slot(c, to);
}

/// Puts back what was there, with the blocks that are left.
void mcache::unfeed_slot(size_class c) noexcept {
  feed& from = sampling_->feeds[c];
  if (&slot(c) != &from) return;
  block_list& to = *from.behind;
  if (const std::uint32_t left = from.base - from.live; left != 0) {
    free_block* last = from.free;
    while (last->next != nullptr) last = last->next;
    last->next = to.free;
    to.free = from.free;
    to.live -= left;
    sampling_->until[c] += std::uint64_t{left} * class_info[c].size;
  }
  set_slot(c, to);
}

}  // namespace heddle::detail
