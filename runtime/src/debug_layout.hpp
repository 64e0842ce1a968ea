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
  // Since version 2: where the registers of a suspended context lie, from its address. A runtime that starts finds it
  // out, since Boost.Context decides it, and differently in each version. context_rip is 0 until then. Above that word
  // the stack goes on.
  std::uint64_t context_rbx, context_rbp, context_r12, context_r13, context_r14, context_r15, context_rip;
  // Since version 3: the word of a parked fiber that tells what it waits at. If the lowest three bits of that are
  // `wait_is_descriptor`, it is the address of a descriptor_wait, but for those bits.
  std::uint64_t fiber_waits_at, wait_is_descriptor, wait_number, wait_aim;
};

extern HEDDLE_EXPORT debug_layout_table debug_layout;

/// Suspends a context to look at it, and fills in the table's entries on contexts, unless that has been done. Before
/// any fiber is made; throws std::bad_alloc.
void tell_of_contexts();

}  // namespace heddle::detail
