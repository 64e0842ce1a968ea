// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <vector>

#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/timer.hpp"

namespace heddle::detail {

/// A processor's timers: a four-ary heap by deadline. Anyone may add, remove and expire, under its lock.
///
/// 1. `heap_[t->index] == t` for each timer in it.
/// 2. `next_` is the earliest deadline, written under the lock, read by anyone: by the owner at each switch, by
///    thieves, and by the machine that sleeps until the earliest of all.
class timer_heap {
 public:
  /// Adds `t`. O(log n). Ends the process if there is no memory for 8 more bytes of heap.
  void add(timer& t) noexcept;
  /// Removes `t`; false if it has already been taken out. O(log n).
  bool remove(timer& t) noexcept;
  /// Takes the earliest timer whose deadline is not after `now` and whose sleeper is to be woken, or null. One whose
  /// wait has ended otherwise is taken out and not touched again.
  timer* expire(nanoseconds_t now) noexcept;
  /// The earliest deadline, or no_deadline.
  nanoseconds_t next() const noexcept {
    // seq_cst: so that a machine going idle looks here after it has counted itself idle; other half in publish().
    return next_.load(std::memory_order_seq_cst);
  }
  /// The same for the owner, who only has to see its own.
  nanoseconds_t next_hint() const noexcept { return next_.load(std::memory_order_relaxed); }
  /// The latest deadline of a timer that nothing but the time ends, 0 if there is none. O(n).
  nanoseconds_t last_sleep() noexcept;
  std::size_t size() noexcept {
    const thread_lock hold(lock_);
    return heap_.size();
  }

 private:
  static constexpr std::size_t arity = 4;
  void place(std::size_t i, timer* t) noexcept HEDDLE_REQUIRES(lock_) {
    heap_[i] = t;
    t->index = i;
  }
  void sift_up(std::size_t i) noexcept HEDDLE_REQUIRES(lock_);
  void sift_down(std::size_t i) noexcept HEDDLE_REQUIRES(lock_);
  void take_out(std::size_t i) noexcept HEDDLE_REQUIRES(lock_);
  void publish() noexcept HEDDLE_REQUIRES(lock_) {
    // seq_cst: so that the looks at idle machines that follow come after it; other half in next().
    next_.store(heap_.empty() ? no_deadline : heap_.front()->deadline, std::memory_order_seq_cst);
  }

  thread_mutex lock_{lock_rank::pool};
  std::vector<timer*> heap_ HEDDLE_GUARDED_BY(lock_);
  atomic<nanoseconds_t> next_{no_deadline};
};

}  // namespace heddle::detail
