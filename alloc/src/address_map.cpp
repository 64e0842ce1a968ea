// SPDX-License-Identifier: BSL-1.0
#include "address_map.hpp"

#include <algorithm>

#include "os.hpp"

namespace heddle::detail {

constinit address_map the_map;

namespace {

constexpr std::size_t os_page = 4096;
constexpr unsigned tries = 8;

// So long a window may become, and so far the span records may reach. Addresses without a mapping cost nothing.
#ifdef HEDDLE_TSAN  // it has fixed places for memory; this is its lower part for programs
constexpr std::uintptr_t lowest = std::uintptr_t{1} << 33, highest = std::uintptr_t{1} << 39;
constexpr std::size_t window_bytes = std::size_t{1} << 37, record_bytes = std::size_t{1} << 34;
#else  // in the lower half of the user's addresses, below where the kernel maps things, above ASan's shadow
constexpr std::uintptr_t lowest = std::uintptr_t{0x11} << 40, highest = std::uintptr_t{1} << 46;
constexpr std::size_t window_bytes = std::size_t{1} << 40, record_bytes = (std::size_t{1} << 32) * sizeof(span);
#endif
constexpr std::size_t window_pages = window_bytes >> page_shift;
constexpr std::size_t tag_bytes = window_pages * sizeof(class_tag);
constexpr std::size_t number_bytes = window_pages * sizeof(std::uint32_t);

constexpr std::size_t round_up(std::size_t n, std::size_t to) noexcept { return (n + to - 1) / to * to; }

/// A random multiple of `align` with so many bytes between it and `highest`.
std::uintptr_t choose_place(std::size_t bytes, std::size_t align) noexcept {
  return (lowest + os::random_bits() % (highest - lowest - bytes)) & ~(align - 1);
}

/// A place for the tables of a window and behind them, if it is the first window, the records. The tables begin within
/// one GiB, so that they share a page of the kernel's page tables.
char* choose_place_of_tables() noexcept {
  constexpr std::size_t align = std::size_t{1} << 30, slack = align / 8;
  static_assert(tag_bytes + number_bytes + slack < align);
  const std::uintptr_t begin = choose_place(align + record_bytes, align);
  return reinterpret_cast<char*>(begin + os::random_bits() % slack / os_page * os_page);
}

/// Maps a table as far as `bytes`, `mapped` of which are there already.
template <class entry>
os::map_result map_table(entry* table, std::size_t& mapped, std::size_t bytes) noexcept {
  bytes = round_up(bytes, os_page);
  if (bytes <= mapped) return os::map_result::mapped;
  const os::map_result result = os::map_at(reinterpret_cast<char*>(table) + mapped, bytes - mapped);
  if (result == os::map_result::mapped) mapped = bytes;
  return result;
}

/// Makes a window longer. The tables may have grown though it has not.
os::map_result grow_window(heap_window& w, std::size_t pages) noexcept {
  const std::size_t all = w.pages() + pages;
  if (all > window_pages) return os::map_result::taken;
  os::map_result result = map_table(w.tags, w.tagged, all * sizeof(class_tag));
  if (result == os::map_result::mapped) result = map_table(w.table, w.tabled, all * sizeof(std::uint32_t));
  if (result == os::map_result::mapped) result = os::map_at(w.end(), pages << page_shift);
  // release: so that a thread that sees the bound finds the tables; acquire halves in contains_grain() and pages().
  if (result == os::map_result::mapped) w.grains.store(all * heap_window::grains_per_page, std::memory_order_release);
  return result;
}

void unmap_tables(heap_window& w) noexcept {
  if (w.tagged != 0) os::unmap(w.tags, w.tagged);
  if (w.tabled != 0) os::unmap(w.table, w.tabled);
  w.tagged = w.tabled = 0;
}

}  // namespace

void address_map::begin() noexcept {
  first_tables_ = choose_place_of_tables();
  spans = reinterpret_cast<span*>(first_tables_ + tag_bytes + number_bytes);
}

std::size_t address_map::grow(std::size_t pages) noexcept {
  const std::size_t n = count_.load(std::memory_order_relaxed);
  std::size_t first_page = 0;
  if (n != 0) {
    heap_window& last = windows_[n - 1];
    first_page = last.first_page + last.pages();
    const os::map_result result = grow_window(last, pages);
    if (result == os::map_result::mapped) return first_page;
    if (result == os::map_result::no_memory) return no_page;
    first_page = round_up(first_page + 1, window_align >> page_shift);
  }
  if (n == most_windows) return no_page;
  heap_window& next = windows_[n];
  for (unsigned i = 0; i != tries; ++i) {
    char* const place = n == 0 && i == 0 ? first_tables_ : choose_place_of_tables();
    next.base = choose_place(window_bytes, window_align);
    next.tags = reinterpret_cast<class_tag*>(place);
    next.table = reinterpret_cast<std::uint32_t*>(place + tag_bytes);
    next.first_page = first_page;
    const os::map_result result = grow_window(next, pages);
    if (result == os::map_result::mapped) {
      // release: so that a thread that sees another window sees where it is; acquire half in window_elsewhere().
      count_.store(n + 1, std::memory_order_release);
      return first_page;
    }
    unmap_tables(next);
    if (result == os::map_result::no_memory) break;
  }
  return no_page;
}

void address_map::shrink(std::size_t pages) noexcept {
  heap_window& w = windows_[count_.load(std::memory_order_relaxed) - 1];
  w.grains.store((w.pages() - pages) * heap_window::grains_per_page, std::memory_order_relaxed);
  os::unmap(w.end(), pages << page_shift);
}

char* address_map::address(std::size_t page) const noexcept {
  std::size_t i = count_.load(std::memory_order_relaxed);
  while (i > 1 && windows_[i - 1].first_page > page) --i;
  const heap_window& w = windows_[i == 0 ? 0 : i - 1];
  return reinterpret_cast<char*>(w.base + ((page - w.first_page) << page_shift));
}

const heap_window* address_map::window_elsewhere(const void* p) const noexcept {
  // acquire: so that the way to its tables is seen; release half in grow().
  for (std::size_t i = count_.load(std::memory_order_acquire); i > 1; --i)
    if (windows_[i - 1].contains(p)) return &windows_[i - 1];
  return nullptr;
}

std::uint32_t address_map::number_elsewhere(const void* p) const noexcept {
  const heap_window* const w = window_elsewhere(p);
  return w != nullptr ? w->table[w->page_in(p)] : 0;
}

void address_map::set_number_elsewhere(const void* p, std::uint32_t number) noexcept {
  const heap_window& w = *window_elsewhere(p);
  w.table[w.page_in(p)] = number;
}

std::size_t address_map::tag_elsewhere(const void* p) const noexcept {
  const heap_window* const w = reinterpret_cast<std::uintptr_t>(p) % grain == 0 ? window_elsewhere(p) : nullptr;
  return w != nullptr ? w->tag_of(p) : 0;
}

std::size_t address_map::table_bytes() const noexcept {
  std::size_t sum = 0;
  for_each_window([&](const heap_window& w) { sum += w.tagged + w.tabled; });
  return sum;
}

}  // namespace heddle::detail
