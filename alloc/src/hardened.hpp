// SPDX-License-Identifier: BSL-1.0
//
// The option `hardened`: a heap of its own above the mheap's pages, in which every call is checked. Where nothing is
// written into a free block and all that is known of blocks stands apart from them, so that damage shows and does no
// harm to the heap:
//
//   0 bytes            an address that cannot be touched (untouchable_blocks)
//   to 64 KiB          spans of size classes, blocks taken at random; behind each block a canary, what was freed is
//                      filled, stays out of use for a while, and is looked at before it is used again (checked_blocks)
//   more               a mapping of its own between pages that cannot be touched, the block at its end (guarded_blocks)
//
// What is still damaged when the process ends normally is found then.
#pragma once

#include <cstddef>

namespace heddle::detail::hardened {

/// What freed memory is filled with.
inline constexpr int junk_of_freed = 0x5a;

/// To be called before anything else here; again is harmless.
void begin() noexcept;

/// Null: no memory. `zeroed`: whether the block is.
void* allocate(std::size_t alignment, std::size_t size, bool& zeroed) noexcept;
/// What was asked for. Ends the process if no block in use begins at p; `what`: the function that was called.
std::size_t size_of(const void* p, const char* what) noexcept;
/// The same for the alignment; never below that of every block.
std::size_t alignment_of(const void* p, const char* what) noexcept;
/// p is not null.
void deallocate(void* p, const char* what) noexcept;

/// Looks at every block, whether in use or freed, and ends the process if one is damaged.
void check_all() noexcept;

/// For a child of a fork.
void free_locks() noexcept;

}  // namespace heddle::detail::hardened
