// SPDX-License-Identifier: BSL-1.0
#include "heap/cache.hpp"

#include <cstring>

#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {
namespace {

namespace collected_pages = heddle::detail::collected_pages;

/// Blocks above this are zeroed when they are allocated, so that a word of them does not sweep the processor's cache.
constexpr std::size_t zero_ahead_limit = 256;
constexpr std::size_t slots_bytes = most_kinds * sizeof(cache_slot);
constexpr std::size_t used_bytes = most_kinds * sizeof(kind_number);

/// Zeroes the blocks of a word.
void zero(char* base, std::size_t size, std::uint64_t blocks) noexcept {
  while (blocks != 0) {
    const int first = std::countr_zero(blocks);
    const int run = std::countr_one(blocks >> first);
    std::memset(base + static_cast<std::size_t>(first) * size, 0, static_cast<std::size_t>(run) * size);
    blocks = run == 64 ? 0 : blocks & ~(((std::uint64_t{1} << run) - 1) << first);
  }
}

}  // namespace

bool cache::begin() noexcept {
  auto* const memory = static_cast<char*>(collected_pages::make_tables(slots_bytes + used_bytes));
  if (memory == nullptr) return false;
  slots_ = reinterpret_cast<cache_slot*>(memory);
  used_ = reinterpret_cast<kind_number*>(memory + slots_bytes);
  return true;
}

void cache::end() noexcept {
  if (slots_ != nullptr) collected_pages::free_tables(slots_, slots_bytes + used_bytes);
  slots_ = nullptr;
}

/// The next word of the span in which blocks are free; false: none.
bool cache::take_word(cache_slot& s, const kind& k, bool marking, std::size_t& taken) noexcept {
  span& from = *s.from;
  const bool one_by_one = the_heap.gives_one_by_one();
  // One by one: the word that the last block came from may have more.
  for (std::size_t w = s.next_word - (one_by_one && s.next_word != 0 ? 1u : 0u), n = from.words(); w < n; ++w) {
    const std::uint64_t allocated = from.allocated()[w].load(std::memory_order_relaxed);
    std::uint64_t free = from.valid(w) & ~allocated;
    if (free == 0) continue;
    if (one_by_one) [[unlikely]]
      free &= -free;
    s.base = from.block_at(w * 64);
    // A block is zero before a marker can find it: its old words would lead elsewhere. A stale word of a stack may lead
    // to a block that is zeroed later. Its old words then keep something for a cycle, no more.
    if (k.how != walk::none && !s.zero_each && !from.zeroed) zero(s.base, s.size, free);
    // relaxed, both: a thread gets the block's address later, by a store and a load that have an order themselves.
    from.allocated()[w].store(allocated | free, std::memory_order_relaxed);
    if (marking && the_heap.wants_marks(from) && !HEDDLE_PLANTED(gc_word_not_marked)) the_heap.blacken(from, w, free);
    s.free = free;
    s.next_word = static_cast<std::uint16_t>(w + 1);
    taken += static_cast<std::size_t>(std::popcount(free)) * s.size;
    return true;
  }
  return false;
}

bool cache::refill(const kind& k, bool marking, std::size_t& taken) noexcept {
  cache_slot& s = slots_[k.number];
  if (s.size == 0) {
    s.size = k.size;
    used_[used_count_++] = k.number;
  }
  for (;;) {
    if (s.from != nullptr) {
      if (take_word(s, k, marking, taken)) return true;
      s.from->zeroed = false;
      the_heap.give(*s.from);
    }
    s.from = the_heap.take(k);
    s.next_word = 0;
    if (s.from == nullptr) return false;
    s.zero_each = k.how != walk::none && k.size > zero_ahead_limit && !s.from->zeroed;
  }
}

void* cache::make_large(const kind& k, std::size_t bytes, bool marking) noexcept {
  bool zeroed = false;
  span* const s = the_heap.make_large(k, bytes, zeroed);
  if (s == nullptr) return nullptr;
  if (!zeroed && k.how != walk::none) std::memset(s->start, 0, s->bytes());
  if (marking && the_heap.wants_marks(*s) && !HEDDLE_PLANTED(gc_large_not_marked)) the_heap.blacken(*s, 0, 1);
  s->allocated()[0].store(1, std::memory_order_relaxed);
  char* const p = s->start;
  the_heap.give(*s);
  return p;
}

void cache::blacken() noexcept {
  if (HEDDLE_PLANTED(gc_not_blackened)) return;
  for (std::size_t i = 0; i != used_count_; ++i) {
    const cache_slot& s = slots_[used_[i]];
    if (s.free != 0) the_heap.blacken(*s.from, s.next_word - 1u, s.free);
  }
}

/// Blocks that were not used become free again, and lose marks that they have got for being at hand.
void cache::release(cache_slot& s) noexcept {
  if (s.from == nullptr) return;
  if (s.free != 0) {
    const std::size_t w = s.next_word - 1u;
    bit_word& allocated = s.from->allocated()[w];
    allocated.store(allocated.load(std::memory_order_relaxed) & ~s.free, std::memory_order_relaxed);
    s.from->marks()[w].fetch_and(~s.free, std::memory_order_relaxed);
    if ((s.from->born()[w].load(std::memory_order_relaxed) & s.free) != 0)
      s.from->born()[w].fetch_and(~s.free, std::memory_order_relaxed);
  }
  s.free = 0;
  s.from->zeroed = false;
  the_heap.give(*s.from);
  s.from = nullptr;
}

void cache::flush() noexcept {
  for (std::size_t i = 0; i != used_count_; ++i) release(slots_[used_[i]]);
}

}  // namespace heddle::gc::detail
