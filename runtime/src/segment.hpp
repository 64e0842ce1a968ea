// SPDX-License-Identifier: BSL-1.0
//
// Stacks that grow: of code compiled with -fsplit-stack, whose prologues compare with the limit in %fs:0x70 and call
// __morestack (segmented/morestack_x86_64.S) when a frame does not fit.
//
// 1. `memory` and `limit` of the running fiber name the segment it runs on; `next` of a segment is the one that it goes
//    on from, and the first is a stack like any other. Only the machine that runs the fiber changes them.
// 2. %fs:0x70 holds the limit of the running fiber, 0 while it does not grow or none runs; or a mark that its slice is
//    over, see late.hpp. It is never saved, so the mark is never mistaken for a limit.
// 3. A free segment is in the cache of a machine or in a pool. A throw gives segments back while the unwinder still
//    runs on them, so into the cache only, from where nobody else takes them.
// 4. Below the limit a segment keeps a reserve for what has no prologue: the runtime's own entries, small foreign
//    functions, __morestack itself. What needs more of the runtime runs on the machine's home stack.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "heddle/detail/home_stack.hpp"
#include "heddle/detail/platform.hpp"
#include "stack.hpp"

namespace heddle::detail {

class machine;

#if (defined(HEDDLE_MODEL) && HEDDLE_MODEL) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
    defined(HEDDLE_ASAN) || defined(HEDDLE_TSAN)
/// Whether stacks can grow in this build: the sanitizers know no segments, and models have no stacks.
inline constexpr bool has_segments = false;
#else
inline constexpr bool has_segments = true;
#endif

/// What stays below the limit of a first segment: test/runtime/reserve_test.cpp measures what is used of it. Further
/// segments are large enough to be generous.
/// Then the bytes of its slot, header included: with the control block some 2 KiB or 1 KiB a fiber. Frames of code that
/// is not optimised need pages.
inline constexpr std::size_t growth_reserve = 2048;
#if defined(__OPTIMIZE__)
inline constexpr std::size_t segment_reserve = 384;
inline constexpr std::size_t segment_slot = 1856;
inline constexpr std::size_t small_segment_slot = 896;
#else
inline constexpr std::size_t segment_reserve = 8192;
inline constexpr std::size_t segment_slot = 20480;
inline constexpr std::size_t small_segment_slot = 16384;
#endif

/// Further segments come in powers of two, from 32 KiB (what foreign code is called on: 64) to 64 MiB.
inline constexpr std::uint32_t growth_classes = 12;
inline constexpr std::uint32_t foreign_class = 1;
inline constexpr std::size_t growth_size(std::uint32_t c) noexcept { return std::size_t{32} << 10 << c; }

/// The free segments of one class that a machine keeps. Its layout is known to assembly.
struct growth_list {
  stack* head = nullptr;
  std::uint32_t count = 0;
  std::uint32_t capacity = 0;
};

/// The free segments of a machine. One list more than there are classes, for ever empty: beyond the largest.
struct segment_cache {
  std::array<growth_list, growth_classes + 1> lists;
  segment_cache() noexcept {
    for (std::uint32_t c = 0; c != growth_classes; ++c) lists[c].capacity = c <= foreign_class ? 32 : c <= 5 ? 2 : 1;
  }
};

/// An alloca that did not fit into its segment; its bytes follow.
struct alignas(16) alloca_block {
  alloca_block* next;
  std::size_t size;
};

/// Where the caches of all machines are filled from. Thread-safe.
class segment_pools {
 public:
  /// A segment of the class, or null if there is no memory.
  stack* get(std::uint32_t growth_class) noexcept;
  void put(stack& s) noexcept;
  bool give_back() noexcept;
  std::size_t made() noexcept;
  /// A fiber has segments of so many bytes together. Told where a segment has to be fetched, not where the machine has
  /// one at hand; and where several fibers grow at once the largest may be missed.
  void note_depth(std::size_t bytes) noexcept {
    // relaxed: a figure, which orders nothing.
    if (bytes > deepest_.load(std::memory_order_relaxed)) deepest_.store(bytes, std::memory_order_relaxed);
  }
  /// The most of that; 0: no fiber has grown.
  std::size_t deepest() const noexcept { return deepest_.load(std::memory_order_relaxed); }
  bool holds(const char* p) noexcept {
    return std::any_of(pools_.begin(), pools_.end(), [p](stack_pool& s) { return s.holds(p); });
  }

 private:
  template <std::size_t... C>
  static std::array<stack_pool, growth_classes> make(std::index_sequence<C...>) noexcept {
    return {stack_pool(growth_size(C), stack_pool::growing{growth_reserve, C + 1})...};
  }
  atomic<std::size_t> deepest_{0};
  std::array<stack_pool, growth_classes> pools_ = make(std::make_index_sequence<growth_classes>());
};

/// Whether code compiled with -fsplit-stack is safe in this program: its linker has raised the headroom of functions
/// that call foreign code.
bool linker_raises_headroom() noexcept;

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
inline void set_stack_limit(char*) noexcept {}
inline atomic<std::uintptr_t>* this_limit_slot() noexcept { return nullptr; }
#else
/// What the prologues of the calling thread compare with from now on.
inline void set_stack_limit(char* limit) noexcept { asm volatile("movq %0, %%fs:0x70" : : "r"(limit) : "memory"); }
inline atomic<std::uintptr_t>* this_limit_slot() noexcept {
  return reinterpret_cast<atomic<std::uintptr_t>*>(static_cast<char*>(__builtin_thread_pointer()) + 0x70);
}
#endif

}  // namespace heddle::detail
