// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "heap/heap.hpp"

namespace heddle::gc::detail {

/// Adds to by_number[n] what the spans of counted objects of the kind n have, for n below `kinds`. An object counts
/// until its memory is free. Keeps all threads from counting meanwhile: O(spans + free blocks that threads have at
/// hand). From any thread that is in no function of the collector.
void add_count_figures(kind_figures* by_number, std::size_t kinds) noexcept;

}  // namespace heddle::gc::detail
