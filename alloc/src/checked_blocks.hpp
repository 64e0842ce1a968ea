// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/thread_mutex.hpp"
#include "span.hpp"

namespace heddle::detail {

/// What is known of the blocks of a span, one by one. Apart from them, and never freed.
struct span_checks {
  /// Of a block, in the upper bits of its word; below is what was asked for.
  enum state : std::uint32_t {
    never = 0,  ///< not handed out yet: zeros
    used = std::uint32_t{1} << 28,
    busy = std::uint32_t{2} << 28,  ///< a call is at work on it: between any two others
    quarantined = std::uint32_t{3} << 28,
    free = std::uint32_t{4} << 28,  ///< filled with junk
  };
  static constexpr std::uint32_t size_mask = (std::uint32_t{1} << 20) - 1;
  static constexpr unsigned alignment_shift = 20;  ///< the logarithm of the alignment stands there

  span_checks* next;  ///< among records without use
  std::uint32_t free_count;
  std::array<std::uint64_t, 16> free_bits;  ///< blocks that are `free` or `never`

  /// The word of a block. Written under the lock of the class, but for used to busy and back.
  atomic<std::uint32_t>& word(std::size_t index) noexcept {
    return reinterpret_cast<atomic<std::uint32_t>*>(this + 1)[index];
  }
  static constexpr std::size_t bytes_for(std::size_t capacity) noexcept {
    return sizeof(span_checks) + capacity * sizeof(atomic<std::uint32_t>);
  }
  /// Of a span with so many blocks the first is never handed out, so that there is one before every other.
  static constexpr std::uint32_t blocks_to_hand_out(std::size_t capacity) noexcept {
    constexpr std::size_t many = 16;
    return static_cast<std::uint32_t>(capacity < many ? capacity : capacity - 1);
  }
  static std::uint32_t state_of(std::uint32_t word) noexcept { return word & ~(used - 1); }
};

/// The blocks of one size class where every call is checked. From any thread; O(1), beside what is linear in the size.
///
/// Source: the ways of GrapheneOS' hardened_malloc and scudo: state apart from blocks, choice at random, quarantine.
class checked_blocks {
 public:
  constexpr checked_blocks() noexcept = default;

  /// A block of the class `c`, which this one is for. size + canary::least <= size of its blocks.
  void* allocate(size_class c, std::size_t alignment, std::size_t size, bool& zeroed) noexcept;
  // The others take blocks of any class. Who calls them has made sure that `s` has checks.
  static std::size_t size_of(span& s, const void* p, const char* what) noexcept;
  static std::size_t alignment_of(span& s, const void* p, const char* what) noexcept;
  static void deallocate(span& s, void* p, const char* what) noexcept;
  /// Looks at all blocks of a span.
  static void check(span& s) noexcept;

  thread_mutex& lock() noexcept { return lock_; }  // for fork

 private:
  struct damage {
    span* s = nullptr;
    std::size_t index = 0;
  };
  static constexpr std::size_t quarantine_bytes = std::size_t{256} << 10;
  static constexpr std::size_t quarantine_most = 512, quarantine_least = 2;

  span* add_span(size_class c) noexcept HEDDLE_REQUIRES(lock_);
  std::size_t take_one(span_checks& k) noexcept HEDDLE_REQUIRES(lock_);
  void* push(void* p, std::size_t limit) noexcept HEDDLE_REQUIRES(lock_);
  void release(void* p, damage& found) noexcept HEDDLE_REQUIRES(lock_);
  [[noreturn]] static void report(const damage& found) noexcept;

  thread_mutex lock_{lock_rank::checks};
  span_list spans_ HEDDLE_GUARDED_BY(lock_);  ///< those with blocks to be had
  span_checks* unused_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  std::uint64_t random_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::array<void*, quarantine_most> quarantine_ HEDDLE_GUARDED_BY(lock_){};  ///< a ring, the oldest at first_
  std::size_t first_ HEDDLE_GUARDED_BY(lock_) = 0;
  std::size_t count_ HEDDLE_GUARDED_BY(lock_) = 0;
};

extern std::array<checked_blocks, class_count> the_checked_blocks;

}  // namespace heddle::detail
