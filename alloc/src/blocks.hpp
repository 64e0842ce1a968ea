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
[[gnu::noinline]] void deallocate_slow(void* p, span& s) noexcept;
/// p is not in the window, or not aligned: null, a huge block, or nothing that came from here.
[[gnu::noinline]] void deallocate_outside(void* p) noexcept;

/// What the caller's cache does when a span of its has counted down. The unused argument leaves the others' registers
/// as they are: it saves free() an instruction, and so does their order.
[[gnu::noinline]] void look_at_own(void* p, span& s) noexcept;
[[noreturn, gnu::cold, gnu::noinline]] void freed_twice(void* p, const span& s) noexcept;

/// At least `size` bytes, aligned to 16; null: no memory. O(1).
[[gnu::always_inline]] inline void* allocate(std::size_t size) noexcept {
  if (size <= small_limit) [[likely]] {
    span& s = this_mcache->small_slot(size);
    if (free_block* const b = s.free; b != nullptr) [[likely]] {
      s.free = b->next;
      ++s.live;
      return b;
    }
  }
  return allocate_slow(size);
}

/// Takes back a block of a span which the calling thread's cache owns.
[[gnu::always_inline]] inline void deallocate_own(span& s, void* p) noexcept {
  auto* const b = static_cast<free_block*>(p);
  if (b == s.free) [[unlikely]]
    freed_twice(p, s);
  b->next = s.free;
  s.free = b;
  if (--s.live == 0) [[unlikely]]
    look_at_own(p, s);
}

/// Takes back what came from here. Null is nothing. O(1).
[[gnu::always_inline]] inline void deallocate(void* p) noexcept {
  const std::size_t number = the_map.grain_of(p);
  if (!the_map.contains_grain(number)) [[unlikely]]
    return deallocate_outside(p);
  span& s = the_map.span_of_grain(number);
  if (s.owner.load(std::memory_order_relaxed) != this_mcache) [[unlikely]]
    return deallocate_slow(p, s);
  deallocate_own(s, p);
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
/// Like deallocate(), for one who knows what was asked for: reports a size that cannot be right.
void deallocate_sized(void* p, std::size_t size) noexcept;
/// The same after realloc(), which may leave a block where it is when it shrinks: reports more than the block has.
void deallocate_within(void* p, std::size_t size) noexcept;

/// What these functions do without options that concern every block.
namespace plain {
void* allocate(std::size_t size) noexcept;
void* allocate_aligned(std::size_t alignment, std::size_t size) noexcept;
void* reallocate(void* p, std::size_t size) noexcept;
std::size_t usable_size(const void* p) noexcept;
void deallocate_slow(void* p, span& s) noexcept;
void deallocate_outside(void* p) noexcept;
}  // namespace plain

}  // namespace heddle::detail::blocks
