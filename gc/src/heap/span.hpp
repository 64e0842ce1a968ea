// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heap/region.hpp"

namespace heddle::gc::detail {

/// A run of pages cut into blocks of one kind. The record is never given back, but serves another span.
///
/// 1. One of these has it: the cache of a mutator; a list of its central; the sweeper; the list of unused records.
///    Only that one changes bits of allocated blocks.
/// 2. `swept` is the number of the cycle after which it was swept last, or in which it was made. While it is behind the
///    heap's, its bits of allocated blocks tell of the cycle before, and only its mark bits tell which blocks live. But
///    where marks stay, it may be behind in the lists of swept spans: nothing in it was young, so both say the same.
///
/// Source: Go's mspan.
struct span {
  char* start;
  const kind* of;
  region* in;           ///< of its first page
  std::uint32_t first;  ///< the number of that page in the region
  std::uint32_t pages;
  std::uint32_t capacity;
  std::uint32_t swept;
  std::size_t block_bytes;
  bool zeroed;         ///< no block has been used: all of it reads as zeros
  bool in_cache;       ///< of a mutator. Under the lock of its central
  bool has_new;        ///< its last sweep has left blocks that are new: the next one must look at it
  std::uint32_t live;  ///< blocks that its last sweep has left
  span* next;          ///< in the one list that has it
  span* next_of_kind;  ///< all spans of the kind, under the lock of its central
  span* previous_of_kind;
  bit_word* constructed;  ///< kinds with a destructor: blocks whose destructor is to run; else null

  bit_word* marks() const noexcept { return &in->marks[first * region::words_per_page]; }
  bit_word* allocated() const noexcept { return &in->allocated[first * region::words_per_page]; }
  bit_word* born() const noexcept { return &in->born[first * region::words_per_page]; }
  std::size_t words() const noexcept { return (std::size_t{capacity} + 63) / 64; }
  /// The bits of a word that are blocks'.
  std::uint64_t valid(std::size_t w) const noexcept {
    const std::size_t left = capacity - w * 64;
    return left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
  }
  char* block_at(std::size_t index) const noexcept { return start + index * block_bytes; }
  std::size_t bytes() const noexcept { return std::size_t{pages} << page_shift; }
};

/// Records of spans. From any thread.
class span_records {
 public:
  constexpr span_records() noexcept = default;
  /// All zero but for its bits' place; null: no memory.
  span* get(const kind& k) noexcept;
  void put(span& s) noexcept;

 private:
  static constexpr std::size_t piece = std::size_t{256} << 10;
  void* bump(std::size_t bytes) noexcept HEDDLE_REQUIRES(lock_);

  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::pool};
  span* unused_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  /// Those that have bits of constructed blocks, by how many words.
  span* with_bits_[region::words_per_page * 2 + 1] HEDDLE_GUARDED_BY(lock_) = {};
  char* at_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  std::size_t left_ HEDDLE_GUARDED_BY(lock_) = 0;
};

extern constinit span_records the_span_records;

}  // namespace heddle::gc::detail
