// SPDX-License-Identifier: BSL-1.0
//
// What the allocator holds, gathered and written without allocating: for heddle::alloc and for malloc_stats() alike.
#pragma once

#include "heddle/alloc_statistics.hpp"
#include "text_writer.hpp"

namespace heddle::detail {

/// Walks over all span records, while others work on. Any thread, under no lock. O(spans).
void gather(alloc::statistics& s) noexcept;
/// The totals only, without the walk. O(1).
void gather_totals(alloc::statistics& s) noexcept;

void write_text(const alloc::statistics& s, text_writer& to) noexcept;
void write_json(const alloc::statistics& s, text_writer& to) noexcept;

}  // namespace heddle::detail
