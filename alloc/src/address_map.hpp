// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "page_allocator.hpp"
#include "span.hpp"

namespace heddle::detail {

/// A range of addresses, at random, that is filled from below: memory of the heap from `base` to its bound, every page
/// of it. For each of these pages `table` has the number of the span record, 0 if the page is in none. For each page
/// `tags` has the class of the blocks of its span, so that free() need not read the record; 0 if the program does not
/// free them.
///
/// Nothing is reserved, neither of the window nor of the two tables: each is at an address with room above it, and is
/// mapped as far as it is used. So the bound tells how far the tables may be read. A thread that frees a block sees a
/// bound above it, though it reads without order: the growth that made room for the block has come to the thread with
/// it, and the bound never falls below a block. A thread that frees any other address sees one of the bounds that
/// there have been: the tables were mapped before each.
///
/// When something else turns out to be mapped where the window or one of its tables would grow, the window stays as it
/// is for ever, and the heap goes on in another.
struct heap_window {
  std::uintptr_t base = 0;
  std::atomic<std::size_t> grains{0};  ///< the bound, in units of 16 bytes. Not the explorer's atomic: free() reads it.
  class_tag* tags = nullptr;
  std::uint32_t* table = nullptr;
  std::size_t first_page = 0;  ///< its number among the pages of all windows
  std::size_t tagged = 0;      ///< bytes of `tags` that are mapped
  std::size_t tabled = 0;      ///< and of `table`

  static constexpr std::size_t grains_per_page = page_size / grain;

  /// Pages within the bound.
  std::size_t pages() const noexcept {
    // acquire: so that the tables are there; release half in grow_window().
    return grains.load(std::memory_order_acquire) / grains_per_page;
  }
  /// The number of p's page, counted from the base. For an address below the base it is too high.
  std::size_t page_in(const void* p) const noexcept {
    return (reinterpret_cast<std::uintptr_t>(p) - base) >> page_shift;
  }
  bool contains(const void* p) const noexcept { return page_in(p) < pages(); }
  std::size_t tag_of(const void* p) const noexcept { return tags[page_in(p)]; }
  char* end() const noexcept { return reinterpret_cast<char*>(base + (pages() << page_shift)); }
};

/// Leads from an address to its span; free() reads it first. With the first block that is asked for comes a window: it
/// is the one that the short path knows. The others, which hardly any process has, are looked through one by one. Read
/// by everybody at any time; changed under the lock of the mheap.
///
/// Pages are numbered through all windows, with numbers in between that are no page's: so no run of pages leads from
/// one window into another.
class address_map {
 public:
  static constexpr std::size_t most_windows = 128;
  /// Windows begin at multiples of this, and the numbers of their first pages are multiples of as many pages. So pages
  /// are as aligned as their numbers.
  static constexpr std::size_t window_align = std::size_t{32} << 20;

  span* spans = nullptr;  ///< [0]: the span of all pages that are in none; nobody owns it

  bool has_heap() const noexcept { return count_.load(std::memory_order_relaxed) != 0; }
  bool contains(const void* p) const noexcept { return first().contains(p) || window_elsewhere(p) != nullptr; }
  /// p lies in a window.
  span& span_of(const void* p) const noexcept {
    const std::size_t page = first().page_in(p);
    return spans[page < first().pages() ? first().table[page] : number_elsewhere(p)];
  }
  /// p lies in the first window.
  span& span_in_first(const void* p) const noexcept { return spans[first().table[first().page_in(p)]]; }

  /// The number of the grain at p. For an address that is not aligned, or not in the first window, it is too high.
  std::size_t grain_of(const void* p) const noexcept {
    static_assert(grain == 16);
    return std::rotr(reinterpret_cast<std::uintptr_t>(p) - first().base, 4);
  }
  bool contains_grain(std::size_t number) const noexcept {
    // A load of first().grains; the compiler would take an instruction more. It has the order of every load
    // of this processor, acquire: so that the tables are there; release half in grow_window().
    bool below = false;
    asm("cmp %2, %1" : "=@ccb"(below) : "r"(number), "m"(first().grains));
    return below;
  }
  std::size_t tag_of_grain(std::size_t number) const noexcept {
    return first().tags[number / heap_window::grains_per_page];
  }
  /// 0 if p is in no block of a class; it may be anything.
  std::size_t tag_of(const void* p) const noexcept {
    const std::size_t number = grain_of(p);
    return contains_grain(number) ? tag_of_grain(number) : tag_elsewhere(p);
  }

  /// The window that p lies in, or null.
  const heap_window* window_of(const void* p) const noexcept {
    return first().contains(p) ? &first() : window_elsewhere(p);
  }
  /// The same for a block's address. Null if it is not aligned as blocks are.
  const heap_window* window_of_block(const void* p) const noexcept {
    return reinterpret_cast<std::uintptr_t>(p) % grain == 0 ? window_of(p) : nullptr;
  }
  /// p lies in a window.
  std::size_t page_of(const void* p) const noexcept {
    const heap_window& w = *window_of(p);
    return w.first_page + w.page_in(p);
  }
  char* address(std::size_t page) const noexcept;

  /// f(const heap_window&) for each.
  template <class F>
  void for_each_window(F f) const {
    // acquire: so that the way to its tables is seen; release half in grow().
    for (std::size_t i = 0, n = count_.load(std::memory_order_acquire); i != n; ++i) f(windows_[i]);
  }

  // --- for the mheap, under its lock ------------------------------------------------------------------------------

  /// Decides where the tables of the first window are to be, and behind them the records of spans.
  void begin() noexcept;
  /// Maps so many pages behind the last window's end, or, where that cannot be, in another window. Returns the number
  /// of the first; no_page: there is no memory, or no window left.
  std::size_t grow(std::size_t pages) noexcept;
  /// Takes the last pages of grow() away, of which nobody has been told.
  void shrink(std::size_t pages) noexcept;
  /// Has the page at p lead to the record with this number.
  void set_number(const void* p, std::uint32_t number) noexcept {
    const std::size_t page = first().page_in(p);
    if (page < first().pages()) [[likely]]
      first().table[page] = number;
    else
      set_number_elsewhere(p, number);
  }
  /// Bytes of the tables.
  std::size_t table_bytes() const noexcept;

 private:
  const heap_window& first() const noexcept { return windows_[0]; }
  [[gnu::noinline]] const heap_window* window_elsewhere(const void* p) const noexcept;
  [[gnu::noinline]] std::uint32_t number_elsewhere(const void* p) const noexcept;
  [[gnu::noinline]] void set_number_elsewhere(const void* p, std::uint32_t number) noexcept;
  [[gnu::noinline]] std::size_t tag_elsewhere(const void* p) const noexcept;

  alignas(64) heap_window windows_[most_windows];
  std::atomic<std::size_t> count_{0};
  char* first_tables_ = nullptr;
};

extern address_map the_map;

}  // namespace heddle::detail
