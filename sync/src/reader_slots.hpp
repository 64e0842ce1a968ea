// SPDX-License-Identifier: BSL-1.0
//
// Where those who share a lock say so on a cache line of their own, instead of all on that of the lock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

/// One table for all locks of the process: a row for each CPU, and in it a slot for each lock, or for several with the
/// same hash. A slot that holds the address of a lock is one share of it, as is one in the lock's own count.
///
/// 1. Shares are not told apart: who gives one back takes the lock out of any slot, or one off the count. So a fiber
///    may come in on one CPU and leave on another.
/// 2. Slots are changed by read-modify-writes only. So who reads one by acquire sees what all did who have left by it,
///    whatever has been put there since.
///
/// Source: D. Dice, A. Kogan, "BRAVO: Biased Locking for Reader-Writer Locks", USENIX ATC 2019. There a writer waits
/// until the slots are empty. Here it moves them into the lock's count, so that who leaves last serves it.
class reader_slots {
 public:
  using slot = atomic<const void*>;

  /// The slot of this CPU. Only a hint: the caller may be on another one by now.
  static slot& here(const void* lock) noexcept { return table[platform::cpu_number() % rows][column_of(lock)]; }

  /// Puts a share into a slot. False: it has one already.
  static bool put(slot& s, const void* lock) noexcept {
    const void* none = nullptr;
    // seq_cst: before the look at the lock's word that follows; see shared_mutex::come_in_by_slot().
    return s.load(std::memory_order_relaxed) == nullptr &&
           s.compare_exchange_strong(
               none, lock, HEDDLE_PLANTED(slot_without_fence) ? std::memory_order_relaxed : std::memory_order_seq_cst,
               std::memory_order_relaxed);
  }

  /// Takes a share out of a slot. False: it has none of this lock.
  static bool take(slot& s, const void* lock) noexcept {
    // release: so that the writer sees that this one has read; acquire: so that the writer that empties the slot sees
    // it, and whoever finds that another has taken its share, who then leaves in the other's place.
    return s.load(std::memory_order_acquire) == lock &&
           s.compare_exchange_strong(
               lock, nullptr, HEDDLE_PLANTED(slot_left_relaxed) ? std::memory_order_relaxed : std::memory_order_acq_rel,
               std::memory_order_acquire);
  }

  /// Takes one share out, wherever it is. O(rows).
  static bool take_one(const void* lock) noexcept {
    for (auto& row : table)
      if (take(row[column_of(lock)], lock)) return true;
    return false;
  }

  /// Takes all shares out; how many there were. O(rows). seq_cst: after the change of the lock's word before it.
  static std::uint64_t take_all(const void* lock) noexcept {
    std::uint64_t count = 0;
    for (auto& row : table) {
      slot& s = row[column_of(lock)];
      if (s.load(std::memory_order_seq_cst) == lock) count += take(s, lock);
    }
    return count;
  }

  /// Whether there is a share. O(rows).
  static bool any(const void* lock) noexcept {
    for (auto& row : table)
      if (row[column_of(lock)].load(std::memory_order_relaxed) == lock) return true;
    return false;
  }

 private:
  // Models have few threads, and want locks that meet in a slot.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr std::size_t rows = 2, columns = 1;
#else
  static constexpr std::size_t rows = 32, columns = 16;
#endif
  /// As long as two cache lines, since those are often fetched together.
  struct alignas(128) row : std::array<slot, columns> {};

  static std::size_t column_of(const void* lock) noexcept {
    return (reinterpret_cast<std::uintptr_t>(lock) * 0x9E37'79B9'7F4A'7C15U >> 48) % columns;
  }

  static std::array<row, rows> table;
};

inline constinit std::array<reader_slots::row, reader_slots::rows> reader_slots::table{};

}  // namespace heddle::detail
