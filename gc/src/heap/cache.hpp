// SPDX-License-Identifier: BSL-1.0
//
// A thread's cache: for each kind that it uses a word of free blocks.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "heap/heap.hpp"

namespace heddle::gc::detail {

/// Up to 64 free blocks of a span, which count as allocated already. All zero: none, of no kind.
struct cache_slot {
  std::uint64_t free;  ///< bit i: the block at base + i * size
  char* base;
  std::uint32_t size;
  std::uint16_t next_word;  ///< of the span's bits
  bool zero_each;           ///< blocks are zeroed one by one, since they are large
  span* from;               ///< null: none yet
};

/// Belongs to one mutator, and to the collector while that is excluded.
///
/// 1. Blocks in `free` have their bits in the span's `allocated`; while the collector marks, in `marks` too. So nobody
///    else hands them out, and a sweep does not.
/// 2. Their memory is zero if the kind may hold addresses and not `zero_each`.
class cache {
 public:
  constexpr cache() noexcept = default;
  /// Address space for the slots. False: no memory.
  bool begin() noexcept;
  void end() noexcept;

  /// A block at hand, or null. The kind may be 0.
  void* pop(kind_number k) noexcept {
    cache_slot& s = slots_[k];
    if (s.free == 0) [[unlikely]]
      return nullptr;
    const auto bit = static_cast<std::size_t>(std::countr_zero(s.free));
    s.free &= s.free - 1;
    char* const p = s.base + bit * s.size;
    if (s.zero_each) [[unlikely]]
      __builtin_memset(p, 0, s.size);
    return p;
  }
  /// Finds more blocks of the kind. False: no memory. `taken` grows by their bytes. `marking`: the mutator is armed.
  bool refill(const kind& k, bool marking, std::size_t& taken) noexcept;
  /// A large block. `marking`: as above.
  static void* make_large(const kind& k, std::size_t bytes, bool marking) noexcept;

  /// Marks all blocks at hand: the collector begins to mark.
  void blacken() noexcept;
  /// Gives all spans back, with their unused blocks.
  void flush() noexcept;

 private:
  bool take_word(cache_slot& s, const kind& k, bool marking, std::size_t& taken) noexcept;
  static void release(cache_slot& s) noexcept;

  cache_slot* slots_ = nullptr;
  kind_number* used_ = nullptr;  // kinds whose slots have a span, or have had one
  std::size_t used_count_ = 0;
};

}  // namespace heddle::gc::detail
