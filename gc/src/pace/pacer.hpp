// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "heddle/detail/platform.hpp"
#include "pace/generations.hpp"

namespace heddle::gc::detail {

struct options;

/// Decides when a cycle begins, and how much threads that allocate mark themselves. From any thread, unless it says
/// otherwise.
///
/// `live` are the objects that a cycle has found alive, and all that were made meanwhile. Then the heap may grow to the
/// goal: by `percent` of what the marker has found, at least by `floor`, and within the limit. A cycle begins so much
/// before the goal as its *runway* is long: the bytes that one thread allocates in the time that marking takes. So if
/// all threads that allocate must help, each marks for about half of its time. While the collector marks, as large a
/// part of what is expected should be marked as of the runway has been allocated. A thread that allocates while less is
/// helps.
///
/// With generations, young cycles lie between whole ones. Objects that they find alive are not looked at until the next
/// whole one: that uses up the room that there was after the last one. A young cycle may come before that room is used
/// up. It may find as much to mark as a whole one, and then it is not over in its own, short room: so threads that
/// allocate go on until the whole room is used, and help by that measure.
///
/// Source: the assists of Go's pacer before its control loop (proposal 44167 tells what that adds).
class pacer {
 public:
  static constexpr std::size_t floor = std::size_t{16} << 20;

  explicit pacer(const options& o) noexcept;

  /// 0: cycles only when they are asked for. Returns what was set before.
  std::size_t set_percent(std::size_t percent) noexcept {
    return percent_.exchange(percent, std::memory_order_relaxed);
  }
  std::size_t percent() const noexcept { return percent_.load(std::memory_order_relaxed); }
  /// 0: none.
  std::size_t set_limit(std::size_t bytes) noexcept { return limit_.exchange(bytes, std::memory_order_relaxed); }
  std::size_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }

  /// So many bytes have been allocated by a thread in so many nanoseconds. True: a cycle is due.
  bool note(std::size_t bytes, heddle::detail::nanoseconds_t took) noexcept {
    took_.fetch_add(static_cast<std::size_t>(took), std::memory_order_relaxed);
    allocated_.fetch_add(bytes, std::memory_order_relaxed);
    return is_due();
  }
  /// Whether a cycle is due. None is while one is under way.
  bool is_due() const noexcept {
    return allocated_.load(std::memory_order_relaxed) >= trigger_.load(std::memory_order_relaxed);
  }
  /// Whether a quarter more has been allocated since the last cycle than there was room for: allocation waits then.
  /// Where the cycle is a young one that comes early, the room is that of a whole one.
  bool overdrawn() const noexcept {
    return allocated_.load(std::memory_order_relaxed) >= most_.load(std::memory_order_relaxed);
  }
  /// How many bytes are to be marked until marking is in time again.
  std::size_t behind() const noexcept;
  /// So many bytes have been marked in so many nanoseconds.
  void note_marked(std::size_t bytes, heddle::detail::nanoseconds_t took) noexcept {
    marked_.fetch_add(bytes, std::memory_order_relaxed);
    mark_took_.fetch_add(static_cast<std::size_t>(took), std::memory_order_relaxed);
  }

  /// The collector's: a cycle begins.
  void begin_cycle(bool young) noexcept;
  /// The collector's: the marks of the cycle that has begun are final. `generational`: the next one may be young.
  void end_marking(bool generational) noexcept;
  /// The collector's: whether the next cycle should be.
  bool is_young_due() const noexcept { return next_is_young_; }
  /// Bytes that have become old in young cycles.
  std::size_t promoted_in_all() const noexcept { return promoted_in_all_.load(std::memory_order_relaxed); }

  std::size_t goal() const noexcept { return goal_.load(std::memory_order_relaxed); }
  std::size_t allocated_in_all() const noexcept {
    return before_.load(std::memory_order_relaxed) + allocated_.load(std::memory_order_relaxed);
  }

 private:
  template <class T>
  using atomic = heddle::detail::atomic<T>;
  /// The time and the bytes of one kind of cycle.
  struct costs {
    std::size_t marked = 0;  ///< bytes
    std::size_t took = 0;    ///< nanoseconds, by all threads that have marked them
  };
  std::size_t room_by_percent() const noexcept;
  std::size_t left_of_room() const noexcept;
  std::size_t within_limit(std::size_t room, std::size_t live) const noexcept;
  std::size_t plan_next(std::size_t marked, bool generational) noexcept;
  std::size_t runway(std::size_t room) const noexcept;

  atomic<std::size_t> percent_{100};
  atomic<std::size_t> limit_{0};
  atomic<std::size_t> goal_{floor};
  atomic<std::size_t> before_{0};     // allocated, in the cycles before the last one
  atomic<std::size_t> allocated_{0};  // since the last cycle
  atomic<std::size_t> took_{0};       // nanoseconds, by all threads that have allocated it
  atomic<std::size_t> trigger_{0};
  atomic<std::size_t> most_{0};

  atomic<std::size_t> marked_{0};     // bytes, in this cycle, or the last one
  atomic<std::size_t> mark_took_{0};  // nanoseconds, by all threads that have marked them
  atomic<std::size_t> expected_{0};   // bytes to mark in this cycle
  atomic<std::size_t> began_at_{0};   // allocated_ when it began
  atomic<std::size_t> runway_{1};     // bytes
  atomic<std::size_t> promoted_in_all_{0};

  // --- of the collector's thread ---
  costs last_whole_, last_young_;
  std::size_t old_ = 0;       // bytes that the last whole cycle has found
  std::size_t promoted_ = 0;  // bytes that young cycles have found since
  std::size_t new_ = 0;       // bytes that were new when the cycle began; after it, those that were made meanwhile
  bool is_young_ = false;     // the present cycle, or the last one
  bool next_is_young_ = false;
  generations generations_;
};

/// With what HEDDLE_GC says, when it is first asked for.
pacer& the_pacer() noexcept;

}  // namespace heddle::gc::detail
