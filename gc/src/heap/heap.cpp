// SPDX-License-Identifier: BSL-1.0
#include "heap/heap.hpp"

#include <bit>
#include <cstring>
#include <new>

#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

using heddle::detail::thread_lock;
namespace collected_pages = heddle::detail::collected_pages;

constinit heap the_heap;

bool heap::begin(bool poisons, bool one_by_one) noexcept {
  poisons_ = poisons;
  one_by_one_ = one_by_one;
  if (centrals_ != nullptr) return true;
  centrals_ = static_cast<central*>(collected_pages::make_tables(most_kinds * sizeof(central)));
  return centrals_ != nullptr;
}

void heap::begin_kind(kind_number number) noexcept { new (&centrals_[number]) central; }

void heap::begin_sweep(bool young, bool stay) noexcept {
  young_.store(young, std::memory_order_relaxed);
  stay_.store(stay, std::memory_order_relaxed);
  // release: so that a thread which sees the number sees what kind of cycle it was; acquire half in turn().
  epoch_.store(epoch() + 1, std::memory_order_release);
}

/// Has the lists be those of the present cycle.
void heap::turn(central& c) noexcept {
  // acquire: so that young_ and stay_ are the cycle's; release half in begin_sweep().
  const std::uint32_t now = epoch_.load(std::memory_order_acquire);
  if (c.epoch == now) return;
  c.epoch = now;
  const bool is_whole = !young_.load(std::memory_order_relaxed);
  if (is_whole) c.unswept.append(c.partial);
  c.unswept.append(c.used_partial);
  if (is_whole) c.unswept.append(c.full);
  c.unswept.append(c.used_full);
}

// --- spans that come and go -----------------------------------------------------------------------------------------

span* heap::make(const kind& k, std::size_t pages, bool& zeroed) noexcept {
  span* const s = the_span_records.get(k);
  if (s == nullptr) return nullptr;
  void* at = nullptr;
  // A span whose bits would be in two regions is left alone: one in thousands, which is never touched. If it were given
  // back, the next one to ask would get it.
  do at = collected_pages::make(k.klass, pages, k.how != walk::none, zeroed);
  while (at != nullptr && !k.is_large() && !region_table::fits(at, pages));
  s->of = &k;
  s->start = static_cast<char*>(at);
  s->pages = static_cast<std::uint32_t>(pages);
  s->capacity = k.capacity;
  s->block_bytes = k.is_large() ? pages << page_shift : k.size;
  s->zeroed = zeroed;
  if (at == nullptr || !the_regions.add(*s)) {
    if (at != nullptr) collected_pages::free(at);
    the_span_records.put(*s);
    return nullptr;
  }
  in_spans_.fetch_add(s->bytes(), std::memory_order_relaxed);
  central& c = of(k);
  const thread_lock hold(c.lock);
  turn(c);
  s->swept = c.epoch;
  s->in_cache = true;
  s->next_of_kind = c.all;
  if (c.all != nullptr) c.all->previous_of_kind = s;
  c.all = s;
  ++c.spans;
  c.bytes += s->bytes();
  return s;
}

void heap::free(span& s, central& c) noexcept {
  {
    const thread_lock hold(c.lock);
    (s.previous_of_kind != nullptr ? s.previous_of_kind->next_of_kind : c.all) = s.next_of_kind;
    if (s.next_of_kind != nullptr) s.next_of_kind->previous_of_kind = s.previous_of_kind;
    --c.spans;
    c.bytes -= s.bytes();
  }
  in_spans_.fetch_sub(s.bytes(), std::memory_order_relaxed);
  the_regions.remove(s);
  collected_pages::free(s.start);
  the_span_records.put(s);
}

span* heap::make_large(const kind& k, std::size_t bytes, bool& zeroed) noexcept {
  span* const s = make(k, heddle::detail::pages_for(bytes), zeroed);
  if (s != nullptr) s->zeroed = false;
  return s;
}

// --- sweeping -------------------------------------------------------------------------------------------------------

static void poison(const span& s, std::size_t w, std::uint64_t dead) noexcept {
  for (; dead != 0; dead &= dead - 1)
    std::memset(s.block_at(w * 64 + static_cast<std::size_t>(std::countr_zero(dead))), 0xdb, s.block_bytes);
}

