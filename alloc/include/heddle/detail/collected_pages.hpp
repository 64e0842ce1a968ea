// SPDX-License-Identifier: BSL-1.0
//
// Pages of the heap for a collector, which keeps its own account of what is in them.
#pragma once

#include <cstddef>

#include "heddle/detail/config.hpp"
#include "heddle/detail/size_class.hpp"

namespace heddle::detail::collected_pages {

/// So many pages, one after the other, for blocks of a class, or with the class `class_count` for one large block;
/// null: no memory. `zeroed` becomes whether they read as zeros. `may_point`: whether there will be addresses in them;
/// for the figures only. O(1) but for what the kernel takes; under the locks of the heap, so not while a thread is
/// stopped in the middle of anything. From any thread.
HEDDLE_EXPORT void* make(size_class klass, std::size_t pages, bool may_point, bool& zeroed) noexcept;
/// Takes them back: nobody looks at them any more. `first`: what make() has returned.
HEDDLE_EXPORT void free(void* first) noexcept;
/// Has forks find the heap whole, as the first of these functions does anyway. Handlers that the caller gives
/// pthread_atfork() afterwards run before the heap's do: until then threads at work get what they ask for.
HEDDLE_EXPORT void heed_forks() noexcept;
/// Memory without end of life for what a collector writes about its heap: zeroed, of whole pages of the kernel, none of
/// which costs memory before it is touched. Null: no address space.
HEDDLE_EXPORT void* make_tables(std::size_t bytes) noexcept;
HEDDLE_EXPORT void free_tables(void* at, std::size_t bytes) noexcept;
/// Gives the memory back; the tables read as zeros afterwards.
HEDDLE_EXPORT void clear_tables(void* at, std::size_t bytes) noexcept;

}  // namespace heddle::detail::collected_pages
