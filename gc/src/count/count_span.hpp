// SPDX-License-Identifier: BSL-1.0
//
// Spans of counted objects: their blocks come and go one by one, and no cycle sweeps them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "heap/heap.hpp"
#include "heddle/gc/detail/count_types.hpp"

namespace heddle::gc::detail {

class count_ledger;

/// 1. It belongs to one ledger, or it is large and to nobody. Only the thread that acts for the ledger changes it.
/// 2. A block is in use, or free: in `free`, on the shelf's list, in a `returned` list, or beyond `fresh`. The header
/// of
///    a free block is zero.
/// 3. `used` counts the blocks that are in neither `free` nor beyond `fresh`.
struct count_span : span {
  void* free;           ///< the first free block's object, which begins with the address of the next one
  std::uint32_t used;   ///< also those on the shelf's list
  std::uint32_t fresh;  ///< blocks from here on have never been used
  bool is_listed;       ///< in the shelf's list of spans
  count_ledger* holder;
  count_shelf* home;  ///< of the holder, for the kind
  count_span* next_listed;
  count_span* previous_listed;

  bool has_free() const noexcept { return free != nullptr || fresh != capacity; }
};

/// The header of the object in a block, and the object.
inline count_header* header_at(const kind& k, char* block) noexcept {
  return reinterpret_cast<count_header*>(block + k.count_header_bytes()) - 1;
}
inline char* object_of(count_header* h) noexcept { return reinterpret_cast<char*>(h + 1); }
inline void*& link_of(void* free) noexcept { return *static_cast<void**>(free); }

/// The span that a counted object lies in. From any thread that has a reference, or acts for the object's death.
inline count_span& span_around(const count_header* h) noexcept {
  return *static_cast<count_span*>(the_regions.span_on_page(h));
}

/// Spans from pages of the allocator. Null: no memory.
count_span* make_count_span(const kind& k, std::size_t pages) noexcept;
void free_count_span(count_span& s) noexcept;
/// Bytes of all of them.
std::size_t bytes_in_count_spans() noexcept;
/// The first one; the others follow by next_of_kind, of whatever kind they are. While all threads are stopped.
const count_span* first_count_span() noexcept;

}  // namespace heddle::gc::detail
