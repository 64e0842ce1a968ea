// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/held_call.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::detail {

/// One who waits for permits, on its own stack.
struct permit_waiter {
  permit_waiter* next = nullptr;
  permit_waiter* prev = nullptr;
  waiter* self;
  std::uint64_t wanted;

  permit_waiter(waiter& w, std::uint64_t n) noexcept : self(&w), wanted(n) {}
  bool claim() noexcept { return self->claim(); }
};

struct permits_waits;

/// A number of permits, and those who wait for some: what semaphores are made of.
///
/// Invariants:
/// 1. `queued` is set exactly while the queue is not empty. While it is set the word changes under lock_ only, so
///    nobody overtakes those who wait.
/// 2. The first in the queue wants more than there are. Who takes it out, or adds permits, serves those behind it.
/// 3. Permits are handed over: who is woken has them.
/// 4. Who releases touches the object after the step that makes the permits available only to unlock, and only if
///    somebody was queued, who still is inside acquire().
/// 5. Permits that a signal handler releases while the thread that it interrupts starts or ends a runtime are `owed_`,
///    if somebody is queued. While it is not 0 the object is in the list of held calls, or about to be in it or out of
///    it. The thread that makes it 0 touches the object no more, and the destructor waits for that.
class permits : held_call {
 public:
  constexpr explicit permits(std::ptrdiff_t n) noexcept
      : held_call(release_owed), state_(static_cast<std::uint64_t>(n)) {}
  ~permits() {
    // acquire: so that the thread that has made it 0 is done with the object; release half in release_owed().
    if (owed_.load(std::memory_order_acquire) != 0 && !HEDDLE_PLANTED(owed_though_gone)) [[unlikely]]
      await_owed();
  }
  permits(const permits&) = delete;
  permits& operator=(const permits&) = delete;

  /// Without waiting. False: too few, or others wait.
  bool try_acquire(std::uint64_t n) noexcept {
    std::uint64_t state = state_.load(std::memory_order_relaxed);
    while (available(state, n))
      // acquire: so that what was done before the release is seen; release half in release(), serve().
      if (state_.compare_exchange_weak(state, state - n, std::memory_order_acquire, std::memory_order_relaxed))
        return true;
    return false;
  }
  void acquire(std::uint64_t n) noexcept {
    if (try_acquire(n)) return;
    waiter self;
    permit_waiter node(self, n);
    wait_for(node);
  }
  /// False: the bounds have ended the wait.
  bool acquire(std::uint64_t n, const wait_bounds& bounds) {
    if (try_acquire(n)) return true;
    if (over(bounds)) return false;
    bounded_waiter self(bounds);
    permit_waiter node(self, n);
    return wait_for(node, self);
  }
  /// False: that would make more than `most`, and nothing was done.
  [[nodiscard]] bool release(std::uint64_t n, std::uint64_t most) noexcept {
    std::uint64_t state = state_.load(std::memory_order_relaxed);
    do {
      if (state & queued) [[unlikely]]
        return release_slow(n, most);
      if (n > most || state > most - n) [[unlikely]]
        return false;
      // release: so that what was done before is seen by who acquires; acquire half in try_acquire(), serve(). It is
      // the last touch of the object.
    } while (!state_.compare_exchange_weak(state, state + n, std::memory_order_release, std::memory_order_relaxed));
    return true;
  }

  /// For messages and destructors: a snapshot.
  std::uint64_t count() const noexcept { return state_.load(std::memory_order_relaxed) & ~queued; }
  bool has_waiters() const noexcept { return (state_.load(std::memory_order_relaxed) & queued) != 0; }

 private:
  /// The state word: bits 0-62 the permits that are free; bit 63 `queued`.
  static constexpr std::uint64_t queued = std::uint64_t{1} << 63;
  static bool available(std::uint64_t state, std::uint64_t n) noexcept { return !(state & queued) && state >= n; }

  friend struct permits_waits;  // for reports
  HEDDLE_EXPORT void wait_for(permit_waiter& node) noexcept;
  HEDDLE_EXPORT bool wait_for(permit_waiter& node, bounded_waiter& self) noexcept;
  HEDDLE_EXPORT bool release_slow(std::uint64_t n, std::uint64_t most) noexcept;
  HEDDLE_EXPORT static void release_owed(held_call& self) noexcept;
  HEDDLE_EXPORT void await_owed() noexcept;
  void owe(std::uint64_t n, std::uint64_t most) noexcept;
  permit_waiter* give(std::uint64_t n) noexcept;
  bool announce(std::uint64_t n) noexcept HEDDLE_REQUIRES(lock_);
  permit_waiter* serve(std::uint64_t free) noexcept HEDDLE_REQUIRES(lock_);
  bool leave(permit_waiter& node) noexcept;
  static void unlock(void* self) noexcept;

  atomic<std::uint64_t> state_;
  thread_mutex lock_;
  fifo<permit_waiter> queue_ HEDDLE_GUARDED_BY(lock_);
  atomic<std::uint64_t> owed_{0};
  atomic<std::uint64_t> most_{0};  // of those who owe
};

}  // namespace heddle::detail
