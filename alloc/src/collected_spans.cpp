// SPDX-License-Identifier: BSL-1.0
#include "collected_spans.hpp"

#include <algorithm>
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

void collected_span::begin(std::size_t first_page, std::size_t pages) noexcept {
  const std::uint64_t count = static_cast<std::uint32_t>(life_.load(std::memory_order_relaxed)) + 1u;
  // release: so that who sees it sees that the last life is over; acquire half in find().
  bytes_.store(pages << page_shift,
               HEDDLE_PLANTED(bytes_without_release) ? std::memory_order_relaxed : std::memory_order_release);
  // release: so that who sees the life sees the bytes; acquire half in find().
  life_.store(std::uint64_t{first_page} << life_bits | static_cast<std::uint32_t>(count), std::memory_order_release);
}

void collected_span::end() noexcept {
  life_.store(static_cast<std::uint32_t>(life_.load(std::memory_order_relaxed) + 1), std::memory_order_relaxed);
}

collected_block collected_span::find(const void* p) noexcept {
  // acquire: so that the bytes are no older; release half in begin().
  const std::uint64_t life = life_.load(std::memory_order_acquire);
  if (!lives(life)) return {};
  char* const first = the_map.address(life >> life_bits);
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

/// Makes the entries of so many pages writable.
bool collected_spans::reach(std::size_t pages) noexcept {
  if (pages <= reached_) return true;
  entry* table = table_.load(std::memory_order_relaxed);
  if (table == nullptr) {
    table = static_cast<entry*>(os::reserve(the_map.pages * sizeof(entry)));
    if (table == nullptr) return false;
    // release: so that who sees the table sees the map; acquire half in of().
    table_.store(table, std::memory_order_release);
  }
  const std::size_t all = std::min((pages + step - 1) / step * step, the_map.pages);
  if (!os::commit(table + reached_, (all - reached_) * sizeof(entry))) return false;
  reached_ = all;
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
  const std::size_t first = the_map.page_of(s.start);
  if (!reach(first + s.pages)) return false;
  collected_span*& unused = unused_for(s);
  collected_span* const c = unused != nullptr ? unused : make(s.kind, s.klass);
  if (c == nullptr) return false;
  if (c == unused) unused = c->next_unused;
  c->begin(first, s.pages);
  entry* const table = table_.load(std::memory_order_relaxed);
  // release: so that what is constant in it is seen; acquire half in of().
  for (std::size_t i = 0; i != s.pages; ++i) table[first + i].store(c, std::memory_order_release);
  return true;
}

void collected_spans::set_in_use(const void* p) noexcept {
  // relaxed: what has brought the block has brought that too.
  const entry* const table = table_.load(std::memory_order_relaxed);
  collected_span& s = *table[the_map.page_of(p)].load(std::memory_order_relaxed);
  s.set_in_use(s.index_of(p));
}

bool collected_spans::clear_in_use(const void* p) noexcept {
  const collected_block b = find(p);
  return b.start != nullptr && b.start == p && b.in->clear_in_use(b.in->index_of(p));
}

void collected_spans::remove(const span& s) noexcept {
  const thread_lock hold(lock_);
  entry* const entries = table_.load(std::memory_order_relaxed) + the_map.page_of(s.start);
  collected_span* const c = entries->load(std::memory_order_relaxed);
  for (std::size_t i = 0; i != s.pages; ++i) entries[i].store(nullptr, std::memory_order_relaxed);
  c->end();
  c->next_unused = std::exchange(unused_for(s), c);
}

}  // namespace heddle::detail
