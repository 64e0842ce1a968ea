// SPDX-License-Identifier: BSL-1.0
//
// Which sizes there are, and how many pages a span of each has: a table that the compiler works out.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace heddle::detail {

inline constexpr std::size_t page_shift = 13;
inline constexpr std::size_t page_size = std::size_t{1} << page_shift;
/// Every block is aligned to this, as malloc() promises for any type; and nothing is smaller.
inline constexpr std::size_t grain = 16;

/// Up to here the caches know a class by its size in grains alone.
inline constexpr std::size_t small_limit = 1024;
/// Above this a block is a span of its own, of as many pages as it needs.
inline constexpr std::size_t class_limit = std::size_t{1} << 20;

/// 0, 1, ...: the sizes in ascending order.
using size_class = std::uint8_t;

struct size_class_info {
  std::uint32_t size;      ///< bytes of a block
  std::uint16_t pages;     ///< of a span
  std::uint16_t capacity;  ///< blocks in a span
  /// Bytes of a span that are in no block.
  constexpr std::size_t tail() const noexcept { return pages * page_size - std::size_t{capacity} * size; }
};

namespace size_classes {

// Steps of 16 to 128, then eight to a doubling as far as 8 KiB, where most blocks are, among them pages with a header,
// then four. Internal waste: at most 15 bytes, an eighth, and a fifth.
constexpr std::size_t fine_limit = std::size_t{8} << 10;

constexpr std::size_t next_size(std::size_t size) noexcept {
  std::size_t power = grain;
  while (2 * power <= size) power *= 2;  // the power of two that is not above it
  if (size < 128) return size + grain;
  return size + power / (size < fine_limit ? 8 : 4);
}

/// How many pages: enough blocks that a cache does not run dry soon, and few enough that the memory which one span
/// keeps from others is small. Of blocks above 128 bytes there are at most 64, so that a word has a bit for each.
constexpr std::size_t pages_for(std::size_t size) noexcept {
  constexpr std::size_t wasteless = 8;  // at most an eighth of the span in no block
  const std::size_t blocks = size <= small_limit ? 28 : size <= fine_limit ? 8 : 16;
  std::size_t most = size <= 128 ? 2 : blocks * size / page_size;
  const std::size_t cap = (std::size_t{size <= fine_limit ? 32u : 64u} << 10) / page_size;
  if (most > cap) most = cap;
  if (most * page_size < 2 * size) most = (2 * size + page_size - 1) / page_size;
  if (size > (std::size_t{128} << 10)) most = (size + page_size - 1) / page_size;
  if (most == 0) most = 1;
  std::size_t best = most;
  std::size_t least = ~std::size_t{0};
  // Among those down to half of that, the one with the least tail for its size.
  for (std::size_t n = most; n != 0 && 2 * n >= most; --n) {
    if (n * page_size < size) break;
    const std::size_t tail = n * page_size % size * 1024 / n;
    if (tail < least) {
      least = tail;
      best = n;
    }
  }
  while (best * page_size % size * wasteless > best * page_size) ++best;
  return best;
}

constexpr std::size_t count() noexcept {
  std::size_t n = 0;
  for (std::size_t size = grain; size <= class_limit; size = next_size(size)) ++n;
  return n;
}

}  // namespace size_classes

inline constexpr std::size_t class_count = size_classes::count();

inline constexpr std::array<size_class_info, class_count> class_info = [] {
  std::array<size_class_info, class_count> all{};
  std::size_t size = grain;
  for (auto& c : all) {
    const std::size_t pages = size_classes::pages_for(size);
    c = {static_cast<std::uint32_t>(size), static_cast<std::uint16_t>(pages),
         static_cast<std::uint16_t>(pages * page_size / size)};
    size = size_classes::next_size(size);
  }
  return all;
}();

static_assert([] {
  for (const auto& c : class_info)
    if (c.tail() * 8 > c.pages * page_size || c.capacity == 0 || (c.size > 128 && c.capacity > 64)) return false;
  return class_info.back().size == class_limit && class_count < 85;
}());

namespace size_classes {

inline constexpr std::size_t medium_shift = 7;  // above 1 KiB all classes up to 256 KiB are multiples of 256
inline constexpr std::size_t tabled_limit = std::size_t{256} << 10;

/// The class for each number of grains to 1 KiB, and then for each number of 128 bytes.
inline constexpr auto small_table = [] {
  std::array<size_class, small_limit / grain + 1> t{};
  size_class c = 0;
  for (std::size_t g = 0; g != t.size(); ++g) {
    while (class_info[c].size < g * grain) ++c;
    t[g] = c;
  }
  return t;
}();
inline constexpr auto medium_table = [] {
  std::array<size_class, (tabled_limit >> medium_shift) + 1> t{};
  size_class c = 0;
  for (std::size_t i = 0; i != t.size(); ++i) {
    while (class_info[c].size < i << medium_shift) ++c;
    t[i] = c;
  }
  return t;
}();

}  // namespace size_classes

/// What free() reads for a page: 0, or which class the blocks there are of, times a number that spares it a shift.
using class_tag = std::uint16_t;
inline constexpr std::size_t tag_step = 16;
constexpr class_tag tag_of(size_class c) noexcept { return static_cast<class_tag>((c + 1) * tag_step); }

constexpr std::size_t grains_of(std::size_t size) noexcept { return (size + grain - 1) / grain; }

/// The class whose blocks hold `size` bytes; size <= class_limit. O(1), but for the few sizes above 256 KiB.
constexpr size_class class_for(std::size_t size) noexcept {
  using namespace size_classes;
  if (size <= small_limit) return small_table[grains_of(size)];
  if (size <= tabled_limit) return medium_table[(size + (1 << medium_shift) - 1) >> medium_shift];
  size_class c = medium_table.back();
  while (class_info[c].size < size) ++c;
  return c;
}

/// How many pages so many bytes take.
constexpr std::size_t pages_for(std::size_t size) noexcept { return (size + page_size - 1) >> page_shift; }

/// The class of blocks that serve an alignment beyond the grain, a power of two; class_count: none, so such a block has
/// pages of its own.
constexpr size_class class_for_aligned(std::size_t alignment, std::size_t size) noexcept {
  if (alignment > page_size || size > class_limit - page_size) return class_count;
  // Spans begin at pages, so blocks of a class are as aligned as their size is.
  size_class c = class_for((size + alignment - 1) & ~(alignment - 1));
  while (c != class_count && class_info[c].size % alignment != 0) ++c;
  return c;
}

}  // namespace heddle::detail
