// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "heddle/detail/thread_mutex.hpp"
#include "timer_buckets.hpp"

namespace heddle::detail {

/// A processor's timers: a four-ary heap by deadline, and of many those that lie ahead in buckets. Anyone may add,
/// remove and expire, under its lock.
///
/// 1. Four children are one cache line.
/// 2. `heap_[t->index]` is the entry of t, for each timer in it that others may remove. Of a sleep the timer itself is
///    not touched again.
/// 3. `next_` is the earliest deadline, written under the lock, read by anyone: by the owner at each switch, by
///    thieves, and by the machine that sleeps until the earliest of all.
/// 4. A timer that comes when the heap has `many` goes to a bucket, if there is one for its deadline. While a bucket
///    has one, the heap is not empty, and its first deadline comes before all of those: so it is the earliest of all.
class timer_heap {
 public:
  using entry = timer_entry;

  /// Adds `t`. O(log n), O(1) of many that are due within two seconds. Ends the process if there is no memory for 16
  /// more bytes.
  void add(timer& t) noexcept;
  /// Removes `t`; false if it has already been taken out. O(log n).
  bool remove(timer& t) noexcept;
  /// Takes the earliest timers out whose deadlines are not after `now`, at most n; returns how many sleepers are to be
  /// woken, or alarms to ring. A timer whose wait has ended otherwise is taken out and not touched again.
  std::size_t expire(nanoseconds_t now, entry* due, std::size_t n) noexcept;
  /// The earliest deadline, or no_deadline.
  nanoseconds_t next() const noexcept {
    // seq_cst: so that a machine going idle looks here after it has counted itself idle; other half in publish().
    return next_.load(std::memory_order_seq_cst);
  }
  /// The same for the owner, who only has to see its own.
  nanoseconds_t next_hint() const noexcept { return next_.load(std::memory_order_relaxed); }
  /// The latest deadline of a timer that nothing but the time ends, 0 if there is none. O(n).
  nanoseconds_t last_sleep() noexcept;
  /// Whether there are others than alarms. O(alarms).
  bool has_sleepers() noexcept;
  std::size_t size() noexcept {
    const thread_lock hold(lock_);
    return heap_.size() + ahead_.size();
  }

 private:
  static constexpr std::size_t arity = 4;
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr std::size_t many = 1;
#else
  static constexpr std::size_t many = 1024;  // what stays near the processor
#endif
  /// Entry 0 lies so that the children of each, four entries, begin a cache line.
  class heap_array {
   public:
    heap_array() noexcept = default;
    heap_array(const heap_array&) = delete;
    heap_array& operator=(const heap_array&) = delete;
    ~heap_array();
    entry& operator[](std::size_t i) noexcept { return first_[i]; }
    entry& front() noexcept { return *first_; }
    entry& back() noexcept { return first_[size_ - 1]; }
    entry* begin() noexcept { return first_; }
    entry* end() noexcept { return first_ + size_; }
    std::size_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }
    void push_back(entry e);
    void pop_back() noexcept { --size_; }

   private:
    static constexpr std::size_t before_first = arity - 1;
    entry* memory_ = nullptr;
    entry* first_ = nullptr;
    std::size_t size_ = 0;
    std::size_t room_ = 0;
  };

  void place(std::size_t i, entry e) noexcept HEDDLE_REQUIRES(lock_) {
    heap_[i] = e;
    if (!e.is_sleep()) e.get().index = i;
  }
  std::size_t sift_up(std::size_t i) noexcept HEDDLE_REQUIRES(lock_);
  std::size_t sift_down(std::size_t i) noexcept HEDDLE_REQUIRES(lock_);
  void push(entry e) noexcept HEDDLE_REQUIRES(lock_) {
    heap_.push_back(e);
    sift_up(heap_.size() - 1);
  }
  void take_out(std::size_t i) noexcept HEDDLE_REQUIRES(lock_);
  bool goes_ahead(const timer& t) noexcept HEDDLE_REQUIRES(lock_);
  void publish() noexcept HEDDLE_REQUIRES(lock_) {
    // seq_cst: so that the looks at idle machines that follow come after it; other half in next().
    next_.store(heap_.empty() ? no_deadline : heap_.front().deadline, std::memory_order_seq_cst);
  }

  thread_mutex lock_{lock_rank::pool};
  heap_array heap_ HEDDLE_GUARDED_BY(lock_);
  timer_buckets ahead_ HEDDLE_GUARDED_BY(lock_);
  atomic<nanoseconds_t> next_{no_deadline};
};

}  // namespace heddle::detail
