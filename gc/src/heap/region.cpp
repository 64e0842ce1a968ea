// SPDX-License-Identifier: BSL-1.0
#include "heap/region.hpp"

#include <algorithm>

#include "heap/span.hpp"
#include "heddle/detail/collected_pages.hpp"

namespace heddle::gc::detail {

using heddle::detail::thread_lock;
namespace collected_pages = heddle::detail::collected_pages;

constinit region_table the_regions;

block region_table::find_large(region& r, std::size_t page, const kind& k) noexcept {
  if (k.counted != 0) return {};  // it may be freed at any time, and its record with it
  const span& s = *r.spans[page];
  return {s.in, &k, s.first * region::words_per_page * 64, s.start};
}

span* region_table::span_of(const void* p) const noexcept {
  const block b = find(reinterpret_cast<std::uintptr_t>(p));
  if (!b) return nullptr;
  // relaxed: find() has seen the region already.
  region* const r = table_[reinterpret_cast<std::uintptr_t>(p) >> region::shift].load(std::memory_order_relaxed);
  return r->spans[region::page_of(reinterpret_cast<std::uintptr_t>(p))];
}

char* region_table::counted_block_around(const void* p, const kind*& of) const noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  if (const block b = find(at); b) {
    of = b.of;
    return of->counted != 0 ? b.start : nullptr;
  }
  // None, or large.
  if (at - least_.load(std::memory_order_relaxed) >= extent_.load(std::memory_order_relaxed)) return nullptr;
  // acquire: so that the region's tables are seen; release half in reach().
  region* const r = table_[at >> region::shift].load(std::memory_order_acquire);
  if (r == nullptr) return nullptr;
  // acquire: so that the kind is seen; release half in add().
  const std::uint32_t tag = r->tags[region::page_of(at)].load(std::memory_order_acquire);
  of = &the_kinds[tag >> 8];
  return tag != 0 && of->counted != 0 && of->is_large() ? r->spans[region::page_of(at)]->start : nullptr;
}

/// Makes the regions for the pages from `first` to `last`.
bool region_table::reach(std::uintptr_t first, std::uintptr_t last) noexcept {
  if (table_ == nullptr) table_ = static_cast<entry*>(collected_pages::make_tables(entries * sizeof(entry)));
  if (table_ == nullptr) return false;
  for (std::uintptr_t i = first >> region::shift; i <= last >> region::shift; ++i) {
    if (table_[i].load(std::memory_order_relaxed) != nullptr) continue;
    auto* const r = static_cast<region*>(collected_pages::make_tables(sizeof(region)));
    if (r == nullptr) return false;
    table_[i].store(r, std::memory_order_release);  // release: so that its tables are seen; acquire half in find()
    const std::uintptr_t begin = i << region::shift;
    const std::uintptr_t least = least_.load(std::memory_order_relaxed);
    const std::uintptr_t end = std::max(
        begin + region::bytes, least == ~std::uintptr_t{0} ? 0 : least + extent_.load(std::memory_order_relaxed));
    extent_.store(end - std::min(least, begin), std::memory_order_relaxed);
    // release: so that the extent is no older; acquire half in find(). Meanwhile it is too large, which does no harm.
    least_.store(std::min(least, begin), std::memory_order_release);
  }
  return true;
}

bool region_table::add(span& s) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(s.start);
  {
    const thread_lock hold(lock_);
    if (!reach(at, at + s.bytes() - 1)) return false;
    s.in = table_[at >> region::shift].load(std::memory_order_relaxed);
  }
  s.first = static_cast<std::uint32_t>(region::page_of(at));
  for (std::size_t w = 0; w != s.words(); ++w) {
    s.marks()[w].store(0, std::memory_order_relaxed);
    s.allocated()[w].store(0, std::memory_order_relaxed);
  }
  const std::uint32_t number = std::uint32_t{s.of->number} << 8;
  for (std::size_t i = 0; i != s.pages; ++i) {
    const std::uintptr_t p = at + (i << page_shift);
    region& r = *table_[p >> region::shift].load(std::memory_order_relaxed);
    r.spans[region::page_of(p)] = &s;
    const std::size_t used = region::page_of(p) + 1;
    for (std::size_t seen = r.used.load(std::memory_order_relaxed);
         seen < used && !r.used.compare_exchange_weak(seen, used, std::memory_order_relaxed);) {
    }
    // release: so that the record, the bits and the kind are seen; acquire half in find().
    r.tags[region::page_of(p)].store(number | (s.of->is_large() ? 0 : static_cast<std::uint32_t>(i)),
                                     std::memory_order_release);
  }
  return true;
}

void region_table::remove(const span& s) noexcept {
  for (std::size_t i = 0; i != s.pages; ++i) {
    const std::uintptr_t p = reinterpret_cast<std::uintptr_t>(s.start) + (i << page_shift);
    region& r = *table_[p >> region::shift].load(std::memory_order_relaxed);
    r.tags[region::page_of(p)].store(0, std::memory_order_relaxed);
    r.spans[region::page_of(p)] = nullptr;
  }
}

void region_table::clear_marks() const noexcept {
  for_each_region([](region& r, std::uintptr_t) {
    for (std::size_t page = 0, n = r.used.load(std::memory_order_relaxed); page != n; ++page) {
      // relaxed: a span that is added meanwhile has no marks.
      if (r.tags[page].load(std::memory_order_relaxed) == 0) continue;
      bit_word* const words = &r.marks[page * region::words_per_page];
      for (std::size_t w = 0; w != region::words_per_page; ++w) words[w].store(0, std::memory_order_relaxed);
    }
  });
}

}  // namespace heddle::gc::detail
