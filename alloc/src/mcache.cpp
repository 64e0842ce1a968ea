// SPDX-License-Identifier: BSL-1.0
#include "mcache.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "mcentral.hpp"
#include "misuse.hpp"
#include "nobody.hpp"

namespace heddle::detail {

constinit mcache_pool the_mcache_pool;

namespace {

/// A span of an active class never counts down to 0: one more than is in use.
constexpr std::uint32_t active_base = ~std::uint32_t{0};
/// For a span that may not be given up yet.
constexpr std::uint32_t far_away = std::uint32_t{1} << 30;

/// Untouched blocks are linked by so many bytes at a time: a page of the kernel's, so that no other is touched.
constexpr std::size_t carving = 4096;

void set_in_use(span& s, std::uint32_t in_use, std::uint32_t base) noexcept {
  s.base = base;
  s.live = in_use - base;
}

bool has_free(const span& s) noexcept {
  return s.free != nullptr || (s.has_bits() ? s.fresh != 0 : s.carved != s.capacity);
}

/// Links blocks that have never been touched, or no longer have memory, into `free`.
void carve(span& s) noexcept {
  const std::size_t wanted = std::max<std::size_t>(carving / s.size, 1);
  free_block* first = nullptr;
  free_block** link = &first;
  if (s.has_bits()) {
    for (std::size_t n = 0; n != wanted && s.fresh != 0; ++n, s.fresh &= s.fresh - 1) {
      auto* const b =
          reinterpret_cast<free_block*>(s.start + static_cast<std::size_t>(std::countr_zero(s.fresh)) * s.size);
      *link = b;
      link = &b->next;
    }
  } else {
    const std::uint32_t until = std::min<std::uint32_t>(s.carved + static_cast<std::uint32_t>(wanted), s.capacity);
    for (; s.carved != until; ++s.carved) {
      auto* const b = reinterpret_cast<free_block*>(s.start + s.carved * s.size);
      *link = b;
      link = &b->next;
    }
  }
  *link = s.free;
  s.free = first;
}

}  // namespace

mcache::mcache() noexcept : mcache(&nobodys_span) {}

// --- allocating -----------------------------------------------------------------------------------------------------

void mcache::set_slot(size_class c, span& s) noexcept {
  if (c >= small_classes) {
    slots_[slot_of(c)] = &s;
    return;
  }
  const std::size_t first = c == 0 ? 0 : class_info[c - 1].size / grain + 1;
  std::fill(slots_.begin() + first, slots_.begin() + slot_of(c) + 1, &s);
}

void* mcache::refill(size_class c) noexcept {
  if (the_profile.interval() != 0 || sampling_ != nullptr) [[unlikely]]
    return refill_sampled(c);
  return refill_from_spans(c);
}

void* mcache::refill_from_spans(size_class c) noexcept {
  span* s = &slot(c);
  if (s == &nobodys_span || !replenish(*s)) {
    do {
      if (s != &nobodys_span && !set_aside(*s)) break;  // others have freed some of it just now
      s = find(c);
      set_slot(c, s != nullptr ? *s : nobodys_span);
      if (s == nullptr) return nullptr;
      const std::uint32_t in_use = s->in_use();
      s->state = span_state::active;
      set_in_use(*s, in_use, active_base);
    } while (!replenish(*s));
  }
  free_block* const b = s->free;
  if (b->next != nullptr && !s->may_link_to(b->next)) [[unlikely]]
    broken_link(b, *s);
  s->free = b->next;
  ++s->live;
  return b;
}

/// Fills the list of a span of this cache. False: all of its blocks are in use.
bool mcache::replenish(span& s) noexcept {
  if (s.remote.load(std::memory_order_relaxed) != 0) s.live -= collect_remote(s);
  if (s.free == nullptr) carve(s);
  return s.free != nullptr;
}

/// Leaves a span that is full. False: it is not, there are blocks in its list now.
bool mcache::set_aside(span& s) noexcept {
  s.state = span_state::full;
  const std::uint32_t in_use = s.in_use();
  // Not at once when the owner frees a block: a span that has only one for it would be full again with the next call.
  set_in_use(s, in_use, in_use - 1 - s.capacity / 16u);
  if (s.notice_due) return true;  // then it will be watched when that arrives
  if (HEDDLE_PLANTED(watch_without_look)) {
    s.remote.fetch_or(remote_word::watched, std::memory_order_release);  // release: as below
    return true;
  }
  std::uint64_t nothing = 0;
  // release: so that who takes the flag away sees who the owner is; acquire half in send().
  if (s.remote.compare_exchange_strong(nothing, remote_word::watched, std::memory_order_release,
                                       std::memory_order_relaxed))
    return true;
  s.state = span_state::active;
  set_in_use(s, in_use, active_base);
  s.live -= collect_remote(s);
  return false;
}

/// A span of the class with blocks that are free or untouched, of which this cache is the owner; it is in no list.
span* mcache::find(size_class c) noexcept {
  if (has_returned()) collect_returned();
  if (span* const s = partial_[c].pop(); s != nullptr) return s;
  span* s = the_mcentrals[c].take();
  if (s != nullptr) {
    s->live -= collect_remote(*s);
  } else {
    s = the_mheap.make_span(c, class_info[c].pages);
    if (s == nullptr) return nullptr;
  }
  s->tidied = false;
  s->owner.store(this, std::memory_order_relaxed);
  return s;
}

// --- sampling -----------------------------------------------------------------------------------------------------

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
  if (sampling_ != nullptr) unfeed(c);
  if (!can_sample()) return refill_from_spans(c);
  const std::size_t size = class_info[c].size;
  void* p = sampling_->until[c] <= size ? make_sample(c) : nullptr;
  if (p == nullptr) {
    p = refill_from_spans(c);
    if (p == nullptr) return nullptr;
    sampling_->until[c] -= std::min<std::uint64_t>(sampling_->until[c], size);
  }
  unfeed(c);  // the backtrace may have allocated
  feed(c);
  return p;
}