void heap::blacken(const span& s, std::size_t w, std::uint64_t blocks) const noexcept {
  s.marks()[w].fetch_or(blocks, std::memory_order_relaxed);
  if (bears_.load(std::memory_order_relaxed)) s.born()[w].fetch_or(blocks, std::memory_order_relaxed);
}

std::size_t heap::sweep(span& s, central& c) noexcept {
  const bool stay = stay_.load(std::memory_order_relaxed);
  std::size_t live = 0;
  s.has_new = false;
  for (std::size_t w = 0, n = s.words(); w != n; ++w) {
    const std::uint64_t marks = s.marks()[w].load(std::memory_order_relaxed);
    if (poisons_) [[unlikely]]
      poison(s, w, s.allocated()[w].load(std::memory_order_relaxed) & ~marks);
    s.allocated()[w].store(marks, std::memory_order_relaxed);
    if (!stay) {
      s.marks()[w].store(0, std::memory_order_relaxed);
    } else if (const std::uint64_t born = s.born()[w].load(std::memory_order_relaxed); born != 0) {
      s.marks()[w].store(marks & ~born, std::memory_order_relaxed);
      s.born()[w].store(0, std::memory_order_relaxed);
      s.has_new = true;
    }
    live += static_cast<std::size_t>(std::popcount(marks));
  }
  s.swept = epoch();
  const std::size_t more = live - s.live;  // may be less than nothing
  s.live = static_cast<std::uint32_t>(live);
  c.live.fetch_add(more * s.block_bytes, std::memory_order_relaxed);
  c.live_objects.fetch_add(more, std::memory_order_relaxed);
  live_.fetch_add(more * s.block_bytes, std::memory_order_relaxed);
  return live;
}

/// Puts a span that has just been swept where it belongs.
void heap::file(span& s, central& c, std::size_t live) noexcept {
  if (live == 0) return free(s, c);
  const thread_lock hold(c.lock);
  if (s.has_new)
    (live == s.capacity ? c.used_full : c.used_partial).push(s);
  else
    (live == s.capacity ? c.full : c.partial).push(s);
}

bool heap::sweep_one(const kind& k) noexcept {
  central& c = of(k);
  span* s = nullptr;
  {
    const thread_lock hold(c.lock);
    turn(c);
    s = c.unswept.pop();
  }
  if (s == nullptr) return false;
  file(*s, c, sweep(*s, c));
  return true;
}

// --- for caches -----------------------------------------------------------------------------------------------------

span* heap::take(const kind& k) noexcept {
  central& c = of(k);
  for (;;) {
    span* s = nullptr;
    {
      const thread_lock hold(c.lock);
      turn(c);
      s = c.partial.pop();
      if (s == nullptr) s = c.used_partial.pop();
      const bool is_swept = s != nullptr;
      if (!is_swept) s = c.unswept.pop();
      if (s != nullptr) s->in_cache = true;
      // A young cycle may have left it out. Blocks taken of it from now on are of this cycle.
      if (is_swept) s->swept = c.epoch;
      if (is_swept) return s;
    }
    if (s == nullptr) break;
    const std::size_t live = sweep(*s, c);
    if (live == 0 && HEDDLE_PLANTED(gc_frees_while_marking)) {
      free(*s, c);
      continue;
    }
    if (live != s->capacity) return s;
    const thread_lock hold(c.lock);
    s->in_cache = false;
    (s->has_new ? c.used_full : c.full).push(*s);
  }
  bool zeroed = false;
  return make(k, k.pages, zeroed);
}

void heap::give(span& s) noexcept {
  central& c = of(*s.of);
  std::size_t used = 0;
  for (std::size_t w = 0; w != s.words(); ++w)
    used += static_cast<std::size_t>(std::popcount(s.allocated()[w].load(std::memory_order_relaxed)));
  const thread_lock hold(c.lock);
  turn(c);
  s.in_cache = false;
  (s.swept != c.epoch && !HEDDLE_PLANTED(gc_given_as_swept) ? c.unswept
   : used == s.capacity                                     ? c.used_full
                                                            : c.used_partial)
      .push(s);
}

}  // namespace heddle::gc::detail
