// SPDX-License-Identifier: BSL-1.0
//
// Where a debugger finds the fibers, also in a program without debug information. Read by runtime/gdb/heddle-gdb.py.
#pragma once

#include <cstdint>

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// Addresses and offsets in bytes. The script checks `version` and reads the numbers in this order, so new ones go to
/// the end and a changed meaning gets a new version.
struct debug_layout_table {
  std::uint64_t version;
  std::uint64_t context_kind;  ///< what a suspended context holds: 0 as Boost.Context's jump left it, 1 the fast switch
  const void* pool;            ///< the fiber_pool
  std::uint64_t pool_slabs;    ///< in the pool: a std::vector of slabs (two pointers: begin, end)
  std::uint64_t slab_size, slab_fibers, slab_used;
  std::uint64_t fiber_size, fiber_state, fiber_id, fiber_name, fiber_context, fiber_memory;
  std::uint64_t stack_bottom, stack_size;
};

extern HEDDLE_EXPORT const debug_layout_table debug_layout;

}  // namespace heddle::detail
