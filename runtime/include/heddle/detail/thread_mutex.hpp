// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

/// The lock below all others: guards the few words inside a primitive for some tens of nanoseconds.
/// Blocks the kernel thread (a short spin, then a futex), so nothing may suspend a fiber while holding it;
/// the one exception is a commit function, which unlocks it for the fiber that has just been suspended.
/// Source: U. Drepper, "Futexes Are Tricky", mutex 3.
///
/// The word: 0 free, 1 held, 2 held and perhaps somebody sleeps. Anyone may write 1 over 0 (lock) or 2 over
/// anything (about to sleep); only the holder writes 0.
class thread_mutex {
 public:
  bool try_lock() noexcept {
    std::uint32_t expected = free;
    // acquire: so that what the last holder wrote is seen; release half in unlock().
    return state_.compare_exchange_strong(expected, held, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void lock() noexcept {
    if (!try_lock()) [[unlikely]]
      lock_slow();
  }
  void unlock() noexcept {
    // release: so that the next holder sees what this one wrote; acquire half in try_lock(), lock_slow().
    if (state_.exchange(free, std::memory_order_release) == contended && !HEDDLE_PLANTED(unlock_without_wake))
        [[unlikely]]
      platform::futex_wake(state_, 1);
  }

 private:
  enum : std::uint32_t { free = 0, held = 1, contended = 2 };
  HEDDLE_EXPORT void lock_slow() noexcept;
  atomic<std::uint32_t> state_{free};
};

}  // namespace heddle::detail
