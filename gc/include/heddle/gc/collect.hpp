// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "heddle/detail/config.hpp"
#include "heddle/gc/detail/wait_cause.hpp"

namespace heddle::gc {

/// Collects now: a whole cycle that begins after the call. When it returns, every object that nothing pointed to at the
/// time of the call has been found dead: weak references to it give null, its destructor is queued, and if it has none
/// its memory is free. It does not wait for destructors and cleanups to run.
///
/// The cycle looks for fibers that wait for ever (leaked_fibers.hpp). If it finds one that was not found before,
/// another cycle follows, to be sure.
///
/// An address left on a stack or in a register by something that is over counts as a pointer: a test that expects an
/// object to be dead makes it in a function of its own.
///
/// Blocks the calling fiber (not its processor) or thread; others run on. Calls at the same time share a cycle. O(live
/// objects). From fibers, plain threads, destructors and cleanups; not from signal handlers.
HEDDLE_EXPORT void collect();

/// With set_generational(true), or HEDDLE_GC=mode=generational: collects by a young cycle that begins after the call.
/// Objects that were made since the last cycle and that nothing points to any more have been found dead when it
/// returns, as collect() says. An object that has lived through a cycle is old: it stays until a whole cycle, and what
/// it points to stays with it. Without generations, and if somebody asks for a whole cycle at the same time, the cycle
/// is a whole one; so may be the first that is asked for. No young cycle looks for fibers that wait for ever.
///
/// Blocks the calling fiber or thread; others run on. O(stacks and other roots + what is new and alive + pieces of old
/// objects that have been stored into + pages of the heap). Of parked fibers on stacks that lie close together only
/// those count in full that have run since the last cycles, or whose stacks others have written into. May be called
/// where collect() may.
HEDDLE_EXPORT void collect_young();

/// Whether the collector makes young cycles, which look only at what was made since the last cycle, and whole ones
/// between them when what the young ones have left has used up half of the room that set_percent() gives; fewer young
/// ones if more than a third of what is new lives on. collect() is always whole. Off by default: HEDDLE_GC=mode=...
/// says it for a process. From the next cycle on; the one after that is the first that may be young.
///
/// A store by a gc::ptr then costs about a nanosecond more while a young cycle is to come: it writes a byte for the 2
/// KiB of memory that it stores into. For programs that make many objects of which few live long, beside many that do.
///
/// Without 32 MiB of address space it stays off, and stderr says so. Returns the value from before. O(1). From fibers
/// and plain threads.
HEDDLE_EXPORT bool set_generational(bool on) noexcept;

/// The heap of the collector, as statistics_values::heap_bytes has it, is to stay within `bytes`. 0: no limit, which is
/// the default. The goal of a cycle is not beyond the limit; but after each cycle a sixteenth of the limit may be
/// allocated, so that a program at its limit goes on. From the end of the next cycle on.
///
/// A fiber or thread that finds the heap beyond the limit when a cycle is due waits for a cycle. Small objects are made
/// even if the heap is beyond it then. An object that is larger than the limit leaves room for until the next cycle
/// meets std::bad_alloc, after two cycles.
///
/// Returns the value from before. O(1). From fibers and plain threads.
HEDDLE_EXPORT std::size_t set_limit(std::size_t bytes) noexcept;

/// A cycle is to begin so that it ends when the heap has grown by `percent` of the bytes that the last one has found
/// alive (objects made during it not counted), and by 16 MiB at least. 100 is the default: about twice the live
/// objects. Less: less memory, more work. More than 10,000 counts as 10,000; 0: cycles only by collect() and the limit.
/// From the end of the next cycle on.
///
/// A fiber or thread that allocates while a cycle is behind helps to mark, some tens of microseconds at a time. When
/// a quarter more has been allocated than there was room for, it marks as long as there is something to mark, and then
/// waits for the end of the cycle.
///
/// Returns the value from before. O(1). From fibers and plain threads.
HEDDLE_EXPORT unsigned set_percent(unsigned percent) noexcept;

/// Waits of fibers and threads for the collector, for one cause.
struct wait_values {
  static constexpr std::size_t classes = 40;

  /// counts[i] is how many took from 2^i to 2^(i+1) - 1 nanoseconds; counts[0] has those of 0, too, the last one all
  /// that were longer.
  std::array<std::uint64_t, classes> counts{};
  std::uint64_t sum_ns = 0;  ///< of all of them
};

/// Numbers of the collector and its heap, since the start of the process unless they say otherwise. Bytes are those of
/// whole blocks, which may be larger than their objects.
struct statistics_values {
  std::uint64_t cycles = 0;           ///< that are over
  std::uint64_t young_cycles = 0;     ///< of them
  std::uint64_t promoted_bytes = 0;   ///< of objects that young cycles have made old
  std::uint64_t live_bytes = 0;       ///< of objects that the last cycle found alive, or that were made during it
  std::uint64_t goal_bytes = 0;       ///< live_bytes, and as much as may be allocated until the next cycle is over
  std::uint64_t heap_bytes = 0;       ///< now: of all spans, the free blocks in them included
  std::uint64_t allocated_bytes = 0;  ///< of all objects ever made, and up to 64 blocks of a type a thread ahead
  std::uint64_t mark_cpu_ns = 0;      ///< of the collector's thread, from the start of cycles until marks were final

  /// Of parked fibers, each once a young cycle: their stacks were not read, since they stood still from the cycle
  /// before on, and nobody had written there.
  std::uint64_t fibers_passed_over = 0;

  std::array<wait_values, wait_causes> waits{};  ///< by wait_cause

  const wait_values& waits_for(wait_cause c) const noexcept { return waits[static_cast<std::size_t>(c)]; }

  std::uint64_t destructors_run = 0;     ///< an array counts once
  std::uint64_t destructors_queued = 0;  ///< now: of objects found dead, without the one that runs
  std::uint64_t cleanups_run = 0;
  std::uint64_t cleanups_queued = 0;  ///< now
};

/// A copy of the numbers, each as it is at some time during the call. A thread's allocations count when they have come
/// to 32 KiB, and at each cycle. O(destructors and cleanups that are queued). From fibers and plain threads.
HEDDLE_EXPORT statistics_values statistics() noexcept;

/// Why the object that p points into is alive: the way by which the collector reached it first. The first line names
/// the kind of root; a line with type and address follows for each object from there, this one the last. "dead, ..." if
/// it was not reached; "no object" if p points into none. For people; its form may change.
///
/// An address of the object on a stack is a root, and the caller's own hides any longer way.
///
/// For debugging. Blocks the calling fiber or thread for three cycles, and while others ask; others run on. It takes 48
/// to 96 bytes of memory for each live object. O(live objects). Throws std::bad_alloc. From fibers and plain
/// threads.
HEDDLE_EXPORT std::string explain(const void* p);

}  // namespace heddle::gc
