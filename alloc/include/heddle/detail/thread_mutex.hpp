// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/config.hpp"
#include "heddle/detail/platform.hpp"

namespace heddle::detail {

/// What a lock may be taken under: only locks of a lower rank are held by then. Checked at run time in Debug builds and
/// under the sanitizers (HEDDLE_LOCK_RANKS).
enum class lock_rank : std::uint32_t {
  life = 0,        ///< a runtime starts or ends: before any other, since user code that runs under one may do it
  cycle = 1,       ///< a cycle of the collector: held by its thread, or by a thread that forks
  primitive = 2,   ///< inside a mutex, channel ...: held while its waiter parks or is woken; several by address
  descriptor = 3,  ///< what is known of a file descriptor: taken too while a fiber that parks holds one of those above
  scheduler = 4,   ///< scheduler::lock_
  handoff = 5,     ///< machine::handoff
  registry = 6,    ///< scheduler::pools_lock_; the threads that the collector knows, the tables of its heap
  endings = 7,     ///< what is to be run for dead objects
  kinds = 8,       ///< the types of the collected heap
  mutators = 9,    ///< the threads that use it
  poller = 10,     ///< the descriptors that are watched, and free slots for them
  pool = 11,       ///< stacks, control blocks, timers: under it only memory is asked for
  checks = 12,     ///< what the allocator knows of blocks when it checks every call; several in the order of classes
  mcaches = 13,    ///< the mcaches that no thread owns; the collected spans of a kind
  mcentral = 14,   ///< the spans of one class that nobody owns; several in the order of classes
  mheap = 15,      ///< pages, and the table of huge blocks: under it nothing is locked
  lists = 16,      ///< what a collector goes through: under it nothing is locked either; several while a thread forks
};

/// The lock below all others: guards the few words inside a primitive for some tens of nanoseconds.
/// Blocks the kernel thread (a short spin, then a futex), so nothing may suspend a fiber while holding it;
/// the one exception is a commit function, which unlocks it for the fiber that has just been suspended.
/// Source: U. Drepper, "Futexes Are Tricky", mutex 3.
///
/// The word: 0 free, 1 held, 2 held and perhaps somebody sleeps. Anyone may write 1 over 0 (lock) or 2 over
/// anything (about to sleep); only the holder writes 0.
class HEDDLE_CAPABILITY("mutex") thread_mutex {
 public:
#if defined(HEDDLE_LOCK_RANKS) && HEDDLE_LOCK_RANKS
  constexpr explicit thread_mutex(lock_rank r = lock_rank::primitive) noexcept : rank_(r) {}
#else
  constexpr explicit thread_mutex(lock_rank = lock_rank::primitive) noexcept {}
#endif
  thread_mutex(const thread_mutex&) = delete;
  thread_mutex& operator=(const thread_mutex&) = delete;

  bool try_lock() noexcept HEDDLE_TRY_ACQUIRE(true) {
    if (!try_to_hold()) return false;
    note_locked();
    return true;
  }
  void lock() noexcept HEDDLE_ACQUIRE() {
    note_locked();
    if (!try_to_hold()) [[unlikely]]
      lock_slow();
  }
  void unlock() noexcept HEDDLE_RELEASE() {
    note_unlocked();
    // release: so that the next holder sees what this one wrote; acquire half in try_lock(), lock_slow().
    if (state_.exchange(free, std::memory_order_release) == contended && !HEDDLE_PLANTED(unlock_without_wake))
        [[unlikely]]
      platform::futex_wake(state_, 1);
  }
  /// In a child of a fork: the thread that held it is not there, and has left the guarded data as they were.
  void become_free() noexcept { state_.store(free, std::memory_order_relaxed); }
  /// What a commit function calls for the fiber that locked it and has just been suspended.
  void unlock_in_commit() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS { unlock(); }
  /// What that fiber says when it is resumed, for the analysis alone.
  void unlocked_by_commit() noexcept HEDDLE_RELEASE() {}

 private:
  enum : std::uint32_t { free = 0, held = 1, contended = 2 };
  bool try_to_hold() noexcept {
    std::uint32_t expected = free;
    // acquire: so that what the last holder wrote is seen; release half in unlock().
    return state_.compare_exchange_strong(expected, held, std::memory_order_acquire, std::memory_order_relaxed);
  }
  HEDDLE_EXPORT void lock_slow() noexcept;
  atomic<std::uint32_t> state_{free};
#if defined(HEDDLE_LOCK_RANKS) && HEDDLE_LOCK_RANKS
  /// Ends the process, naming both ranks, if the thread holds a lock that must not be held by then.
  HEDDLE_EXPORT void note_locked() noexcept;
  HEDDLE_EXPORT void note_unlocked() noexcept;
  const lock_rank rank_;
#else
  void note_locked() noexcept {}
  void note_unlocked() noexcept {}
#endif
};

/// Holds a thread_mutex for a scope, as std::lock_guard does, in words that the analysis understands.
class HEDDLE_SCOPED_CAPABILITY thread_lock {
 public:
  explicit thread_lock(thread_mutex& m) noexcept HEDDLE_ACQUIRE(m) : mutex_(m) { m.lock(); }
  ~thread_lock() HEDDLE_RELEASE() { mutex_.unlock(); }
  thread_lock(const thread_lock&) = delete;
  thread_lock& operator=(const thread_lock&) = delete;

 private:
  thread_mutex& mutex_;
};

}  // namespace heddle::detail
