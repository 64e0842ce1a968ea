// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/config.hpp"

namespace heddle::alloc {

/// What there is of the blocks of one size, whoever frees them: the program or a collector.
struct class_statistics {
  std::size_t block_size = 0;  ///< bytes of a block
  std::size_t pages = 0;       ///< bytes of the pages of all spans of the class

  std::size_t in_use = 0;  ///< blocks that the program has
  std::size_t free = 0;    ///< blocks that were freed, or are ready to be handed out
  std::size_t fresh = 0;   ///< blocks without contents: never touched, or given back to the kernel

  std::size_t active_spans = 0;   ///< from which a cache hands out blocks now
  std::size_t full_spans = 0;     ///< of a cache: without a free block when the cache last looked
  std::size_t partial_spans = 0;  ///< of a cache: some blocks are free
  std::size_t central_spans = 0;  ///< of nobody: mostly free, the next cache that needs one takes it

  std::size_t spans() const noexcept { return active_spans + full_spans + partial_spans + central_spans; }
};

/// What the allocator holds, at about one point in time: a plain value, which needs no memory of its own.
///
/// Exact if nobody allocates or frees meanwhile; else numbers of different moments stand side by side.
struct statistics {
  static constexpr std::size_t most_classes = 96;

  std::array<class_statistics, most_classes> classes{};  ///< by size, ascending
  std::size_t class_count = 0;                           ///< how many of them there are

  std::size_t large_blocks = 0;  ///< blocks above the largest class, that lie in the heap
  std::size_t large_bytes = 0;   ///< their pages

  std::size_t scan = 0;    ///< bytes of blocks in use that a collector frees, and in which it looks for pointers
  std::size_t noscan = 0;  ///< and in which it does not

  std::size_t mapped = 0;         ///< bytes of address space that the heap has taken for spans
  std::size_t in_spans = 0;       ///< bytes of pages of spans; large blocks among them
  std::size_t idle_resident = 0;  ///< bytes of free pages that still have memory
  std::size_t huge = 0;           ///< bytes of blocks with mappings of their own
  std::size_t records = 0;        ///< bytes of what is written about all that
  std::size_t released = 0;       ///< bytes of free pages ever given back to the kernel
  std::size_t limit = 0;          ///< what set_limit() has set; 0: nothing

  std::size_t caches = 0;         ///< ever made: one for malloc() and for each collected kind, and thread at one time
  std::size_t caches_pooled = 0;  ///< those of threads that have ended, waiting for a new one

  /// Bytes of blocks that the program has; those that a collector frees among them.
  std::size_t in_use() const noexcept {
    std::size_t sum = large_bytes + huge;
    for (std::size_t c = 0; c != class_count; ++c) sum += classes[c].in_use * classes[c].block_size;
    return sum;
  }
  /// Bytes of memory that the allocator may have from the kernel at most: what set_limit() limits, and the records.
  std::size_t held() const noexcept { return in_spans + idle_resident + huge + records; }
  const class_statistics* begin() const noexcept { return classes.data(); }
  const class_statistics* end() const noexcept { return classes.data() + class_count; }
};

}  // namespace heddle::alloc
