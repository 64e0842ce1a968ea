// SPDX-License-Identifier: BSL-1.0
//
// Blocks that a collector frees, and nobody else: free() and its relatives report them. Found from any address in them
// by the_collected_spans.
#pragma once

#include <cstddef>

#include "collected_spans.hpp"
#include "mcache.hpp"

namespace heddle::detail::collected_blocks {

/// At least `size` bytes with any contents, aligned to 16, of the cache's kind, which is scan or noscan; null: no
/// memory. Above class_limit it has a span of its own. O(1).
void* allocate(mcache& from, std::size_t size) noexcept;
/// What a sweeper does. The cache is of either kind; what it has too much of, and all when it is flushed, goes to the
/// spans. Ends the process if no collected block in use begins at p. O(1).
void deallocate(mcache& to, void* p) noexcept;

/// The same with the calling thread's caches, which are made when they are first used. Without memory for one a block
/// that is to be freed stays in use.
void* allocate(span_kind kind, std::size_t size) noexcept;
void deallocate(void* p) noexcept;

}  // namespace heddle::detail::collected_blocks
