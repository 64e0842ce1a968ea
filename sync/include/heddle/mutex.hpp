// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/timed.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle {
namespace detail {
struct mutex_waits;
}
class recursive_mutex;

/// Mutual exclusion between fibers, plain threads, or both. lock() blocks the calling fiber only: its
/// processor goes on with other fibers.
///
///     heddle::mutex m;
///     long balance = 0;
///     heddle::run([&] {
///       for (int i = 0; i < 100; ++i) heddle::go([&, i] { std::lock_guard guard(m); balance += i; });
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
/// 2. A waiter leaves the queue in one of two ways, both under queue_lock_: unlock() takes it out, or its own wait has
///    ended by a deadline or a stop request. So who saw `queued` may still find nobody there, and unlocks otherwise.
/// 3. While somebody is queued, either the mutex is locked, or `woken` says that one who will try is awake.
/// 4. Who is awake by `woken` and gives up clears the bit while the mutex is locked, in one step, so that the holder's
///    unlock() serves another; if it finds the mutex free, it takes it after all.
/// 5. In the mode `starving` the mutex goes from hand to hand without ever being free, first in first out. The mode
///    ends with the queue at the latest.
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

  /// The same until a stop is requested (of a std::stop_token): false if that came first, and the mutex is not locked
  /// then. A mutex that is free is locked even so. O(1) plus the wait. From fibers and plain threads.
  [[nodiscard]] bool lock(const detail::stop_token& stop) noexcept {
    return try_lock() || lock_within({detail::no_deadline, &stop});
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

  friend class timed_mutex;
  friend class recursive_mutex;
  friend struct detail::mutex_waits;  // for reports

  /// One call of lock() that met a holder.
  struct attempt {
    detail::nanoseconds_t since = 0;  ///< when it queued for the first time; 0: it has not
    unsigned looked = 0;              ///< while spinning, since it last woke
    bool awake = false;               ///< the bit `woken` was set for this one

    bool may_spin(std::uint32_t state) const noexcept;
    std::uint32_t own_bits() const noexcept { return awake ? woken : 0u; }
  };
  struct unbounded_attempt;
  struct owners_attempt;
  /// One with bounds. It stands in the caller's frame, since it is too large for the reserve of a small stack.
  struct bounded_attempt : attempt {
    explicit bounded_attempt(const detail::wait_bounds& b) : bounds(b), waiter(b) {}
    bool over() const noexcept { return detail::over(bounds); }
    bool spent() const noexcept { return slept; }
    void has_slept() noexcept { slept = true; }
    void rearm() {
      waiter.rearm(bounds);
      slept = false;
    }

    const detail::wait_bounds& bounds;
    detail::bounded_waiter waiter;
    bool slept = false;  ///< the waiter cannot sleep again before rearm()
  };
  /// How far an attempt has got.
  enum class progress : std::uint32_t {
    holds,       ///< the mutex is locked for it
    gave_up,     ///< its bounds were reached, and it has left nothing behind
    must_rearm,  ///< it was woken, has lost again, and has to sleep once more
  };

  /// Locks within the bounds, after try_lock() has failed.
  bool lock_within(const detail::wait_bounds& bounds) noexcept {
    if (detail::over(bounds)) return false;
    bounded_attempt self(bounds);
    progress reached = lock_bounded(self);
    for (; reached == progress::must_rearm; reached = lock_bounded(self)) self.rearm();
    return reached == progress::holds;
  }
  HEDDLE_EXPORT progress lock_bounded(bounded_attempt& self) noexcept;
  HEDDLE_EXPORT void lock_slow() noexcept;
  /// The same of a mutex that is the first member of a recursive one, so that reports can tell the owner.
  HEDDLE_EXPORT void lock_slow_of_recursive() noexcept;
  HEDDLE_EXPORT void unlock_slow() noexcept;
  HEDDLE_EXPORT void destroyed_in_use(const char* kind = "mutex") const noexcept;
  static bool must_serve(std::uint32_t state) noexcept;
  template <class Attempt>
  progress acquire(Attempt& self) noexcept;
  template <class Attempt>
  bool wait_turn(Attempt& self) noexcept;
  static void unlock_queue(void* self) noexcept;
  static void unlock_queue_of_recursive(void* self) noexcept;
  bool take(std::uint32_t& state, const attempt& self) noexcept;
  bool give_up(std::uint32_t& state, const attempt& self) noexcept;
  void spin(std::uint32_t& state, attempt& self) noexcept;
  bool announce(const attempt& self, bool late) noexcept;
  void leave_queue(detail::waiter& self) noexcept;
  void release(const char* kind) noexcept;
  void serve_first() noexcept;
  void serve_nobody() noexcept HEDDLE_RELEASE(queue_lock_);

  detail::atomic<std::uint32_t> state_{0};
  detail::thread_mutex queue_lock_;
  detail::fifo<detail::waiter> queue_ HEDDLE_GUARDED_BY(queue_lock_);
};

/// A mutex that can be waited for until a deadline. Meets TimedLockable; everything else as heddle::mutex has it, and
/// as fast: it is the same lock, by the name that std gives to the one with deadlines.
///
///     heddle::timed_mutex m;
///     if (std::unique_lock hold(m, 5ms); hold.owns_lock()) work();
///
/// Unlike std's it is fair: who has waited for a millisecond is given the lock, in the order of arrival, with a
/// deadline or without. A mutex that is free is locked even if the deadline has passed.
class timed_mutex : private mutex {
 public:
  constexpr timed_mutex() noexcept = default;
  ~timed_mutex() {
    if (state_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      destroyed_in_use("timed_mutex");
  }

  using mutex::lock;      // also with a stop token
  using mutex::try_lock;  // never blocks

  /// Locks; blocks the fiber (or the plain thread) while another holds it, but not longer than for `d`: false then.
  /// O(1) plus the wait. Throws nothing but what the arithmetic of the duration may throw.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    return try_lock() || detail::within(d, [this](const auto& bounds) { return lock_within(bounds); });
  }
  /// The same until `t` of any clock.
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& t) {
    return try_lock() || detail::within(t, [this](const auto& bounds) { return lock_within(bounds); });
  }

  /// Locks within bounds that the caller, an operation of several waits, has made of its own limits.
  [[nodiscard]] bool try_lock_within(const detail::wait_bounds& bounds) noexcept {
    if (try_lock()) return true;
    if (bounds.stop != nullptr || bounds.deadline != detail::no_deadline) return lock_within(bounds);
    lock();
    return true;
  }

  /// Unlocks, as mutex::unlock() does.
  void unlock() noexcept {
    std::uint32_t expected = locked;
    // release: so that the next holder sees what this one wrote; the acquire half is in mutex::try_lock(), take().
    if (!state_.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed)) [[unlikely]]
      unlock_timed_slow();
  }

 private:
  friend class recursive_mutex;
  HEDDLE_EXPORT void unlock_timed_slow() noexcept;
};

}  // namespace heddle