void mcache::begin_sampling() noexcept {
  if (!can_sample()) return;
  for (std::size_t c = 0; c != class_count; ++c) {
    unfeed(static_cast<size_class>(c));
    feed(static_cast<size_class>(c));
  }
}

/// A block with a span of its own, like a large one, so that it is no fast path's when it is freed.
void* mcache::make_sample(size_class c) noexcept {
  const std::size_t size = class_info[c].size;
  sampling_->until[c] = sampling_->draw();
  span* const s = the_mheap.make_span(class_count, (size + page_size - 1) >> page_shift);
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
void mcache::feed(size_class c) noexcept {
  span& from = slot(c);
  span& to = sampling_->feeds[c];
  const std::size_t size = class_info[c].size;
  const auto most = static_cast<std::uint32_t>(
      std::min<std::uint64_t>((std::max<std::uint64_t>(sampling_->until[c], 1) - 1) / size, far_away));
  std::uint32_t n = 0;
  free_block** end = &from.free;
  if (&from != &nobodys_span)
    for (; n != most && *end != nullptr; ++n) end = &(*end)->next;
  if (n != 0) {
    to.free = from.free;
    from.free = *end;
    *end = nullptr;
    from.live += n;
    sampling_->until[c] -= std::uint64_t{n} * size;
  } else {
    to.free = nullptr;
  }
  to.live = 0;
  to.base = n;
  to.prev = &from;
  set_slot(c, to);
}

/// Puts the span back, with the blocks that are left.
void mcache::unfeed(size_class c) noexcept {
  span& from = sampling_->feeds[c];
  if (&slot(c) != &from) return;
  span& to = *from.prev;
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

// --- freeing what it owns -----------------------------------------------------------------------------------------

/// Has the owner look when so few blocks are in use that the span is better given up, or none is.
void mcache::arm(span& s, std::uint32_t in_use) noexcept {
  const std::uint32_t few = s.capacity / 4u;
  set_in_use(s, in_use, in_use > few ? few : 0);
}

void mcache::look_at(span& s) noexcept {
  if (s.state == span_state::full) {
    // relaxed: it publishes nothing. Whoever has taken the flag away before has told, or is about to.
    const std::uint64_t kept = HEDDLE_PLANTED(look_leaves_watch) ? ~std::uint64_t{0} : ~remote_word::watched;
    if ((s.remote.fetch_and(kept, std::memory_order_relaxed) & remote_word::watched) == 0)
      s.notice_due = !HEDDLE_PLANTED(notice_forgotten);
    s.state = span_state::partial;
    partial_[s.klass].push_front(s);
    become_partial(s);
  } else if (s.state == span_state::active) {
    set_in_use(s, s.in_use(), active_base);  // far_away has been used up
  } else {
    become_partial(s);
  }
}

/// In the list already. Leaves it there, or gives it up.
void mcache::become_partial(span& s) noexcept {
  const std::uint32_t in_use = s.in_use();
  if (in_use > s.capacity) [[unlikely]]
    damaged("of its span more blocks were freed than were in use, so one was freed twice", s.free, &s);
  if (s.notice_due && !HEDDLE_PLANTED(given_up_with_notice_due)) return set_in_use(s, in_use, in_use - far_away);
  if (in_use > s.capacity / 4u) return arm(s, in_use);
  partial_[s.klass].erase(s);
  give_up(s);
}

/// It is in no list, and no notice is due.
void mcache::give_up(span& s) noexcept {
  if (!the_mcentrals[s.klass].give(s)) the_mheap.free_span(s);
}

void mcache::collect_returned() noexcept {
  // acquire: so that the links of the list are seen; release half in notify().
  span* s = returned_.exchange(nullptr, std::memory_order_acquire);
  while (s != nullptr) {
    span* const rest = s->next_returned;
    take_notice(*s);
    s = rest;
  }
}

/// Others have freed a block of a span that was full then.
void mcache::take_notice(span& s) noexcept {
  s.notice_due = false;
  if (s.state == span_state::active) return;  // its blocks are collected when it runs dry
  s.live -= collect_remote(s);
  if (s.state == span_state::partial) return become_partial(s);
  if (s.free == nullptr && set_aside(s)) return;  // the owner had collected them before
  const std::uint32_t in_use = s.in_use();
  s.state = span_state::partial;
  partial_[s.klass].push_front(s);
  set_in_use(s, in_use, 0);
  become_partial(s);
}

// --- freeing what others own --------------------------------------------------------------------------------------

void mcache::free_elsewhere(span& s, void* p) noexcept {
  const auto number = static_cast<std::size_t>(&s - the_map.spans);
  batch& b = batches_[(number ^ number >> 4) % batches];
  auto* const block = static_cast<free_block*>(p);
  if (b.of != &s) {
    if (b.of != nullptr) send(b);
    b.of = &s;
    b.first = nullptr;
    b.last = block;
    b.count = 0;
    b.limit = static_cast<std::uint32_t>(std::clamp<std::size_t>((std::size_t{16} << 10) / s.size, 1, 64));
  }
  if (block == b.first) [[unlikely]]
    misuse("free", p, &s, "it is free already, and was the last block to be freed");
  block->next = b.first;
  b.first = block;
  if (++b.count >= b.limit) send(b);
}

void mcache::flush() noexcept {
  for (batch& b : batches_)
    if (b.of != nullptr) send(b);
}

void mcache::send(batch& b) noexcept {
  span& s = *b.of;
  b.of = nullptr;
  // Read before the blocks are handed over: until then the span is of this class.
  mcentral& central = the_mcentrals[s.klass];
  std::uint64_t word = s.remote.load(std::memory_order_relaxed);
  std::uint64_t sent = 0;
  constexpr std::uint64_t at_mcentral = remote_word::at_mcentral;
  do {
    b.last->next = remote_word::list(word);
    sent = remote_word::make(b.first, remote_word::count(word) + b.count,
                             word & (HEDDLE_PLANTED(watch_kept) ? remote_word::flags : at_mcentral));
    // release: so that who takes the blocks sees their links, and what their users wrote stays before; acquire half in
    // collect_remote(). acquire: so that the owner, or `left`, is that which goes with the flag; release halves in
    // set_aside(), mcentral::give().
  } while (!s.remote.compare_exchange_weak(
      word, sent, HEDDLE_PLANTED(sent_without_release) ? std::memory_order_acquire : std::memory_order_acq_rel,
      std::memory_order_relaxed));
  if (word & remote_word::watched) return notify(s);
  if ((word & at_mcentral) && remote_word::count(sent) == s.left.load(std::memory_order_relaxed) &&
      central.take_emptied(s)) {
    s.live -= collect_remote(s);
    if (!central.give(s)) the_mheap.free_span(s);
  }
}

/// Tells the owner, who keeps the span until it has heard.
void mcache::notify(span& s) noexcept {
  mcache& owner = *s.owner.load(std::memory_order_relaxed);
  span* first = owner.returned_.load(std::memory_order_relaxed);
  do {
    s.next_returned = first;
    // release: so that the owner sees the link; acquire half in collect_returned().
  } while (!owner.returned_.compare_exchange_weak(first, &s, std::memory_order_release, std::memory_order_relaxed));
  // If its thread ends just now, that is found out later: by who takes the cache next, or by the scavenger.
  if (owner.pooled.load(std::memory_order_relaxed)) the_mcache_pool.reclaim(owner);
}

// --- the end of a thread ------------------------------------------------------------------------------------------

void mcache::drain() noexcept {
  flush();
  if (sampling_ != nullptr)
    for (std::size_t c = 0; c != class_count; ++c) unfeed(static_cast<size_class>(c));
  collect_returned();
  for (std::size_t c = 0; c != class_count; ++c) {
    const auto klass = static_cast<size_class>(c);
    span& s = slot(klass);
    if (&s != &nobodys_span) {
      set_slot(klass, nobodys_span);
      if (has_free(s) || !set_aside(s)) {
        s.state = span_state::partial;
        set_in_use(s, s.in_use(), 0);
        partial_[c].push_front(s);
      }
    }
    span* rest = nullptr;
    for (span* p = partial_[c].first(); p != nullptr; p = rest) {
      rest = p->next;
      if (p->notice_due && !HEDDLE_PLANTED(drained_with_notice_due)) continue;  // it is looked at when that arrives
      partial_[c].erase(*p);
      give_up(*p);
    }
  }
}

mcache* mcache_pool::take() noexcept {
  {
    const thread_lock hold(lock_);
    if (mcache* const c = first_; c != nullptr) {
      first_ = c->next;
      c->pooled.store(false, std::memory_order_relaxed);
      pooled_.fetch_sub(1, std::memory_order_relaxed);
      return c;
    }
  }
  void* const memory = the_mheap.make_record(sizeof(mcache));
  if (memory == nullptr) return nullptr;
  made_.fetch_add(1, std::memory_order_relaxed);
  return new (memory) mcache;
}

void mcache_pool::give(mcache& c) noexcept {
  c.drain();
  const thread_lock hold(lock_);
  c.pooled.store(true, std::memory_order_relaxed);
  pooled_.fetch_add(1, std::memory_order_relaxed);
  c.next = first_;
  first_ = &c;
  if (c.has_returned()) c.drain();  // of which the sender may not have seen `pooled`
}

void mcache_pool::reclaim(mcache& c) noexcept {
  const thread_lock hold(lock_);
  const bool unused = c.pooled.load(std::memory_order_relaxed) || HEDDLE_PLANTED(reclaimed_in_use);
  if (unused && c.has_returned()) c.drain();
}

void mcache_pool::reclaim_all() noexcept {
  const thread_lock hold(lock_);
  for (mcache* c = first_; c != nullptr; c = c->next)
    if (c->has_returned()) c->drain();
}

}  // namespace heddle::detail
