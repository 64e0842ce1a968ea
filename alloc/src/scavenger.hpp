// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"
#include "heddle/detail/size_class.hpp"
#include "page_allocator.hpp"
#include "scavenger_thread.hpp"
#include "span.hpp"
#include "step_pace.hpp"

namespace heddle::detail {

class mcentral;

/// Gives memory back to the kernel that nobody has asked for in a while: free pages of the heap, and free pages inside
/// of spans that nobody owns. When there is enough of it, memory *waits*, and goes back in rounds, four to a pace.
/// A round is done in steps. Threads do them that allocate or free and come to the end of the short paths; or, where
/// the program has threads of its own, a thread made for it (scavenger_thread). When some rounds have found nothing to
/// do, nothing waits any more: a program that does not free much pays for none of it.
///
/// One thread at a time steps (`stepping_`). It holds no lock of the allocator's when a step begins. Others go on.
///
/// Source: jemalloc's decay and Go's background scavenger; scudo for pages inside of what is in use.
class scavenger {
 public:
  /// Below so many bytes it is not worth the trouble.
  static constexpr std::size_t worthwhile = std::size_t{8} << 20;
  /// Memory that has been free for four rounds is given back.
  static constexpr std::uint32_t rounds_per_pace = 4;

  constexpr scavenger() noexcept = default;

  /// Says how many bytes of free pages have memory. Any thread; two loads and a compare.
  void notice_idle(std::size_t bytes) noexcept {
    if (bytes > worthwhile && !(waits() && has_noticed())) notice();
  }
  /// A span that is mostly free has been given up, or taken again.
  void notice_sparse(std::size_t bytes) noexcept;
  void notice_dense(std::size_t bytes) noexcept { sparse_.fetch_sub(bytes, std::memory_order_relaxed); }

  /// Whether memory waits to be given back.
  bool waits() const noexcept { return waits_.load(std::memory_order_relaxed); }
  /// Whether more memory has been noticed since the last round began.
  bool has_noticed() const noexcept { return noticed_.load(std::memory_order_relaxed); }
  /// Whether calls of the program have to give it back.
  bool waits_for_calls() const noexcept { return waits() && !the_scavenger_thread.exists(); }
  /// Whether the program did not call for a while before it did now: then each call may be the only one for long.
  bool is_at_rest() const noexcept { return pace_.was_at_rest(); }
  /// Does a step if one is due, or starts the thread. Called where no lock is held. `caller`: the code that frees, or
  /// null if it allocates. errno stays as it was.
  void poll(const void* caller) noexcept {
    if (waits_for_calls()) [[unlikely]]
      attend(caller);
  }
  /// The body of the thread with this number.
  void work_in_background(std::uint32_t number) noexcept;

  /// Gives back all that can be, at once. Returns how many bytes.
  std::size_t release_all() noexcept;
  /// Looks at each span of a class that nobody owns and that has been left alone since the last round, or at all.
  /// Returns how many bytes it has given back.
  std::size_t tidy_spans(mcentral& central, bool all) noexcept;
  /// One step: begins a round if none is under way, which counts for `rounds` of them, and goes on with it until it has
  /// cost `most` (see step_pace), in parts of some 70 us. True: the round is over. False also if another thread steps.
  bool step(std::uint32_t rounds, nanoseconds_t most) noexcept;
  /// The number of the round.
  std::uint32_t round() const noexcept { return round_.load(std::memory_order_relaxed); }

  /// Called in the child of a fork. The calling thread may still be in the middle of a step, if it forks in a signal's
  /// handler; no other thread is.
  void forked() noexcept;

 private:
  /// The parts of a round, in this order.
  enum class part : std::uint8_t {
    none,    ///< no round is under way
    kept,    ///< spans that the mheap keeps become free pages, freed in the round before
    caches,  ///< of threads that have ended: blocks that others have freed since
    pages,   ///< that are free
    spans,   ///< that nobody owns; if it takes long, the next round begins meanwhile, and goes on with those
  };

  static const void* this_thread() noexcept;
  void notice() noexcept;
  void attend(const void* caller) noexcept;
  void begin_waiting(nanoseconds_t now) noexcept;
  bool try_to_step() noexcept;
  void wait_to_step() noexcept;
  void stop_stepping() noexcept;

  // For the thread that steps. Parts of a round return their cost.
  bool go_on(nanoseconds_t now, nanoseconds_t most) noexcept;
  nanoseconds_t do_part() noexcept;
  void begin_round(std::uint32_t rounds) noexcept;
  void end_round() noexcept;
  nanoseconds_t drop_kept() noexcept;
  nanoseconds_t reclaim_one() noexcept;
  nanoseconds_t tidy_next() noexcept;
  nanoseconds_t release_some() noexcept;
  bool tidy_one(mcentral& central, bool all, std::size_t& released) noexcept;

  atomic<bool> waits_{false};
  atomic<bool> noticed_{false};  ///< since the last round began
  atomic<std::uint32_t> round_{0};
  atomic<std::size_t> sparse_{0};   ///< bytes of spans that nobody owns
  atomic<std::size_t> settled_{0};  ///< the same, when all had been done that could be
  step_pace pace_;

  atomic<const void*> stepping_{nullptr};  ///< a mark of the thread that steps, and alone uses what follows
  atomic<std::uint32_t> never_changes_{0};
  bool resting_ = true;  ///< nothing has waited until now
  bool more_ = false;    ///< memory was noticed in the round before
  in_turns<part> part_{part::none};
  std::uint32_t rounds_ = 0;       ///< for how many this one counts
  std::uint32_t idle_rounds_ = 0;  ///< since one in which something was to be done
  page_walk along_;                ///< where free pages are looked for
  std::size_t bytes_left_ = 0;     ///< to be given back of them in this round
  std::size_t class_ = 0;          ///< whose spans are looked at, and those of lower ones after that
  std::size_t spans_left_ = 0;     ///< of that class
  std::size_t released_ = 0;       ///< in this round
  nanoseconds_t round_at_ = 0;     ///< when it was due
};

extern scavenger the_scavenger;

/// Gives back the pages in which no block is in use, of a span that the caller alone has. Returns how many bytes.
std::size_t tidy(span& s) noexcept;

}  // namespace heddle::detail
