// SPDX-License-Identifier: BSL-1.0
//
// Blocks of any size: what malloc() and its family, and heddle::alloc, are made of. The short paths stand here, to be
// inlined where they are entered.
#pragma once

#include <cstddef>

#include "mheap.hpp"
#include "thread_cache.hpp"

namespace heddle::detail::blocks {

[[gnu::noinline]] void* allocate_slow(std::size_t size) noexcept;
/// `caller`: who has called free(), or what else frees; see scavenger::poll().
[[gnu::noinline]] void deallocate_slow(void* p, const void* caller) noexcept;
/// p is not in the first window, or not aligned: null, a block of another window, a huge one, or nothing that came from
/// here.
[[gnu::noinline]] void deallocate_outside(void* p, const void* caller) noexcept;

/// Frees the blocks that could not be freed while another thread forked.
void free_deferred_blocks() noexcept;

/// Does not return; that free() need not know, since it may jump there then, and sets up no stack frame.
[[gnu::cold, gnu::noinline]] void freed_twice(void* p) noexcept;

/// At least `size` bytes, aligned to 16; null: no memory. O(1).
[[gnu::always_inline]] inline void* allocate(std::size_t size) noexcept {
  if (size <= small_limit) [[likely]] {
    block_list& l = this_mcache->small_slot(size);
    if (free_block* const b = l.free; b != nullptr) [[likely]] {
      l.free = b->next;
      ++l.live;
      return b;
    }
  }
  return allocate_slow(size);
}

/// Takes back a block of a class whose page has this tag; or calls `full`, if the magazine is.
template <class F>
[[gnu::always_inline]] inline void deallocate_tagged(void* p, std::size_t tag, F full) noexcept {
  magazine* m = &this_mcache->magazine_of(tag);
  asm("" : "+r"(m));  // an address in a register, and below a count in memory: fewer instructions
  if (m->is_full()) [[unlikely]]
    return full();
  auto* const b = static_cast<free_block*>(p);
  if (b == m->free) [[unlikely]]
    return freed_twice(p);
  asm("" : "+m"(m->live));
  --m->live;
  b->next = m->free;
  m->free = b;
}

/// Takes back what came from here. Null is nothing. O(1). Being inlined always, it has the address to which that
/// function returns which calls it.
[[gnu::always_inline]] inline void deallocate(void* p) noexcept {
  const std::size_t number = the_map.grain_of(p);
  if (!the_map.contains_grain(number)) [[unlikely]]
    return deallocate_outside(p, __builtin_return_address(0));
  deallocate_tagged(
      p, the_map.tag_of_grain(number), [p]() __attribute__((always_inline)) {
        deallocate_slow(p, __builtin_return_address(0));
      });
}

/// Zeroed. The product must not overflow.
void* allocate_zeroed(std::size_t size) noexcept;
/// `alignment`: any power of two.
void* allocate_aligned(std::size_t alignment, std::size_t size) noexcept;
/// Another size, with what was in it as far as both reach. Null: no memory, and p is as before. p is not null.
void* reallocate(void* p, std::size_t size) noexcept;
/// How many bytes p may be used for.
std::size_t usable_size(const void* p) noexcept;
/// What allocate(size) would give: the same number for sizes that get the same.
std::size_t good_size(std::size_t size) noexcept;
/// Like deallocate(), for one who knows what was asked for, without an alignment: reports a size that cannot be right.
void deallocate_sized(void* p, std::size_t size) noexcept;
/// The same for one who says nothing of the alignment.
void deallocate_sized_any_alignment(void* p, std::size_t size) noexcept;
/// The same for a block of allocate_aligned(alignment, size): reports also an alignment that p has not.
void deallocate_aligned(void* p, std::size_t alignment, std::size_t size) noexcept;
/// The same after realloc(), which may leave a block where it is when it shrinks to more than half.
void deallocate_within(void* p, std::size_t size) noexcept;

/// What these functions do without options that concern every block.
namespace plain {
void* allocate(std::size_t size) noexcept;
void* allocate_aligned(std::size_t alignment, std::size_t size) noexcept;
void* reallocate(void* p, std::size_t size) noexcept;
std::size_t usable_size(const void* p) noexcept;
void deallocate_slow(void* p, span& s) noexcept;
void deallocate_outside(void* p) noexcept;
/// Ends the process if allocate_aligned(alignment, size) cannot have given p, which is not null.
void check_size(const void* p, std::size_t alignment, std::size_t size) noexcept;
/// The same if neither allocate(size) nor reallocate(p, size) can.
void check_size_within(const void* p, std::size_t size) noexcept;
}  // namespace plain

}  // namespace heddle::detail::blocks
