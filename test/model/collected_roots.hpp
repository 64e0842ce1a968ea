// SPDX-License-Identifier: BSL-1.0
//
// Two globals, and for each model thread a stack of a few words, which the collector sees at a moment when the thread
// is in none of its functions. At the end of each cycle all that they lead to must be marked.
#pragma once

#include <array>
#include <cstdint>

#include "heddle/gc/detail/core.hpp"
#include "reclaim/weak_cells.hpp"

namespace collected {

namespace gd = heddle::gc::detail;

/// Four in a span.
struct object {
  static constexpr std::uintptr_t alive = 0xA11'7E;
  static constexpr std::size_t bytes = 16'384;
  void* a;
  void* b;
  std::uintptr_t state;
};

/// What a thread has at hand. An address that is in use is in one of these, or in a global, whenever others may act.
struct stack {
  std::array<void*, 3> objects{};
  void* cell = nullptr;         ///< a weak or ephemeron cell: is kept, and keeps nothing of itself
  const void* stale = nullptr;  ///< a word that looks like an address, perhaps of what has died long ago
};

inline constexpr std::size_t most_threads = 5;
extern std::array<stack, most_threads> stacks;
extern std::array<void*, 2> globals;

/// The calling thread's.
stack& mine();
/// Between two operations on slots or stacks, which are no operations of the explorer.
void others_may_act();
/// A new object; the caller puts it on its stack at once.
object* make();
/// The same with a span of its own.
object* make_large();
/// Of another type: two in a span, which has as many pages.
object* make_wide();
/// The object lives: fails if its memory has been taken.
object* use(void* p);
/// Sweeps what a cycle has left unswept, if it has. Of the thread that runs alone.
void sweep_all();
/// The block of a dead object is not in the heap any more. Of the thread that runs alone: two cycles find all that is
/// dead.
void expect_empty_heap();

}  // namespace collected
