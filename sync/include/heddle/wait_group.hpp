// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/config.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle {

/// Waits for a number of things to be done, by fibers or plain threads. wait() blocks the calling fiber only.
///
///     heddle::run([] {
///       heddle::wait_group batch;
///       for (int i = 0; i < 10; ++i) {
///         batch.add();
///         heddle::go([&] { work(); batch.done(); });
///       }
///       batch.wait();   // all ten are done; the group may be used again, or go out of scope
///     });
///
/// Unlike std::latch the count may grow while somebody waits, and the group can be used again at any time:
/// who waits is released when the count next reaches zero, and what is added after that concerns later
/// waits only. It may be destroyed as soon as wait() has returned to all who called it.
/// What was done before done() is seen after wait().
///
/// Invariants:
/// 1. `waiting` is set exactly while the queue is not empty, and changes under lock_ only.
/// 2. The step that makes the count zero clears `waiting` in the same atomic operation, under lock_ if it was set; so
///    a count of zero never has waiters, and nobody touches the group after it let the waiters go.
///
/// Source: Go's sync.WaitGroup, whose one-word state it has; the queue instead of Go's semaphore makes early
/// reuse and early destruction safe.
class wait_group {
 public:
  constexpr wait_group() noexcept = default;
  /// Starts with a count.
  constexpr explicit wait_group(std::uint32_t count) noexcept : state_(count) {}
  wait_group(const wait_group&) = delete;
  wait_group& operator=(const wait_group&) = delete;
  ~wait_group() {
    if (state_.load(std::memory_order_relaxed) & waiting) [[unlikely]]
      destroyed_in_use();
  }

  /// Announces n more things to be done. Call it before the work can call done(), not inside the work. Never
  /// blocks; O(1). A count above 2^32 - 1 ends the process with a message. From fibers and plain threads.
  void add(std::uint32_t n = 1) noexcept {
    // relaxed: adding publishes nothing; the count itself is read by read-modify-writes.
    const std::uint64_t before = state_.fetch_add(n, std::memory_order_relaxed);
    if (((before & count_mask) + n) > count_mask) [[unlikely]]
      overflow(before & count_mask, n);
  }

  /// Tells that n announced things are done; the last one wakes all who wait.
  /// Never blocks; O(1), and O(waiters) for the last. More than was added ends the process with a message.
  void done(std::uint32_t n = 1) noexcept {
    std::uint64_t state = state_.load(std::memory_order_relaxed);
    do {
      if (is_last(state, n)) [[unlikely]]
        return done_last(state, n);
      // release: so that what was done before is seen after wait(); acquire: so that the last one passes on what
      // the others did, when it wakes the waiters. The acquire half is in wait(), the release half here.
    } while (!state_.compare_exchange_weak(state, state - n, std::memory_order_acq_rel, std::memory_order_relaxed));
  }

  /// Blocks the fiber (or the plain thread) until the count is zero; returns at once if it is. Any number may
  /// wait. O(1) plus the wait; not cancellable.
  void wait() noexcept {
    // acquire: so that what was done before done() is seen; the release half is in done().
    if ((state_.load(std::memory_order_acquire) & count_mask) != 0) wait_slow();
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

  HEDDLE_EXPORT void done_last(std::uint64_t state, std::uint32_t n) noexcept;
  HEDDLE_EXPORT void wait_slow() noexcept;
  bool announce() noexcept;
  [[noreturn]] void below_zero(std::uint64_t count, std::uint32_t n) const noexcept;
  [[noreturn]] HEDDLE_EXPORT void overflow(std::uint64_t count, std::uint32_t n) const noexcept;
  [[noreturn]] HEDDLE_EXPORT void destroyed_in_use() const noexcept;

  detail::atomic<std::uint64_t> state_{0};
  detail::thread_mutex lock_;
  detail::fifo<detail::waiter> queue_ HEDDLE_GUARDED_BY(lock_);
};

}  // namespace heddle
