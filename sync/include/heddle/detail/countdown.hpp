// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::detail {

struct countdown_waits;

/// A count, and those who wait until it is zero: what wait_group, latch and future are made of.
///
/// Invariants:
/// 1. `waiting` is set exactly while the queue is not empty, and changes under lock_ only.
/// 2. The step that makes the count zero clears `waiting` in the same atomic operation, under lock_ if it was set; so
///    a count of zero never has waiters.
/// 3. Who makes the count zero touches the object afterwards only to unlock, and only if it has taken somebody out of
///    the queue, who still is inside a wait. So it may go as soon as all waits have returned.
/// 4. A waiter that gives up takes itself out, and `waiting` with it if it was the last; unless the count reached zero
///    before: then it has been taken out, and the wait has succeeded after all.
///
/// Source: Go's sync.WaitGroup, whose one-word state it has; the queue instead of Go's semaphore makes early
/// reuse and early destruction safe.
class countdown {
 public:
  /// How messages call the object and its operations.
  struct words {
    const char* kind;
    const char* add;
    const char* done;
    const char* remedy;  ///< for a count below zero
    /// For reports: the end of a wait in words, and how far within the object that users see the countdown lies.
    const char* until;
    std::size_t offset = 0;
  };

  constexpr explicit countdown(std::uint32_t count) noexcept : state_(count) {}
  countdown(const countdown&) = delete;
  countdown& operator=(const countdown&) = delete;

  bool is_zero() const noexcept {
    // acquire: so that what was done before done() is seen; the release half is in done().
    return (state_.load(std::memory_order_acquire) & count_mask) == 0;
  }
  /// For destructors.
  bool has_waiters() const noexcept { return (state_.load(std::memory_order_relaxed) & waiting) != 0; }

  void add(std::uint32_t n, const words& w) noexcept {
    // relaxed: adding publishes nothing; the count itself is read by read-modify-writes.
    const std::uint64_t before = state_.fetch_add(n, std::memory_order_relaxed);
    if (((before & count_mask) + n) > count_mask) [[unlikely]]
      overflow(before & count_mask, n, w);
  }
  void done(std::uint32_t n, const words& w) noexcept {
    std::uint64_t state = state_.load(std::memory_order_relaxed);
    do {
      if (is_last(state, n)) [[unlikely]]
        return done_last(n, w);
      // release: so that what was done before is seen after wait(); acquire: so that the last one passes on what
      // the others did, when it wakes the waiters. The acquire half is in wait(), the release half here.
    } while (!state_.compare_exchange_weak(state, state - n, std::memory_order_acq_rel, std::memory_order_relaxed));
  }
  void wait(const words& w) noexcept {
    if (is_zero()) return;
    waiter self;
    wait_slow(self, w);
  }
  /// False: the bounds have ended the wait.
  bool wait(const wait_bounds& bounds, const words& w) {
    if (is_zero()) return true;
    if (over(bounds)) return false;
    bounded_waiter self(bounds);
    return wait_slow(self, w);
  }

 private:
  /// The state word: bits 0-31 the count, written by add() and done(); bit 63 `waiting`.
  static constexpr std::uint64_t count_mask = 0xffff'ffff;
  static constexpr std::uint64_t waiting = std::uint64_t{1} << 63;

  /// True when taking n off needs more than a subtraction: waiters to wake, or an error.
  static bool is_last(std::uint64_t state, std::uint32_t n) noexcept {
    const std::uint64_t count = state & count_mask;
    return count < n || (count == n && (state & waiting));
  }

  HEDDLE_EXPORT void done_last(std::uint32_t n, const words& w) noexcept;
  friend struct countdown_waits;  // for reports
  HEDDLE_EXPORT void wait_slow(waiter& self, const words& w) noexcept;
  HEDDLE_EXPORT bool wait_slow(bounded_waiter& self, const words& w) noexcept;
  bool leave(waiter& self) noexcept;
  bool announce() noexcept;
  static void unlock(void* self) noexcept;
  [[noreturn]] void below_zero(std::uint64_t count, std::uint32_t n, const words& w) const noexcept;
  [[noreturn]] HEDDLE_EXPORT void overflow(std::uint64_t count, std::uint32_t n, const words& w) const noexcept;

  atomic<std::uint64_t> state_;
  thread_mutex lock_;
  fifo<waiter> queue_ HEDDLE_GUARDED_BY(lock_);
};

}  // namespace heddle::detail
