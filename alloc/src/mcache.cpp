// SPDX-License-Identifier: BSL-1.0
#include "mcache.hpp"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "cache_feeds.hpp"
#include "glimpse.hpp"
#include "mcentral.hpp"
#include "misuse.hpp"
#include "nobody.hpp"
#include "scavenger.hpp"

namespace heddle::detail {

namespace {

/// A span of an active class never counts down to 0: one more than is in use.
constexpr std::uint32_t active_base = ~std::uint32_t{0};
/// For a span that may not be given up yet.
constexpr std::uint32_t far_away = std::uint32_t{1} << 30;

/// By class: the regions of a span whose blocks wait together have 2 to this power bytes each, so that no more blocks
/// begin in one than a batch can count; 0: the whole span is one.
constexpr auto region_shifts = [] {
  constexpr std::size_t most = 2 * remote_block::most;
  std::array<std::uint8_t, class_count> t{};
  for (std::size_t c = 0; c != t.size(); ++c)
    if (class_info[c].capacity > most)
      t[c] =
          static_cast<std::uint8_t>(std::min<std::size_t>(std::bit_width(most * class_info[c].size) - 1, page_shift));
  return t;
}();

/// Untouched blocks are linked by so many bytes at a time: a page of the kernel's, so that no other is touched.
constexpr std::size_t carving = 4096;

void set_in_use(span& s, std::uint32_t in_use, std::uint32_t base) noexcept {
  s.base = base;
  s.live = in_use - base;
}

std::size_t offset(const void* p, const char* start) noexcept {
  return static_cast<std::size_t>(static_cast<const char*>(p) - start);
}

bool has_free(const span& s) noexcept {
  return s.free != nullptr || s.teller != 0 || (s.has_bits() ? s.fresh != 0 : s.carved != s.capacity);
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

mcache::mcache(span_kind kind) noexcept : mcache(&nobodys_span) {
  kind_ = kind;
  active_.fill(&nobodys_span);
  if (kind != span_kind::manual) return;
  for (std::size_t c = 0; c != class_count; ++c)
    magazines_[c + 1].live = magazines_[c + 1].base = magazine_bounds[c].least;
}

// --- allocating -----------------------------------------------------------------------------------------------------

void mcache::set_slot(size_class c, block_list& l) noexcept {
  lists_[c] = &l;
  const std::size_t last = slot_of(c);
  const std::size_t first = c >= small_classes ? last : c == 0 ? 0 : class_info[c - 1].size / grain + 1;
  for (std::size_t i = first; i <= last; ++i) write_slot(i, l);
}

void mcache::knock() noexcept {
  for (std::size_t i = 0; i != slots_.size(); ++i) write_slot(i, nobodys_span);
}

void* mcache::refill(size_class c) noexcept {
  if (the_profile.interval() != 0) [[unlikely]]
    if (can_sample()) return refill_sampled(c);
  if (feeds_ != nullptr) unfeed(c);
  void* const p = refill_unfed(c);
  if (the_scavenger.waits_for_calls() && feeds_ != nullptr) [[unlikely]]
    space_calls(c);
  return p;
}

void* mcache::refill_unfed(size_class c) noexcept {
  magazine& m = magazines_[c + 1];
  if (&slot(c) == &m) {
    if (m.free == nullptr && !load_spare(c)) {
      // It has run dry. With room for what went back to the spans meanwhile it would not have.
      if (const std::uint32_t spilled = std::exchange(spares_[c].spilled, 0); spilled != 0)
        resize_magazine(c, std::min(magazine_bounds[c].most, m.base + std::max(m.base, spilled / 2)));
      set_slot(c, *active_[c]);
    }
  } else if (slot(c).free == nullptr && m.count() + spares_[c].count >= std::max(magazine_bounds[c].useful, 1u)) {
    set_slot(c, m);
    if (m.free == nullptr) load_spare(c);
  }
  if (block_list& l = slot(c); l.free != nullptr) return pop(l);
  if (void* const p = refill_from_spans(c); p != nullptr) return p;
  // Rather those few than none. If there are none either, there may be whole spans of other classes.
  if (m.free != nullptr || load_spare(c)) return pop(m);
  drain();
  return refill_from_spans(c);
}

/// The slot is the active span, without blocks in its list, or nobody's.
void* mcache::refill_from_spans(size_class c) noexcept {
  span* s = active_[c];
  if (s == &nobodys_span || !replenish(*s)) {
    do {
      if (s != &nobodys_span && !set_aside(*s)) continue;  // others have freed some of it just now
      s = find(c);
      active_[c] = s != nullptr ? s : &nobodys_span;
      set_slot(c, *active_[c]);
      if (s == nullptr) return nullptr;
      const std::uint32_t in_use = s->in_use();
      s->state = span_state::active;
      set_in_use(*s, in_use, active_base);
    } while (!replenish(*s));
  }
  if (const free_block* const b = s->free; b->next != nullptr && !s->may_link_to(b->next)) [[unlikely]]
    broken_link(b, *s);
  return pop(*s);
}

/// Fills the list of a span of this cache. False: all of its blocks are in use.
bool mcache::replenish(span& s) noexcept {
  if (s.free == nullptr) {
    if (s.teller == 0 && s.remote.load(std::memory_order_relaxed) != 0) s.live -= collect_remote(s);
    s.teller != 0 ? link_told(s) : carve(s);
  }
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
  // release: so that who takes the flag away sees who the owner is; acquire half in hand_over().
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
  span* s = the_mcentrals[span_class_of(kind_, c)].take();
  if (s != nullptr) {
    s->live -= collect_remote(*s);
  } else {
    s = the_mheap.make_span(c, class_info[c].pages, page_size, kind_);
    if (s == nullptr) return nullptr;
  }
  s->tidied = false;
  s->owner.store(this, std::memory_order_relaxed);
  return s;
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
  if (!mcentral_of(s).give(s)) the_mheap.free_span(s);
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
  if (s.free == nullptr && s.teller == 0 && set_aside(s)) return;  // the owner had collected them before
  const std::uint32_t in_use = s.in_use();
  s.state = span_state::partial;
  partial_[s.klass].push_front(s);
  set_in_use(s, in_use, 0);
  become_partial(s);
}

// --- freeing what does not fit into a magazine ----------------------------------------------------------------------

void mcache::free_behind(span& s, void* p) noexcept {
  if (magazines_[s.klass + 1].base == 0) return put_back(s, p);
  free_past_magazine(s.klass, p);
}

[[gnu::noinline]] void mcache::free_past_magazine(size_class c, void* p) noexcept {
  magazine& m = magazines_[c + 1];
  auto* const block = static_cast<free_block*>(p);
  if (m.is_full()) {
    if (block == m.free) [[unlikely]]
      misuse("free", p, &the_map.span_of(p), "it is free already, and was the last block to be freed");
    spare& full = spares_[c];
    // From now on blocks are taken from here and not out of the span, which would never run dry.
    allocate_from_magazine(c);
    if (full.first != nullptr) {
      full.spilled += full.count;
      spill(c, full.first);
    }
    full.first = m.free;
    full.count = m.count();
    m.free = nullptr;
    m.live = m.base;
    const magazine_bound& bound = magazine_bounds[c];
    if (full.spilled > 4 * bound.most && m.base > bound.least) {
      resize_magazine(c, std::max(bound.least, m.base / 2));
      full.spilled = 0;
    }
  }
  block->next = m.free;
  m.free = block;
  --m.live;
  if (the_scavenger.waits_for_calls()) [[unlikely]]
    watch_call(c);
}

/// The magazine is empty. False: so is the other.
bool mcache::load_spare(size_class c) noexcept {
  spare& full = spares_[c];
  if (full.first == nullptr) return false;
  magazine& m = magazines_[c + 1];
  m.free = std::exchange(full.first, nullptr);
  m.live = m.base - std::exchange(full.count, 0);
  return true;
}

/// Of one that is empty.
void mcache::resize_magazine(size_class c, std::uint32_t room) noexcept {
  magazines_[c + 1].live = magazines_[c + 1].base = room;
}

/// Sends these blocks of a class to their spans.
void mcache::spill(size_class c, free_block* first) noexcept {
  batch nothing;
  batch* to = &nothing;
  free_block* last = nullptr;
  for (free_block* b = first; b != nullptr;) {
    if (!to->covers(b)) {
      if (last != nullptr && the_map.tag_of(b) != tag_of(c)) [[unlikely]]
        broken_link(last, the_map.span_of(last));
      span& s = the_map.span_of(b);
      if (s.owner.load(std::memory_order_relaxed) == this) {
        last = b;
        b = put_back_run(s, last);
        to = &nothing;
        continue;
      }
      if (goes_alone(s)) {
        last = b;
        b = b->next;
        send_alone(s, last);
        continue;
      }
      to = &batch_for(s, c, b);
      if (to->of != &s || !to->covers(b)) begin(*to, s, b);
    }
    last = b;
    b = b->next;
    if (!add_to_batch(*to, last)) continue;
    send(*to);
    to = &nothing;
  }
}

/// Puts back a block of its own and those behind it, as far as they are of the same span. Returns what comes then, and
/// in b what it comes after.
inline free_block* mcache::put_back_run(span& s, free_block*& b) noexcept {
  const char* const start = s.start;
  const std::size_t bytes = s.bytes();
  for (;;) {
    if (!s.begins_block(b)) [[unlikely]]
      misuse("free", b, &s);
    if (b == s.free) [[unlikely]]
      misuse("free", b, &s, "it is free already");
    free_block* const rest = b->next;
    b->next = s.free;
    s.free = b;
    if (--s.live == 0) {
      look_at(s);
      return rest;
    }
    if (offset(rest, start) >= bytes) return rest;
    b = rest;
  }
}

/// A block of the region of the batch. True: it is to be sent now.
inline bool mcache::add_to_batch(batch& to, void* p) noexcept {
  std::size_t index = 0;
  if (!to.by_size.divides(offset(p, to.start), to.most, index)) [[unlikely]]
    misuse("free", p, to.of);
  std::uint64_t& blocks = to.blocks[index / remote_block::most];
  const std::uint64_t bit = std::uint64_t{1} << index % remote_block::most;
  if ((blocks & bit) != 0) [[unlikely]]
    misuse("free", p, to.of, "it is free already");
  blocks |= bit;
  return --to.left == 0;
}

void mcache::put_back(span& s, void* p) noexcept {
  if (s.owner.load(std::memory_order_relaxed) != this) return put_into_batch(s, p);
  auto* const block = static_cast<free_block*>(p);
  if (block == s.free) [[unlikely]]
    misuse("free", p, &s, "it is free already");
  block->next = s.free;
  s.free = block;
  if (--s.live == 0) look_at(s);
}

[[gnu::noinline]] void mcache::put_into_batch(span& s, void* p) noexcept {
  if (goes_alone(s)) return send_alone(s, p);
  batch& to = batch_for(s, s.klass, p);
  if (to.of != &s || !to.covers(p)) begin(to, s, p);
  if (add_to_batch(to, p)) send(to);
}

/// Where those of a region wait, or of another one.
inline mcache::batch& mcache::batch_for(const span& s, size_class c, const void* p) noexcept {
  const std::size_t number = region_shifts[c] != 0 ? reinterpret_cast<std::uintptr_t>(p) >> region_shifts[c]
                                                   : static_cast<std::size_t>(&s - the_map.spans);
  return batches_[(number ^ number >> 7) % batches];
}

/// For blocks of the region in which p lies. Sends what there was.
[[gnu::noinline]] void mcache::begin(batch& b, span& s, const void* p) noexcept {
  if (b.of != nullptr) send(b);
  // The first block that begins in the region, and the first behind it.
  std::size_t first = 0, behind = s.capacity;
  if (const unsigned shift = region_shifts[s.klass]; shift != 0) {
    const std::size_t region = s.offset_of(p) >> shift;  // spans begin at pages, so at regions
    first = s.by_size.quotient((region << shift) + s.size - 1);
    behind = std::min<std::size_t>(s.by_size.quotient(((region + 1) << shift) + s.size - 1), s.capacity);
  }
  b.of = &s;
  b.start = s.start + first * s.size;
  b.by_size = s.by_size;
  b.blocks = {};
  b.most = static_cast<std::uint32_t>(behind - first);
  b.bytes = static_cast<std::uint32_t>(b.most * s.size);
  std::size_t limit = std::min<std::size_t>(most_bytes_in_batch / s.size, most_in_batch);
  // That which empties a span of nobody does not wait.
  if (s.owner.load(std::memory_order_relaxed) == nullptr)
    limit = std::min<std::size_t>(
        limit, s.left.load(std::memory_order_relaxed) - remote_word::count(s.remote.load(std::memory_order_relaxed)));
  b.limit = static_cast<std::uint32_t>(std::clamp<std::size_t>(limit, 1, most_in_batch));
  b.left = b.limit;
}

void mcache::empty_magazines(size_class c) noexcept {
  magazine& m = magazines_[c + 1];
  if (m.free == nullptr && spares_[c].first == nullptr) return;
  do {
    m.live += m.count();
    spill(c, std::exchange(m.free, nullptr));
  } while (load_spare(c));
}

void mcache::flush() noexcept {
  end_feeding();
  for (std::size_t c = 0; c != class_count; ++c) empty_magazines(static_cast<size_class>(c));
  for (batch& b : batches_)
    if (b.of != nullptr) send(b);
  if (feeds_ != nullptr) begin_sampling();
}

void mcache::send(batch& b) noexcept {
  span& s = *b.of;
  b.of = nullptr;
  remote_block* first = nullptr;
  remote_block* last = nullptr;
  std::size_t from = s.index_of(b.start);
  for (const std::uint64_t blocks : b.blocks) {
    if (blocks != 0) {
      remote_block& teller = s.teller_at(from + static_cast<std::size_t>(std::bit_width(blocks) - 1));
      teller.blocks = blocks;
      teller.first = static_cast<std::uint16_t>(from);
      teller.next = s.number_of(first);
      first = &teller;
      if (last == nullptr) last = &teller;
    }
    from += remote_block::most;
  }
  hand_over(s, *first, *last, b.limit - b.left);
}

void mcache::send_alone(span& s, void* p) noexcept {
  std::size_t index = 0;
  if (!s.by_size.divides(s.offset_of(p), s.capacity, index)) [[unlikely]]
    misuse("free", p, &s);
  auto& teller = *static_cast<remote_block*>(p);
  teller.blocks = 1;
  teller.first = static_cast<std::uint16_t>(index);
  hand_over(s, teller, teller, 1);
}

/// Hands over the blocks, so many, of which this list tells.
inline void mcache::hand_over(span& s, remote_block& first, remote_block& last, std::uint32_t count) noexcept {
  // Read before the blocks are handed over: until then the span is of this class.
  mcentral& central = mcentral_of(s);
  std::uint64_t word = s.remote.load(std::memory_order_relaxed);
  std::uint64_t sent = 0;
  constexpr std::uint64_t at_mcentral = remote_word::at_mcentral;
  do {
    last.next = s.number_of(remote_word::list(word));
    sent = remote_word::make(&first, remote_word::count(word) + count,
                             word & (HEDDLE_PLANTED(watch_kept) ? remote_word::flags : at_mcentral));
    // release: so that who takes the blocks sees their tellers, and what their users wrote stays before; acquire half
    // in collect_remote(). acquire: so that the owner, or `left`, is that which goes with the flag; release halves in
    // set_aside(), mcentral::give().
  } while (!s.remote.compare_exchange_weak(
      word, sent, HEDDLE_PLANTED(sent_without_release) ? std::memory_order_acquire : std::memory_order_acq_rel,
      std::memory_order_relaxed));
  if (word & remote_word::watched) return notify(s);
  if ((word & at_mcentral) && remote_word::count(sent) == s.left.load(std::memory_order_relaxed) &&
      central.take_emptied(s)) {
    s.live -= collect_remote(s);
    the_mheap.free_span(s);
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

namespace {

void add_fed(const cache_feeds& feeds, mcache::class_counts& counts) noexcept {
  for (std::size_t c = 0; c != class_count; ++c) {
    const std::uint32_t n = glimpse(feeds.of_class[c].base) - glimpse(feeds.of_class[c].live);
    if (n <= std::max<std::uint32_t>(class_info[c].capacity, 2 * magazine_bounds[c].most)) counts[c] += n;
  }
}

}  // namespace

mcache::class_counts mcache::count_waiting() const noexcept {
  class_counts counts{};
  for (std::size_t c = 0; c != class_count; ++c) {
    const magazine& m = magazines_[c + 1];
    // The one word has been read later than the other: between them the difference may be nonsense.
    const std::uint32_t n = glimpse(m.base) - glimpse(m.live);
    // After a feed was put back there may be twice as many.
    counts[c] = (n <= 2 * magazine_bounds[c].most ? n : 0) + glimpse(spares_[c].count);
  }
  if (const cache_feeds* const feeds = glimpse(feeds_); feeds != nullptr) add_fed(*feeds, counts);
  for (const batch& b : batches_) {
    const span* const s = glimpse(b.of);
    const std::uint32_t n = glimpse(b.limit) - glimpse(b.left);
    if (s != nullptr && n <= most_in_batch) counts[std::min<std::size_t>(glimpse(s->klass), class_count - 1)] += n;
  }
  return counts;
}

// --- the end of a thread ------------------------------------------------------------------------------------------

void mcache::drain() noexcept {
  flush();
  end_feeding();
  collect_returned();
  for (std::size_t c = 0; c != class_count; ++c) {
    const auto klass = static_cast<size_class>(c);
    if (&slot(klass) == &nobodys_span && partial_[c].empty()) continue;
    span& s = *std::exchange(active_[c], &nobodys_span);
    set_slot(klass, nobodys_span);
    if (&s != &nobodys_span) {
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

}  // namespace heddle::detail
