// SPDX-License-Identifier: BSL-1.0
//
// Cycles of counted objects that nothing else points to: found by trial deletion.
//
// Each object that has lost a reference and lives is a candidate: if a cycle has become garbage, the last reference
// from outside was such a loss. Or it was moved into the cycle: then no count has fallen, so an object is a candidate,
// too, when a pointer to it moves into another one. A search begins at the candidates, goes through all that they lead
// to, and subtracts from each object's count the pointers that it has met. The rest is pointers from outside: those
// objects live, and so does all that they lead to. The rest is garbage.
//
// All threads are kept out of counting meanwhile, so counts and pointers stay as they are. A thread may be between two
// such calls: then its reference is counted, but in no object, so it counts as one from outside. That errs on the safe
// side. Counts are copied to a table and the objects' own stay as they are, so a search without memory does no harm.
//
// Source: D. Bacon, V. Rajan, "Concurrent Cycle Collection in Reference Counted Systems", ECOOP 2001, the synchronous
// algorithm.
#pragma once

#include <cstddef>
#include <cstdint>

#include "count/ledger.hpp"

namespace heddle::gc::detail {

struct search_figures {
  std::uint64_t searches = 0;
  std::uint64_t visited = 0;                  ///< objects gone through
  std::uint64_t found = 0;                    ///< objects that were garbage
  std::uint64_t forgotten = 0;                ///< candidates given up because there was no memory
  heddle::detail::nanoseconds_t longest = 0;  ///< that threads were kept out
  std::uint64_t candidates = 0;               ///< that wait for the next search
};

class search {
 public:
  constexpr search() noexcept = default;

  /// With so many candidates in a ledger it is time for a search.
  std::size_t wanted() const noexcept { return wanted_.load(std::memory_order_relaxed); }
  /// A ledger has as many. Called outside of all functions of the collector. Never blocks for long, unless the caller's
  /// ledger is full: then it searches itself, and leaves what it finds to the background.
  void heed_candidates() noexcept;

  /// Searches, and condemns what it finds: nobody else has it any more. False: no memory; nothing has been found. From
  /// any thread that is in no function of the collector, one after the other.
  bool run(header_list& found) noexcept;
  /// Destroys what run() has found. Objects find no pointers to others of the same garbage.
  static void destroy(header_list& found) noexcept;

  /// For what runs in the background: does a part of what is due; false: nothing is.
  bool run_one() noexcept;
  bool is_due() noexcept;
  /// `wake` is called when something is due.
  void set_background(void (*wake)() noexcept) noexcept { wake_.store(wake, std::memory_order_relaxed); }

  search_figures figures() noexcept;

 private:
  bool take_found(header_list& to) noexcept;
  void pace(std::size_t visited, std::size_t found) noexcept;

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr std::size_t least_wanted = 2;
#else
  static constexpr std::size_t least_wanted = 1024;
#endif

  atomic<std::size_t> wanted_{least_wanted};
  atomic<void (*)() noexcept> wake_{nullptr};
  atomic<bool> due_{false};
  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::lists};
  header_list found_ HEDDLE_GUARDED_BY(lock_);  // condemned, not destroyed yet
  search_figures figures_;                      // while all threads are stopped
};

extern constinit search the_search;

/// The header of the object that p points into, if it is counted, has been constructed and is not being destroyed.
/// p may be anything, but nobody frees the object meanwhile.
count_header* living_header_around(const void* p) noexcept;

}  // namespace heddle::gc::detail
