// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::detail {

struct phases_waits;

/// A barrier without its completion function: the arrivals that a phase still needs, and those who wait for its end.
///
/// Invariants:
/// 1. `waiting` is set exactly while the queue is not empty, and changes under lock_ only. All in the queue wait for
///    the end of the present phase.
/// 2. Who takes the last missing arrival alone may end the phase, by advance(), and nobody arrives before it has.
/// 3. advance() touches the object after the step that ends the phase only to unlock, and only if it has taken somebody
///    out of the queue, who still is inside a wait.
/// 4. A waiter that gives up takes itself out, and `waiting` with it if it was the last; unless the phase ended before.
class phases {
 public:
  using phase = std::uint32_t;
  struct arrival {
    phase during;
    bool last;  ///< the caller is to call advance()
  };

  constexpr explicit phases(std::uint32_t expected) noexcept : state_(expected), expected_(expected) {}
  phases(const phases&) = delete;
  phases& operator=(const phases&) = delete;

  /// n arrivals of the present phase. More than are missing end the process with a message.
  arrival arrive(std::uint32_t n) noexcept {
    std::uint64_t state = state_.load(std::memory_order_relaxed);
    do {
      if (n == 0 || n > missing(state)) [[unlikely]]
        too_many(n, missing(state));
      // release: so that what was done before is seen after the phase; acquire: so that the last one passes on what the
      // others did. The acquire half is in ended(), the release half here.
    } while (!state_.compare_exchange_weak(state, state - n, std::memory_order_acq_rel, std::memory_order_relaxed));
    return {number(state), missing(state) == n};
  }
  /// The phases after the present one need one arrival less. Before the caller's arrive().
  // relaxed: the arrival that follows publishes it to the one who ends the phase.
  void drop() noexcept { expected_.fetch_sub(1, std::memory_order_relaxed); }
  /// Ends the phase, and wakes all who wait for that.
  void advance() noexcept {
    std::uint64_t state = state_.load(std::memory_order_relaxed);
    do {
      if (state & waiting) return advance_slow();
      // release: so that what was done before the arrivals, and by the completion, is seen after the phase; acquire
      // half in ended(). It is the last touch of the object.
    } while (
        !state_.compare_exchange_weak(state, following(state), std::memory_order_release, std::memory_order_relaxed));
  }

  bool ended(phase p) const noexcept {
    // acquire: so that what was done before the phase ended is seen; release half in advance().
    return number(state_.load(std::memory_order_acquire)) != p;
  }
  void wait(phase p) noexcept {
    if (ended(p)) return;
    waiter self;
    wait_slow(p, self);
  }
  /// False: the bounds have ended the wait.
  bool wait(phase p, const wait_bounds& bounds) {
    if (ended(p)) return true;
    if (over(bounds)) return false;
    bounded_waiter self(bounds);
    return wait_slow(p, self);
  }
  bool has_waiters() const noexcept { return (state_.load(std::memory_order_relaxed) & waiting) != 0; }

 private:
  /// The state word: bits 0-31 the arrivals that are missing; bits 32-62 the number of the phase, written by advance();
  /// bit 63 `waiting`.
  static constexpr std::uint64_t waiting = std::uint64_t{1} << 63;
  static std::uint32_t missing(std::uint64_t state) noexcept { return static_cast<std::uint32_t>(state); }
  static phase number(std::uint64_t state) noexcept { return static_cast<phase>((state & ~waiting) >> 32); }
  /// The first state of the phase after that of `state`. relaxed: see drop().
  std::uint64_t following(std::uint64_t state) const noexcept {
    const std::uint64_t next = std::uint64_t{number(state) + 1} << 32;
    return (next & ~waiting) | expected_.load(std::memory_order_relaxed);
  }

  friend struct phases_waits;  // for reports
  HEDDLE_EXPORT void advance_slow() noexcept;
  HEDDLE_EXPORT void wait_slow(phase p, waiter& self) noexcept;
  HEDDLE_EXPORT bool wait_slow(phase p, bounded_waiter& self) noexcept;
  bool announce(phase p) noexcept;
  bool leave(waiter& self) noexcept;
  static void unlock(void* self) noexcept;
  [[noreturn]] HEDDLE_EXPORT void too_many(std::uint32_t n, std::uint32_t missing) const noexcept;

  atomic<std::uint64_t> state_;
  atomic<std::uint32_t> expected_;
  thread_mutex lock_;
  fifo<waiter> queue_ HEDDLE_GUARDED_BY(lock_);
};

}  // namespace heddle::detail
