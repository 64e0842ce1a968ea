// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "heddle/detail/config.hpp"

namespace heddle::gc {

/// Collects now: a whole cycle that begins after the call. When it returns, every object that nothing pointed to at the
/// time of the call has been found dead: weak references to it give null, its destructor is queued, memory without one
/// is free or will be before anything is allocated from it. It does not wait for destructors and cleanups to run.
///
/// An address left on a stack or in a register by something that is over counts as a pointer: a test that expects an
/// object to be dead makes it in a function of its own.
///
/// Blocks the calling fiber (not its processor) or thread; others run on. Calls at the same time share a cycle. O(live
/// objects). From fibers, plain threads, destructors and cleanups; not from signal handlers.
HEDDLE_EXPORT void collect();

/// The heap of the collector is to stay within `bytes`: cycles begin sooner as it comes near, up to half of the
/// processors' time. 0: no limit, which is the default. It is a soft limit: when the live objects alone are more,
/// allocation goes on until the kernel has no more. Returns what was set before. O(1). From fibers and plain threads.
HEDDLE_EXPORT std::size_t set_limit(std::size_t bytes) noexcept;

/// A cycle is to begin so that it ends when the heap has grown by `percent` of what was live after the last one. 100 is
/// the default: about twice the live objects. Less: less memory, more work. At most 10,000; 0: cycles only by collect()
/// and the limit. Returns what was set before. O(1). From fibers and plain threads.
HEDDLE_EXPORT unsigned set_percent(unsigned percent) noexcept;

/// What the collector has done, and what there is. Numbers since the start of the process, unless they say otherwise.
struct statistics_values {
  static constexpr std::size_t wait_classes = 40;

  std::uint64_t cycles = 0;           ///< that are over
  std::uint64_t live_bytes = 0;       ///< of the objects that the last cycle found
  std::uint64_t goal_bytes = 0;       ///< heap_bytes at which the present or next cycle is to be over
  std::uint64_t heap_bytes = 0;       ///< now: of objects, living and not found dead yet
  std::uint64_t allocated_bytes = 0;  ///< of all objects ever made
  std::uint64_t mark_cpu_ns = 0;      ///< time of processors spent on marking

  /// Waits of fibers and threads for the collector (answering it, marking for it, being scanned): waits[i] is how many
  /// took from 2^i to 2^(i+1) - 1 nanoseconds; waits[0] has those of 0, too.
  std::array<std::uint64_t, wait_classes> waits{};

  std::uint64_t destructors_run = 0;
  std::uint64_t destructors_queued = 0;  ///< now: of objects found dead
  std::uint64_t cleanups_run = 0;
  std::uint64_t cleanups_queued = 0;  ///< now
};

/// A copy of the numbers. Those of other threads may be some allocations old. O(threads). From fibers and plain
/// threads.
HEDDLE_EXPORT statistics_values statistics() noexcept;

/// Why the object that p points into is alive: a path from a root to it, a line for each object on the way, with type
/// and offset, the root first. "dead" if there is none; "no object" if p points into none. For people; its form may
/// change.
///
/// Marks everything again with all others stopped: for debugging. O(live objects). Throws std::bad_alloc.
HEDDLE_EXPORT std::string explain(const void* p);

}  // namespace heddle::gc
