// SPDX-License-Identifier: BSL-1.0
//
// What an mcache does while a heap profile is taken.
#include <algorithm>

#include "cache_feeds.hpp"
#include "heap_profile.hpp"
#include "mcache.hpp"

namespace heddle::detail {

/// Whether there is a profile to sample for, and what it takes; distances are those of its interval then.
bool mcache::can_sample() noexcept {
  const std::size_t interval = the_profile.interval();
  if (interval == 0 || !make_feeds()) return false;
  cache_sampling& s = feeds_->sampling;
  if (s.interval != interval) {
    s.interval = interval;
    for (std::uint64_t& bytes : s.until) bytes = s.draw();
  }
  return true;
}

void mcache::begin_sampling() noexcept {
  if (!can_sample()) return;
  for (std::size_t c = 0; c != class_count; ++c) {
    const auto klass = static_cast<size_class>(c);
    unfeed(klass);
    feed_slot(klass, blocks_to_sample(klass), class_info[c].size);
  }
}

std::uint64_t mcache::blocks_to_sample(size_class c) const noexcept {
  return (std::max<std::uint64_t>(feeds_->sampling.until[c], 1) - 1) / class_info[c].size;
}

/// As refill(), while a heap profile is taken.
void* mcache::refill_sampled(size_class c) noexcept {
  unfeed(c);
  void* p = sample_if_due(c);
  if (p == nullptr) {
    p = refill_unfed(c);
    if (p == nullptr) return nullptr;
    pass_by_sample(c);
  }
  unfeed(c);  // the backtrace of a sample may have allocated
  feed_slot(c, blocks_to_sample(c), class_info[c].size);
  return p;
}

/// A block of the class was allocated that is no sample.
void mcache::pass_by_sample(size_class c) noexcept {
  std::uint64_t& until = feeds_->sampling.until[c];
  until -= std::min<std::uint64_t>(until, class_info[c].size);
}

/// Null: it is not due, or there is no memory.
void* mcache::sample_if_due(size_class c) noexcept {
  return feeds_->sampling.until[c] <= class_info[c].size ? make_sample(c) : nullptr;
}

/// A block with a span of its own, like a large one, so that it is no fast path's when it is freed.
void* mcache::make_sample(size_class c) noexcept {
  const std::size_t size = class_info[c].size;
  feeds_->sampling.until[c] = feeds_->sampling.draw();
  span* const s = the_mheap.make_span(class_count, (size + page_size - 1) >> page_shift, page_size, kind_);
  if (s == nullptr) return nullptr;
  s->zeroed = false;
  the_profile.add(s->start, size);
  return s->start;
}

void mcache::count_large(const void* p, std::size_t size) noexcept {
  if (!can_sample()) return;
  std::uint64_t& until = feeds_->sampling.until[class_count];
  if (until > size) return void(until -= size);
  until = feeds_->sampling.draw();
  the_profile.add(p, size);
}

}  // namespace heddle::detail
