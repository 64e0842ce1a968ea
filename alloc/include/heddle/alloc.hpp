// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdio>
#include <new>
#include <string>

#include "heddle/alloc_statistics.hpp"
#include "heddle/detail/config.hpp"

/// Memory from heddle's allocator, beside the malloc() of the program or instead of it.
///
///     void* p = heddle::alloc::allocate(100);          // at least 100 bytes, aligned to 16
///     p = heddle::alloc::reallocate(p, 1000);          // the same contents in 1000 bytes
///     heddle::alloc::deallocate(p);
///     heddle::alloc::print(heddle::alloc::get_statistics(), stderr);
///
/// Every function may be called from any thread and from fibers, and a block may be freed by another thread than the
/// one which allocated it. None blocks for longer than the kernel takes to map memory or to take back some: memory that
/// was free for a second goes back in steps of 200 us, in up to 50 ms after some seconds without a call (README.md).
/// Blocks must be given back here and not to free() or delete, unless these are heddle's too (libheddle_malloc). A call
/// that cannot be right (a block is freed twice, no block begins at an address) ends the process where it is seen, with
/// a message on stderr.
///
/// Unlike operator new nothing here calls the new-handler.
///
/// Source: D. Leijen et al., "Mimalloc: Free List Sharding in Action", 2019; S. Ghemawat, P. Menage, "TCMalloc"; Go's
/// mcache, mcentral, mheap.
namespace heddle::alloc {

/// A block of at least `size` bytes, aligned to 16, its contents undefined. allocate(0) gives a block too. Throws
/// std::bad_alloc if there is no memory or the limit is reached. O(1); some nanoseconds up to 1 KiB.
[[nodiscard]] HEDDLE_EXPORT void* allocate(std::size_t size);
/// The same; returns null instead of throwing.
[[nodiscard]] HEDDLE_EXPORT void* allocate(std::size_t size, const std::nothrow_t&) noexcept;
/// A block aligned to `alignment`, a power of two: beyond 8 KiB the block takes pages of its own. Throws std::bad_alloc
/// also for what is no power of two.
[[nodiscard]] HEDDLE_EXPORT void* allocate(std::size_t size, std::align_val_t alignment);
[[nodiscard]] HEDDLE_EXPORT void* allocate(std::size_t size, std::align_val_t alignment,
                                           const std::nothrow_t&) noexcept;
/// A block that reads as zeros. Large ones that come fresh from the kernel cost no write. Throws std::bad_alloc.
[[nodiscard]] HEDDLE_EXPORT void* allocate_zeroed(std::size_t size);
[[nodiscard]] HEDDLE_EXPORT void* allocate_zeroed(std::size_t size, const std::nothrow_t&) noexcept;

/// Gives a block back; null is nothing. O(1).
HEDDLE_EXPORT void deallocate(void* p) noexcept;
/// The same for one who knows for which size the block was asked for; another size ends the process with a message
/// where it is seen. `size` may be anything from what was asked for to usable_size(p). For a block that was asked for
/// with an alignment beyond 16, or has been given another size, only usable_size(p) is sure to be right.
HEDDLE_EXPORT void deallocate(void* p, std::size_t size) noexcept;
/// The same for a block that was asked for with this alignment; one that p has not ends the process as well, or with
/// the option `hardened` any other. O(1).
HEDDLE_EXPORT void deallocate(void* p, std::size_t size, std::align_val_t alignment) noexcept;

/// Another size for a block: what is in it stays as far as both sizes reach; the address may change, and the alignment
/// is 16 if it does. Null allocates. Throws std::bad_alloc, and the block is as before. O(size) if it is copied; what
/// is large grows in place or moves by page tables where it can.
[[nodiscard]] HEDDLE_EXPORT void* reallocate(void* p, std::size_t size);
/// The same; returns null instead of throwing, and the block is as before.
[[nodiscard]] HEDDLE_EXPORT void* reallocate(void* p, std::size_t size, const std::nothrow_t&) noexcept;

/// How many bytes of a block may be used, no less than were asked for; 0 for null. O(1).
[[nodiscard]] HEDDLE_EXPORT std::size_t usable_size(const void* p) noexcept;
/// What a block of `size` bytes will have in fact: whoever grows by steps takes sizes that waste nothing. O(1).
[[nodiscard]] HEDDLE_EXPORT std::size_t good_size(std::size_t size) noexcept;

/// Gives back to the kernel what nobody needs, at once: free pages, and free pages inside of spans that are mostly
/// free. Returns how many bytes. Without it a background thread does so with what has been free for a second. O(free
/// memory).
HEDDLE_EXPORT std::size_t release() noexcept;

/// No more memory than so many bytes: spans, free pages not given back yet, and huge blocks count, what is written
/// about them does not. An allocation beyond it gives back what is free, and fails if that does not suffice: with
/// std::bad_alloc or null, not with the end of the process as a limit of the kernel's. 0: no limit, which is how it
/// begins. What is in use already stays, even if it is more. Only asking for new pages looks at it, so it costs nothing
/// else; blocks of pages that are there are still given out.
HEDDLE_EXPORT void set_limit(std::size_t bytes) noexcept;
[[nodiscard]] HEDDLE_EXPORT std::size_t limit() noexcept;

/// What the allocator holds now; see there. Allocates nothing. O(spans), without stopping anybody.
[[nodiscard]] HEDDLE_EXPORT statistics get_statistics() noexcept;
/// A table for people: a line for each size in use, then the totals. Returns whether all has been written.
HEDDLE_EXPORT bool print(const statistics& s, std::FILE* to);
[[nodiscard]] HEDDLE_EXPORT std::string to_string(const statistics& s);
/// The same numbers under the names of the members, as one JSON object: `classes` is an array of objects, those of
/// classes without spans left out.
[[nodiscard]] HEDDLE_EXPORT std::string to_json(const statistics& s);

}  // namespace heddle::alloc
