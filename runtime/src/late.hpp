// SPDX-License-Identifier: BSL-1.0
//
// How a fiber on a stack that grows is told that its slice is over. Two words: `late` of its machine, and `slot`, which
// its prologues compare with (%fs:0x70), and which holds the limit of the segment it runs on.
//
// 1. Only the machine itself stores a limit: at a switch, on a further segment, on the way back.
// 2. The monitor sets `late` first, and then a mark in the slot that makes every prologue call __morestack; a limit
//    stored meanwhile may wipe the mark out, but not `late`, which __morestack asks whenever it is called, and the
//    monitor comes again.
// 3. Whatever the order, the slot holds the limit of the present segment, or a mark: never the limit of another
// segment.
#pragma once

#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

/// Set in the slot, above every address.
inline constexpr std::uintptr_t late_mark = std::uintptr_t{1} << 62;

/// The monitor's half. Relaxed throughout: nothing but these two words is passed on.
inline void tell_late(atomic<std::uint32_t>& late, atomic<std::uintptr_t>& slot) noexcept {
  late.store(1, std::memory_order_relaxed);
  std::uintptr_t limit = slot.load(std::memory_order_relaxed);
  if (limit != 0 && (limit & late_mark) == 0)
    slot.compare_exchange_strong(limit, limit | late_mark, std::memory_order_relaxed, std::memory_order_relaxed);
}

// The machine's half is morestack_x86_64.S, in these steps; test/model/late_test.cpp runs them beside the monitor's.

/// A prologue does not go on by itself.
inline bool calls_morestack(const atomic<std::uintptr_t>& slot, std::uintptr_t stack_pointer) noexcept {
  return stack_pointer < slot.load(std::memory_order_relaxed);
}
/// Onto a segment with that limit; false if the slow path is to be taken, which sees whether the fiber yields.
inline bool goes_further(const atomic<std::uint32_t>& late, atomic<std::uintptr_t>& slot,
                         std::uintptr_t limit) noexcept {
  if (late.load(std::memory_order_relaxed) != 0) return false;
  slot.store(limit, std::memory_order_relaxed);
  return true;
}
/// Back to the segment with that limit.
inline void comes_back(const atomic<std::uint32_t>& late, atomic<std::uintptr_t>& slot, std::uintptr_t limit) noexcept {
  if (late.load(std::memory_order_relaxed) != 0 &&
      ((slot.load(std::memory_order_relaxed) & late_mark) != 0 || HEDDLE_PLANTED(late_keeps_limit)))
    return;  // the mark stays for the next prologue
  slot.store(limit, std::memory_order_relaxed);
}

}  // namespace heddle::detail
