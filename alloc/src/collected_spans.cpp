// SPDX-License-Identifier: BSL-1.0
#include "collected_spans.hpp"

#include <new>
#include <utility>

#include "os.hpp"

namespace heddle::detail {

constinit collected_spans the_collected_spans;

// --- one ------------------------------------------------------------------------------------------------------------

collected_span::collected_span(span_kind of_kind, size_class of_class, collected_span* next_of_all) noexcept
    : kind(of_kind),
      klass(of_class),
      capacity(static_cast<std::uint16_t>(capacity_of(of_class))),
      next(next_of_all),
      by_size_(of_class == class_count ? divisor() : divisor(class_info[of_class].size)) {
  for (std::size_t i = 0; i != words_for(capacity); ++i) new (&word(64 * i)) atomic<std::uint64_t>{0};
}

void collected_span::begin(const void* start, std::size_t pages) noexcept {
  const std::uint64_t page = reinterpret_cast<std::uintptr_t>(start) >> page_shift;
  const std::uint64_t count = (life_.load(std::memory_order_relaxed) + 1) & life_mask;
  // release: so that who sees it sees that the last life is over; acquire half in find().
  bytes_.store(pages << page_shift,
               HEDDLE_PLANTED(bytes_without_release) ? std::memory_order_relaxed : std::memory_order_release);
  // release: so that who sees the life sees the bytes; acquire half in find().
  life_.store(page << life_bits | count, std::memory_order_release);
}

void collected_span::end() noexcept {
  life_.store((life_.load(std::memory_order_relaxed) + 1) & life_mask, std::memory_order_relaxed);
}

collected_block collected_span::find(const void* p) noexcept {
  // acquire: so that the bytes are no older; release half in begin().
  const std::uint64_t life = life_.load(std::memory_order_acquire);
  if (!lives(life)) return {};
  char* const first = start_in(life);
  const auto offset = reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(first);
  // acquire: so that if they are newer, the life is seen to be over; release half in begin().
  const std::size_t bytes = bytes_.load(std::memory_order_acquire);
  if (offset >= bytes) return {};  // it lies elsewhere by now
  const std::size_t index = by_size_.quotient(offset);
  if (index >= capacity || !is_in_use(index)) return {};
  if (life_.load(std::memory_order_relaxed) != life && !HEDDLE_PLANTED(found_by_one_look)) return {};
  const std::size_t size = klass == class_count ? bytes : class_info[klass].size;
  return {first + index * size, size, this};
}

// --- all ------------------------------------------------------------------------------------------------------------

/// Makes the tables for the pages of a span. False: no memory.
bool collected_spans::reach(const span& s) noexcept {
  leaf* leaves = leaves_.load(std::memory_order_relaxed);
  if (leaves == nullptr) {
    leaves = static_cast<leaf*>(os::map(leaf_count * sizeof(leaf), page_size));
    if (leaves == nullptr) return false;
    leaves_.store(leaves, std::memory_order_release);  // release: so that it is seen as it was mapped; see of()
  }
  const std::size_t first = number_of(s.start);
  for (std::size_t i = first / entries_per_leaf; i <= (first + s.pages - 1) / entries_per_leaf; ++i) {
    if (leaves[i].load(std::memory_order_relaxed) != nullptr) continue;
    auto* const entries = static_cast<entry*>(os::map(entries_per_leaf * sizeof(entry), page_size));
    if (entries == nullptr) return false;
    leaves[i].store(entries, std::memory_order_release);  // release: the same
  }
  return true;
}

collected_span* collected_spans::make(span_kind kind, size_class klass) noexcept {
  void* const memory = the_mheap.make_record(collected_span::bytes_for(klass));
  if (memory == nullptr) return nullptr;
  auto* const s = new (memory) collected_span(kind, klass, first_.load(std::memory_order_relaxed));
  first_.store(s, std::memory_order_release);  // release: so that it is seen as it was made; acquire half in for_each()
  return s;
}

bool collected_spans::add(const span& s) noexcept {
  const thread_lock hold(lock_);
  if (!reach(s)) return false;
  collected_span*& unused = unused_for(s);
  collected_span* const c = unused != nullptr ? unused : make(s.kind, s.klass);
  if (c == nullptr) return false;
  if (c == unused) unused = c->next_unused;
  c->begin(s.start, s.pages);
  // release: so that what is constant in it is seen; acquire half in of().
  for (std::size_t i = 0; i != s.pages; ++i) entry_of(s.start + i * page_size).store(c, std::memory_order_release);
  return true;
}

void collected_spans::set_in_use(const void* p) noexcept {
  // relaxed: what has brought the block has brought that too.
  collected_span& s = *entry_of(p).load(std::memory_order_relaxed);
  s.set_in_use(s.index_of(p));
}

bool collected_spans::clear_in_use(const void* p) noexcept {
  const collected_block b = find(p);
  return b.start != nullptr && b.start == p && b.in->clear_in_use(b.in->index_of(p));
}

void collected_spans::remove(const span& s) noexcept {
  const thread_lock hold(lock_);
  collected_span* const c = entry_of(s.start).load(std::memory_order_relaxed);
  for (std::size_t i = 0; i != s.pages; ++i)
    entry_of(s.start + i * page_size).store(nullptr, std::memory_order_relaxed);
  c->end();
  c->next_unused = std::exchange(unused_for(s), c);
}

}  // namespace heddle::detail
