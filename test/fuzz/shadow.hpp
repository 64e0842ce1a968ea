// SPDX-License-Identifier: BSL-1.0
//
// What the driver knows of the blocks it has: where they are, and what it has written into them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <vector>

#include "require.hpp"

namespace heddle::testing {

/// A block in use, and all of it that may be used. Signed with words that follow from its number and their place: each
/// word of a small block; of others both ends, and some words where pages begin, at places that are the same for every
/// block that ever lies there.
struct block {
  unsigned char* start;
  std::size_t size;
  std::size_t asked;  ///< for so many bytes
  std::uint64_t number;

  static constexpr std::size_t whole = 2'048, end = 256, most_pages = 8;

  /// f(offset, bytes, part of a page's beginning) for each place that is signed.
  template <class F>
  void each_place(F f) const {
    const std::size_t head = size <= whole ? size : end;
    for (std::size_t i = 0; i < head; i += 8) f(i, std::min<std::size_t>(8, head - i));
    if (size <= whole) return;
    std::size_t step = 4'096;
    while (size / step > most_pages) step *= 2;
    const std::size_t first = (0 - reinterpret_cast<std::uintptr_t>(start)) % step;
    for (std::size_t i = first < end ? first + step : first; i + end + 8 < size; i += step) f(i, std::size_t{8});
    for (std::size_t i = size - end; i < size; i += 8) f(i, std::min<std::size_t>(8, size - i));
  }
  std::uint64_t word(std::size_t offset) const noexcept {
    return (number ^ offset << 24 ^ offset >> 3) * 0x9e37'79b9'7f4a'7c15U;
  }
  void sign() const {
    each_place([this](std::size_t i, std::size_t n) {
      const std::uint64_t w = word(i);
      n == 8 ? std::memcpy(start + i, &w, 8) : std::memcpy(start + i, &w, n);  // mostly 8, which is a store
    });
  }
  /// Whether the first `kept` bytes are in `at` as they were signed.
  bool is_signed(const unsigned char* at, std::size_t kept) const {
    std::uint64_t differences = 0;
    each_place([&](std::size_t i, std::size_t n) {
      if (i + n > kept) return;
      std::uint64_t found = 0, w = 0;
      const std::uint64_t signature = word(i);
      if (n == 8) return void((std::memcpy(&found, at + i, 8), differences |= found ^ signature));
      std::memcpy(&found, at + i, n);
      std::memcpy(&w, &signature, n);
      differences |= found ^ w;
    });
    return differences == 0;
  }
};

/// Whether [from, to) of a block is filled with `value`, as far as that is quick to see: small parts, both ends, and
/// where pages begin.
inline bool is_filled(const unsigned char* from, const unsigned char* to, unsigned char value) {
  const auto part = [value](const unsigned char* p, std::size_t n) {
    return n == 0 || (*p == value && std::memcmp(p, p + 1, n - 1) == 0);
  };
  constexpr std::size_t quick = 16'384, end = 1'024, most_pages = 128;
  if (from >= to) return true;
  const auto size = static_cast<std::size_t>(to - from);
  if (size <= quick) return part(from, size);
  if (!part(from, end) || !part(to - end, end)) return false;
  std::size_t step = 4'096;
  while (size / step > most_pages) step *= 2;
  for (std::size_t i = (0 - reinterpret_cast<std::uintptr_t>(from)) % step; i + 8 <= size; i += step)
    if (!part(from + i, 8)) return false;
  return true;
}

/// All blocks in use.
class shadow {
 public:
  bool empty() const noexcept { return order_.empty(); }
  std::size_t count() const noexcept { return order_.size(); }
  std::size_t bytes() const noexcept { return bytes_; }
  const block& operator[](std::size_t i) const { return order_[i]; }
  const std::vector<block>& blocks() const noexcept { return order_; }

  /// Takes a block in and signs it; it may not touch another.
  const block& add(void* memory, std::size_t size, std::size_t asked) {
    auto* const p = static_cast<unsigned char*>(memory);
    const auto behind = ends_.lower_bound(p);
    require(behind == ends_.end() || p + size <= behind->first, "blocks do not overlap with what is behind");
    require(behind == ends_.begin() || std::prev(behind)->second <= p, "blocks do not overlap with what is in front");
    ends_.emplace_hint(behind, p, p + size);
    order_.push_back({p, size, asked, ++number_});
    order_.back().sign();
    bytes_ += size;
    return order_.back();
  }
  /// Takes one out; another gets its place.
  block remove(std::size_t i) {
    const block b = order_[i];
    ends_.erase(b.start);
    order_[i] = order_.back();
    order_.pop_back();
    bytes_ -= b.size;
    return b;
  }
  /// Gives up all at once, as they are.
  void forget() { *this = {}; }

 private:
  std::map<unsigned char*, unsigned char*> ends_;
  std::vector<block> order_;
  std::size_t bytes_ = 0;
  std::uint64_t number_ = 0;
};

}  // namespace heddle::testing
