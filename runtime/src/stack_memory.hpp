// SPDX-License-Identifier: BSL-1.0
//
// Address space for stacks, and how it becomes memory with a guard below each stack.
//
// 1. Reserved memory that is not opened is closed: touching it faults, nothing fills it, and it costs no page table.
// 2. In a process that locks its memory (mlockall) the kernel would fill a stack from end to end as soon as it is
//    opened, and take no guard markers. So slots are unlocked while they are opened, and locked again as they are
//    touched (MLOCK_ONFAULT): the pages that a fiber uses stay in memory, the others are no memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle::detail {

inline constexpr std::size_t page_size = 4096;

/// How the guard below a stack is kept from being used.
enum class guard_kind : std::uint8_t {
  unknown,  ///< not probed yet
  marker,   ///< MADV_GUARD_INSTALL: no VMA of its own, Linux 6.13 and later
  mapping,  ///< closed: takes two VMAs for a stack, so it ends at vm.max_map_count
};

/// Larger guards stay closed: to fill page tables with markers takes longer than to make two mappings.
inline constexpr std::size_t widest_marker = std::size_t{256} << 10;

/// Slots side by side: in each the guard, then the stack. `guard` 0: none has one.
struct slot_row {
  char* at;
  std::size_t count;
  std::size_t stride;
  std::size_t guard;

  std::size_t bytes() const noexcept { return count * stride; }
};

/// So many bytes of closed address space, or null. `locked`: whether the process locks what it maps from now on; these
/// bytes are not.
char* reserve_address_space(std::size_t bytes, bool& locked) noexcept;
void return_address_space(char* at, std::size_t bytes) noexcept;

/// Opens the slots of a row but for their guards; `end` is that of the reservation. False: there is no memory. If
/// guards cannot be had, slots are opened without them; a message on stderr says so once, with the cause. If slots
/// cannot be locked, a message says that too. `locked`: the answer of reserve_address_space(). `opened`: so far slots
/// are open, their guards not set yet; among many stacks that is ahead of the row, to save system calls.
bool open_slots(const slot_row& row, char*& opened, char* end, bool locked) noexcept;

/// Bytes of the guard below each of the next stacks, a power of two: the more stacks there are, the smaller, since the
/// page tables grow with the distance of stacks. `made`: stacks of this size that there are already.
std::size_t guard_for(std::size_t made) noexcept;

}  // namespace heddle::detail
