// SPDX-License-Identifier: BSL-1.0
//
// From an address to the block that it lies in, and to the block's bits: by the tag of its page and the kind that the
// tag names. No record of a span is read.
//
// The address space is cut into regions of 32 MiB. For each page of a region that has spans stand, each in a table of
// its own: a tag, which names the kind and how far into its span the page lies; 64 bytes of mark bits; 64 bytes of bits
// of allocated blocks. A span's bits begin with those of its first page, and have room: of the smallest blocks a page
// has 512.
//
// Source: the side tables of nofl (A. Wingo, "Nofl: a precise Immix", 2025), the inline bits of Go 1.26 for a path
// without a record.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "heap/kind.hpp"

namespace heddle::gc::detail {

struct span;

/// A word of bits, of up to 64 blocks.
using bit_word = atomic<std::uint64_t>;

struct region {
  static constexpr std::size_t shift = 25;
  static constexpr std::size_t bytes = std::size_t{1} << shift;
  static constexpr std::size_t pages = bytes >> page_shift;
  static constexpr std::size_t words_per_page = page_size / heddle::detail::grain / 64;

  /// The number of the kind, times 256, and how many pages of the span come before: of a large one 0. 0: no span.
  std::array<atomic<std::uint32_t>, pages> tags;
  std::array<span*, pages> spans;
  std::array<bit_word, pages * words_per_page> marks;
  std::array<bit_word, pages * words_per_page> allocated;
  /// Marked blocks that are new, and stay so when they are swept: made during a cycle, with generations.
  std::array<bit_word, pages * words_per_page> born;
  atomic<std::size_t> used;  ///< no page from this one on has ever been a span's

  static std::size_t page_of(std::uintptr_t p) noexcept { return p >> page_shift & (pages - 1); }
};

/// A block, as its bits are found.
struct block {
  region* in = nullptr;  ///< null: there is none
  const kind* of = nullptr;
  std::size_t bit = 0;  ///< in the tables of the region
  char* start = nullptr;

  explicit operator bool() const noexcept { return in != nullptr; }
  bit_word& mark_word() const noexcept { return in->marks[bit / 64]; }
  bit_word& allocated_word() const noexcept { return in->allocated[bit / 64]; }
  std::uint64_t mask() const noexcept { return std::uint64_t{1} << bit % 64; }
  bool is_marked() const noexcept { return (mark_word().load(std::memory_order_relaxed) & mask()) != 0; }
  bool is_allocated() const noexcept { return (allocated_word().load(std::memory_order_relaxed) & mask()) != 0; }
  /// Taken during this cycle: its mark says nothing of the next one. With generations only.
  bool is_born() const noexcept { return (in->born[bit / 64].load(std::memory_order_relaxed) & mask()) != 0; }
  /// False: it was before. From any thread. relaxed: reads of the block need no order with its mark.
  bool mark() const noexcept {
    return !is_marked() && (mark_word().fetch_or(mask(), std::memory_order_relaxed) & mask()) == 0;
  }
};

/// All regions.
class region_table {
 public:
  constexpr region_table() noexcept = default;

  /// The block that p lies in; p may be anything. While spans are made or taken back meanwhile the answer for their
  /// pages is either; the marker runs while none is taken back, but those of counted objects. None for a large counted
  /// object. O(1), under no lock.
  block find(std::uintptr_t p) const noexcept {
    // acquire: so that the extent is no older; release half in reach().
    if (p - least_.load(std::memory_order_acquire) >= extent_.load(std::memory_order_relaxed)) return {};
    // acquire: so that the region's tables are seen; release half in reach().
    region* const r = table_[p >> region::shift].load(std::memory_order_acquire);
    if (r == nullptr) return {};
    const std::size_t page = region::page_of(p);
    // acquire: so that the kind is seen that the number is of; release half in add().
    const std::uint32_t tag = r->tags[page].load(std::memory_order_acquire);
    if (tag == 0) return {};
    const kind& k = the_kinds[tag >> 8];
    if (k.is_large()) [[unlikely]]
      return find_large(*r, page, k);
    const std::size_t first = page - (tag & 255);
    const std::size_t offset = (p & (region::bytes - 1)) - (first << page_shift);
    const std::size_t index = k.index_of(offset);
    if (index >= k.capacity) return {};
    return {r, &k, first * region::words_per_page * 64 + index,
            reinterpret_cast<char*>(p - offset + index * std::size_t{k.size})};
  }
  /// Where the block begins that p lies in, if it is one for counted objects, whose kind `of` becomes; else null. p may
  /// be anything, but nobody frees the block meanwhile.
  char* counted_block_around(const void* p, const kind*& of) const noexcept;
  /// All that the heap has ever had lies in [first, first + second).
  std::pair<std::uintptr_t, std::uintptr_t> bounds() const noexcept {
    // acquire: so that the extent is no older, as in find(); release half in reach().
    const std::uintptr_t least = least_.load(std::memory_order_acquire);
    return {least, extent_.load(std::memory_order_relaxed)};
  }
  /// The span of the page that p lies in, or null.
  span* span_of(const void* p) const noexcept;
  /// The same of a page that has a span, which the caller knows, and which nobody frees meanwhile.
  span* span_on_page(const void* p) const noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(p);
    // relaxed: whoever gave the address to the caller has seen the region.
    return table_[at >> region::shift].load(std::memory_order_relaxed)->spans[region::page_of(at)];
  }

  /// Has the span's pages lead to it. False: no memory. `least` and such grow.
  bool add(span& s) noexcept;
  /// The opposite: nobody looks at it any more.
  void remove(const span& s) noexcept;
  /// Takes all marks away, while nobody sets any. O(pages of spans).
  void clear_marks() const noexcept;
  /// Whether a span of so many pages may begin there: its bits must be in one region.
  static bool fits(const void* start, std::size_t pages) noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(start);
    return at >> region::shift == (at + (pages << page_shift) - 1) >> region::shift;
  }

  /// f(region&, where it begins) for each.
  template <class F>
  void for_each_region(F f) const noexcept {
    const std::uintptr_t least = least_.load(std::memory_order_relaxed);
    const std::uintptr_t end = least + extent_.load(std::memory_order_relaxed);
    if (table_ == nullptr) return;
    for (std::uintptr_t i = least >> region::shift; i != end >> region::shift; ++i)
      // acquire: so that the region's tables are seen; release half in reach().
      if (region* const r = table_[i].load(std::memory_order_acquire); r != nullptr) f(*r, i << region::shift);
  }

 private:
  using entry = std::atomic<region*>;  // not the explorer's, which are larger
  static constexpr std::size_t entries = std::size_t{1} << (47 - region::shift);

  static block find_large(region& r, std::size_t page, const kind& k) noexcept;
  bool reach(std::uintptr_t first, std::uintptr_t last) noexcept HEDDLE_REQUIRES(lock_);

  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::registry};
  entry* table_ = nullptr;
  // All that the heap has ever had lies in [least_, least_ + extent_).
  std::atomic<std::uintptr_t> least_{~std::uintptr_t{0}};
  std::atomic<std::uintptr_t> extent_{0};
};

extern constinit region_table the_regions;

}  // namespace heddle::gc::detail
