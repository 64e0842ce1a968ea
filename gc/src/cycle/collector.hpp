// SPDX-License-Identifier: BSL-1.0
//
// The cycle, and the thread that goes through it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cycle/requests.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "pace/pacer.hpp"
#include "reclaim/endings.hpp"
#include "reclaim/weak_cells.hpp"

namespace heddle::gc::detail {

/// The figures of a cycle. Times in nanoseconds.
struct cycle_figures {
  std::uint64_t number = 0;
  heddle::detail::nanoseconds_t began = 0;
  heddle::detail::nanoseconds_t roots = 0;   ///< arming mutators, and their stacks, globals and such
  heddle::detail::nanoseconds_t mark = 0;    ///< until the first time that nothing was left
  heddle::detail::nanoseconds_t finish = 0;  ///< until mutators were disarmed
  heddle::detail::nanoseconds_t sweep = 0;
  unsigned rounds = 0;                    ///< of emptying the mutators' buffers
  heddle::detail::nanoseconds_t cpu = 0;  ///< time of the processor until the marks were final
  std::size_t marked = 0;
  std::size_t live = 0;
  std::size_t passed_over = 0;  ///< fibers whose stacks were not read
  bool young = false;
};

/// Of all cycles.
struct cycle_totals {
  std::uint64_t young = 0;                     ///< how many were
  std::size_t live = 0;                        ///< after the last one
  heddle::detail::nanoseconds_t mark_cpu = 0;  ///< of the collector's thread, from the first root on
  std::uint64_t passed_over = 0;               ///< fibers whose stacks a young one has not read
};

/// The phases of a cycle, in this order:
/// 1. All of the last cycle has been swept.
/// 2. Mutators are armed, one after the other; their blocks at hand become black. From then on stores are told of.
/// 3. Roots are visited: registered ones, globals, thread-locals, stacks. Until all stacks have been scanned new values
///    are told of, too; from then on only those that are overwritten.
/// 4. The marker goes through all that waits. Then it empties the mutators' buffers and goes through them, until a
/// round
///    finds nothing that was not marked. The last round is held while no thread may look at weak cells.
/// 5. Weak cells are cleared, dead objects are queued for their destructors.
/// 6. Mutators are disarmed, their spans become unswept.
/// 7. Spans are swept by the collector, and by the threads that allocate.
///
/// With generations marks stay when spans are swept: a marked object is old. A whole cycle clears them first. A young
/// one does not; after the roots it looks at those pieces of old objects into which something has been stored, and
/// in 7 only at spans that threads have taken blocks of.
///
/// Source: Go's phases; the handshakes one by one are those of Fil-C's collector.
class collector {
 public:
  constexpr collector() noexcept : marker_() {}
  ~collector() {}  // NOLINT: not the marker's: its thread works while the process ends

  /// Makes the thread, if there is none.
  void start() noexcept;
  /// A cycle is due. From any thread; never blocks.
  void request() noexcept { requests_.request(); }
  /// Returns after a whole cycle that has begun after the call has ended. Blocks the fiber, or the plain thread.
  void collect() noexcept;
  /// The same with a young cycle, if there are generations and nobody asks for a whole one meanwhile.
  void collect_young() noexcept;
  /// A cycle that begins after the call is a whole one; or a young one, if there are generations and nobody asks for a
  /// whole one.
  void whole_next() noexcept {
    asked_.fetch_or(asks_whole, std::memory_order_seq_cst);  // seq_cst: as look_next(); see is_to_be_young()
  }
  void young_next() noexcept {
    notes_always_.store(true, std::memory_order_relaxed);
    asked_.fetch_or(asks_young, std::memory_order_seq_cst);  // seq_cst: as whole_next()
  }
  /// From the next cycle on there are generations, or none. Returns what was set before.
  bool set_generational(bool on) noexcept;
  bool is_generational() const noexcept;
  /// The same, and looks for fibers that wait for ever: the_leaks() has them afterwards. Another cycle if it has to.
  void collect_and_look() noexcept;
  /// A cycle that begins after the call looks.
  void look_next() noexcept {
    look_.store(true, std::memory_order_seq_cst);  // seq_cst: before the look at a cycle's number; see is_to_look()
  }
  /// The same as collect(); in `t` stands afterwards how objects have been reached.
  void collect_with(trail& t) noexcept;
  /// Too much has been allocated: returns when the cycle that is under way, or one that is due, has ended. Blocks the
  /// same.
  void wait_while_overdrawn() noexcept;

  /// One cycle, on the calling thread: the collector's. One at a time.
  void cycle() noexcept;

  /// A helper has marked so many objects.
  void note_help(std::size_t marked) noexcept { helped_.fetch_add(marked, std::memory_order_relaxed); }

  std::uint64_t cycles() const noexcept { return requests_.ended(); }
  cycle_figures last() noexcept;
  cycle_totals totals() noexcept;
  /// Held by the collector's thread during a cycle: for fork.
  heddle::detail::thread_mutex& cycle_lock() noexcept { return cycle_lock_; }
  /// In a child: there is no thread, and nobody waits.
  void after_fork_in_child() noexcept;

 private:
  friend class leak_search;

  static void main(void* self) noexcept;
  bool ensure_thread() noexcept;
  void wait_until(std::uint64_t cycle) noexcept;
  void look_at_old() noexcept;
  bool is_to_be_young(bool generational, const trail* t) noexcept;
  /// `rests`: in slices, if the processors are busy.
  void sweep_all(bool rests) noexcept;
  bool empty_buffers(std::uint8_t armed) noexcept;
  std::size_t marked() const noexcept { return marker_.marked() + helped_.load(std::memory_order_relaxed); }
  void go_through_all() noexcept;
  bool mark_a_slice() noexcept;
  bool is_to_rest() noexcept;
  void rest() noexcept;
  void mark_all(cycle_figures& c) noexcept;
  bool is_to_look(bool young) noexcept;
  void reach_all() noexcept;
  void check(const cycle_figures& c) noexcept;
  void report(const cycle_figures& c) noexcept;

  heddle::detail::thread_mutex cycle_lock_{heddle::detail::lock_rank::cycle};
  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::primitive};
  bool has_thread_ HEDDLE_GUARDED_BY(lock_) = false;
  heddle::detail::platform::thread thread_ HEDDLE_GUARDED_BY(lock_);
  cycle_figures last_ HEDDLE_GUARDED_BY(lock_);
  cycle_totals totals_ HEDDLE_GUARDED_BY(lock_);
  cycle_requests requests_;
  atomic<trail*> trail_{nullptr};
  atomic<bool> look_{false};       // the next cycle looks for leaks
  atomic<std::size_t> helped_{0};  // objects marked by helpers in this cycle
  static constexpr std::uint8_t asks_whole = 1, asks_young = 2;
  atomic<std::uint8_t> asked_{0};  // what kinds the next cycle is asked to be of
  enum class mode : std::uint8_t { by_options, mark_sweep, generational };
  atomic<mode> mode_{mode::by_options};
  bool is_young_ = false;             // the present cycle, or the last one
  bool marks_stay_ = false;           // those of the last cycle
  bool stores_are_noted_ = false;     // since the last cycle
  atomic<bool> notes_always_{false};  // somebody asks for young cycles: stores are noted though none is due
  union {
    marker marker_;  // never destroyed
  };
};

extern constinit collector& the_collector;

}  // namespace heddle::gc::detail
