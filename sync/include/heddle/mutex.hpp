// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/config.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle {

/// Mutual exclusion between fibers, plain threads, or both. lock() blocks the calling fiber only: its
/// processor goes on with other fibers.
///
///     heddle::mutex m;
///     long balance = 0;
///     heddle::run([&] {
///       for (int i = 0; i < 100; ++i) heddle::go([&] { std::lock_guard guard(m); balance += i; });
///     });
///
/// Meets Lockable, so std::lock_guard, unique_lock, scoped_lock and lock work with it. Unlike std::mutex:
/// - a fiber may lock it on one kernel thread and unlock it on another, as fibers do when they move;
/// - nobody starves: who has waited for a millisecond is given the lock, in the order of arrival;
/// - unlocking a mutex that is not locked, and destroying one that is locked or waited on, end the process
///   with a message that names the mutex.
/// Locking it twice from one fiber is a deadlock, as with std. It may be destroyed as soon as the last holder's
/// unlock() has let somebody else lock it, even before that unlock() has returned.
///
/// Invariants:
/// 1. `queued` is set exactly while the queue is not empty, and changes under queue_lock_ only.
/// 2. The queue gets shorter only by the holder of the mutex, in unlock(); so what it saw stays.
/// 3. While somebody is queued, either the mutex is locked, or `woken` says that one who will try is awake.
/// 4. In the mode `starving` the mutex goes from hand to hand without ever being free, first in first out.
///
/// Source: Go's sync.Mutex (normal and starvation mode), with the queue beside the state word as in WebKit's
/// WTF::Lock instead of a semaphore.
class mutex {
 public:
  constexpr mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  ~mutex() {
    if (state_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      destroyed_in_use();
  }

  /// Locks; blocks the fiber (or the plain thread) while another holds it. O(1) plus the wait.
  /// Not cancellable, throws nothing. From fibers and plain threads.
  void lock() noexcept {
    if (!try_lock()) [[unlikely]]
      lock_slow();
  }

  /// Locks if the mutex is free and no woken waiter is about to take it; never blocks. Unlike std it does not
  /// fail spuriously when nobody else uses the mutex.
  [[nodiscard]] bool try_lock() noexcept {
    std::uint32_t expected = 0;
    // acquire: so that what the last holder wrote is seen; the release half is in unlock() and unlock_slow().
    return state_.compare_exchange_strong(expected, locked, std::memory_order_acquire, std::memory_order_relaxed);
  }

  /// Unlocks. Never blocks and never suspends the fiber; O(1). Any fiber or thread may do it for the holder.
  void unlock() noexcept {
    std::uint32_t expected = locked;
    // release: so that the next holder sees what this one wrote; the acquire half is in try_lock(), lock_slow().
    if (!state_.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed)) [[unlikely]]
      unlock_slow();
  }

 private:
  /// The state word.
  enum : std::uint32_t {
    locked = 1,    ///< Somebody holds it. Set by whoever locks; cleared by the holder only.
    queued = 2,    ///< The queue is not empty: unlock() must look. Written under queue_lock_.
    woken = 4,     ///< One waiter is awake and will try: unlock() wakes no second one. Set by an unlocker for the
                   ///< waiter it wakes or by a spinner for itself; cleared by that one when it locks or queues.
    starving = 8,  ///< unlock() hands over to the first in the queue. Set under queue_lock_ by a woken waiter that
                   ///< lost again after a millisecond; cleared by a new holder that had not waited so long.
  };

  struct attempt;
  HEDDLE_EXPORT void lock_slow() noexcept;
  HEDDLE_EXPORT void unlock_slow() noexcept;
  [[noreturn]] HEDDLE_EXPORT void destroyed_in_use() const noexcept;
  static bool must_serve(std::uint32_t state) noexcept;
  bool take(std::uint32_t& state, const attempt& self) noexcept;
  void spin(std::uint32_t& state, attempt& self) noexcept;
  bool wait_turn(attempt& self) noexcept;
  bool announce(const attempt& self, bool late) noexcept;
  void serve_first() noexcept;

  detail::atomic<std::uint32_t> state_{0};
  detail::thread_mutex queue_lock_;
  detail::fifo<detail::waiter> queue_ HEDDLE_GUARDED_BY(queue_lock_);
};

}  // namespace heddle
