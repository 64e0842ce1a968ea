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
struct shared_mutex_waits;
}

/// A lock that many may share for reading, or one have alone for writing; fibers, plain threads, or both. Blocks the
/// calling fiber only: its processor goes on with other fibers.
///
///     heddle::shared_mutex m;
///     std::map<std::string, int> ages;
///     int age(const std::string& name) { std::shared_lock hold(m); return ages.at(name); }
///     void birthday(const std::string& name) { std::lock_guard hold(m); ++ages[name]; }
///
/// Meets SharedLockable, so std::shared_lock, lock_guard, unique_lock and scoped_lock work with it. Unlike
/// std::shared_mutex:
/// - it is fair both ways: a writer that waits stops those who come to read, and a writer that unlocks lets in all
///   readers that have come meanwhile, before the next writer. So nobody waits for more than the readers that are
///   inside, and the writers that came before;
/// - a fiber may lock it on one kernel thread and unlock it on another;
/// - unlocking what is not locked, and destroying it while it is locked or waited for, end the process with a message
///   that names it.
/// Who holds it and locks it again, shared or not, may wait for itself: a writer may have come in between. There is no
/// upgrade. At most 2^32 - 1 may share it. Readers on several CPUs that get in each other's way are counted apart, so
/// that to read costs the same however many do; the first writer after that pays for it (O(CPUs), some 100 ns). It may
/// be destroyed as soon as whoever might use it is gone: one that has locked it alone, or shares it after a writer,
/// knows that those before have left, even if their unlock() or unlock_shared() has not returned yet.
///
/// Invariants:
/// 1. `queued` is set exactly while one of the queues is not empty, and changes under queue_lock_ only.
///    While it is set, `writer` changes under queue_lock_ only, too.
/// 2. Nobody begins to hold the lock by itself while one of the flags is set; who waits is given it by another, under
///    queue_lock_.
/// 3. While somebody is queued, there is a writer, or the count is not zero. Whoever brings it to zero then serves the
///    queue in the same step, be it a reader that leaves or one that has only looked in.
/// 4. While there is no writer, readers are queued only behind a writer that waits. So a writer that gives up lets them
///    in, if no other one waits.
/// 5. Who unlocks does so in one step, after which it touches the mutex only if it has given it to one who cannot leave
///    until queue_lock_ is free.
///
/// 6. `biased` is set while no flag is; then a slot (src/reader_slots.hpp) that holds the lock's address is one more
///    share. Who sets a flag clears it first, under queue_lock_, sets `queued` in the same step, and moves the slots
///    into the count. So until that has been done the count cannot reach zero without queue_lock_. Afterwards a slot
///    holds the lock only for a moment, put there by a reader that is about to see that the bias has ended.
///
/// Source: phase-fair locks (B. Brandenburg, J. Anderson, "Reader-Writer Synchronization for Shared-Memory
/// Multiprocessor Real-Time Systems", ECRTS 2009), as Go's sync.RWMutex has them, with queues beside the word; the bias
/// from D. Dice, A. Kogan, "BRAVO: Biased Locking for Reader-Writer Locks", USENIX ATC 2019.
class shared_mutex {
 public:
  constexpr shared_mutex() noexcept = default;
  shared_mutex(const shared_mutex&) = delete;
  shared_mutex& operator=(const shared_mutex&) = delete;
  ~shared_mutex() {
    if (state_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      check_unused();
  }

  /// Locks it for the caller alone; blocks the fiber (or the plain thread) while others hold it. O(1) plus the wait.
  /// Not cancellable, throws nothing. From fibers and plain threads, as all that follow.
  void lock() noexcept {
    if (!try_lock()) [[unlikely]]
      lock_slow();
  }
  /// The same until a stop is requested (of a std::stop_token): false if that came first, and it is not locked then.
  /// One that is free is locked even so.
  [[nodiscard]] bool lock(const detail::stop_token& stop) noexcept {
    return try_lock() || lock_within({detail::no_deadline, &stop});
  }
  /// Locks it if nobody holds it or waits for it; never blocks.
  [[nodiscard]] bool try_lock() noexcept {
    std::uint64_t expected = 0;
    // acquire: so that what the last holders wrote is seen; release halves in unlock(), unlock_shared(), the slow ones.
    return state_.compare_exchange_strong(expected, writer, std::memory_order_acquire, std::memory_order_relaxed) ||
           ((expected & biased) != 0 && try_lock_biased());
  }
  /// Unlocks what lock() has locked. Never blocks and never suspends; O(readers that wait). Any fiber or thread may do
  /// it for the holder.
  void unlock() noexcept {
    std::uint64_t expected = writer;
    // release: so that the next holder sees what this one wrote; acquire halves in try_lock(), lock_shared() ...
    if (!state_.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed)) [[unlikely]]
      unlock_slow();
  }

  /// Locks it for reading, together with others; blocks while a writer holds it or waits for it.
  void lock_shared() noexcept {
    if (!come_in()) [[unlikely]]
      lock_shared_slow();
  }
  /// The same until a stop is requested: false if that came first.
  [[nodiscard]] bool lock_shared(const detail::stop_token& stop) noexcept {
    return try_lock_shared() || lock_shared_within({detail::no_deadline, &stop});
  }
  /// Locks it for reading if no writer holds it or waits for it; never blocks.
  [[nodiscard]] bool try_lock_shared() noexcept {
    std::uint64_t state = state_.load(std::memory_order_relaxed);
    while ((state & (flags | biased)) == 0)
      // acquire: as in count_in().
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire, std::memory_order_relaxed))
        return true;
    return (state & writer) == 0 && try_lock_shared_slow();
  }
  /// Unlocks what lock_shared() has locked. Never blocks and never suspends; O(1), or O(readers that wait) if it is the
  /// last reader and the writer it had to serve has given up.
  void unlock_shared() noexcept {
    if (!count_out()) [[unlikely]]
      unlock_shared_slow();
  }

 private:
  friend class shared_timed_mutex;
  friend struct shared_mutex_probe;          // of the tests
  friend struct detail::shared_mutex_waits;  // for reports

  // The state word: bits 0-31 the count of those who read, and of those who are about to find that they must not.
  // Anyone adds to it; who finds a flag then takes it back, under queue_lock_.
  static constexpr std::uint64_t count_mask = 0xffff'ffff;
  static constexpr std::uint64_t writer = std::uint64_t{1}
                                          << 32;  ///< One holds it alone. Set by that one over a word of
                                                  ///< 0, or by who gives it the lock; cleared likewise.
  static constexpr std::uint64_t queued = std::uint64_t{1} << 33;  ///< A queue is not empty: who leaves must look.
  static constexpr std::uint64_t flags = writer | queued;
  static constexpr std::uint64_t biased = std::uint64_t{1}
                                          << 34;  ///< Readers use slots. Set, while no flag is, by a reader that leaves
                                                  ///< and met another at the word; cleared by who needs to set a flag.

  /// Counts the caller as a reader. False: it must not be one, and has to take that back.
  bool come_in() noexcept {
    return (state_.load(std::memory_order_relaxed) & biased) != 0 ? come_in_by_slot() : count_in();
  }
  bool count_in() noexcept {
    // acquire: so that what the last writer wrote is seen; release half in unlock(), unlock_slow().
    return (state_.fetch_add(1, std::memory_order_acquire) & flags) == 0;
  }
  /// Takes a share off the count if that is all there is to do. False: it is not, or another was at the word.
  bool count_out() noexcept {
    std::uint64_t state = state_.load(std::memory_order_relaxed);
    // No subtraction: whoever finds out afterwards that it has to serve the queue would touch a mutex that may be gone.
    // release: so that the next writer sees that this one has read; acquire half in try_lock(), the slow ones.
    return state - 1 < count_mask &&  // neither flag nor bias, and a reader
           state_.compare_exchange_strong(
               state, state - 1,
               HEDDLE_PLANTED(reader_leaves_relaxed) ? std::memory_order_relaxed : std::memory_order_release,
               std::memory_order_relaxed);
  }

  /// Lock within the bounds, after the first try has failed. The waiter is too large for the reserve of a small stack,
  /// so it stands in the caller's frame.
  bool lock_within(const detail::wait_bounds& bounds) noexcept {
    if (detail::over(bounds)) return false;
    detail::bounded_waiter self(bounds);
    return lock_bounded(self);
  }
  bool lock_shared_within(const detail::wait_bounds& bounds) noexcept {
    if (detail::over(bounds)) return false;
    detail::bounded_waiter self(bounds);
    return come_in() || lock_shared_bounded(self);
  }

  HEDDLE_EXPORT void lock_slow() noexcept;
  HEDDLE_EXPORT bool lock_bounded(detail::bounded_waiter& self) noexcept;
  HEDDLE_EXPORT void unlock_slow() noexcept;
  HEDDLE_EXPORT void lock_shared_slow() noexcept;
  HEDDLE_EXPORT bool lock_shared_bounded(detail::bounded_waiter& self) noexcept;
  HEDDLE_EXPORT void unlock_shared_slow() noexcept;
  HEDDLE_EXPORT bool try_lock_biased() noexcept;
  HEDDLE_EXPORT bool try_lock_shared_slow() noexcept;
  HEDDLE_EXPORT bool come_in_by_slot() noexcept;
  HEDDLE_EXPORT void check_unused(const char* kind = "shared_mutex") const noexcept;

  static void unlock_queue(void* self) noexcept;
  template <class Waiter>
  bool wait_to_write(Waiter& self) noexcept;
  template <class Waiter>
  bool wait_to_read(Waiter& self) noexcept;
  bool take_or_announce() noexcept HEDDLE_REQUIRES(queue_lock_);
  bool end_bias(std::uint64_t& state, std::uint64_t& moved) noexcept HEDDLE_REQUIRES(queue_lock_);
  bool wants_bias() noexcept;
  void look_closer(const char* kind) noexcept;
  bool go_out_again(detail::waiter*& successors) noexcept HEDDLE_REQUIRES(queue_lock_);
  void release(const char* kind) noexcept;
  bool serve_after_writer() noexcept;
  void release_shared(const char* kind) noexcept;
  bool serve_after_readers() noexcept;
  detail::waiter* next_writer() noexcept HEDDLE_REQUIRES(queue_lock_);
  detail::waiter* all_readers(std::uint64_t& count) noexcept HEDDLE_REQUIRES(queue_lock_);
  std::uint64_t queued_no_more() const noexcept HEDDLE_REQUIRES(queue_lock_);
  void leave_writers(detail::waiter& self) noexcept;
  void leave_readers(detail::waiter& self) noexcept;

  detail::atomic<std::uint64_t> state_{0};
  detail::thread_mutex queue_lock_;
  detail::atomic<std::uint32_t> reluctance_{0};  ///< how often readers may still meet before they are biased again
  detail::fifo<detail::waiter> writers_ HEDDLE_GUARDED_BY(queue_lock_);
  detail::fifo<detail::waiter> readers_ HEDDLE_GUARDED_BY(queue_lock_);
};

/// A shared_mutex that can be waited for until a deadline. Meets SharedTimedLockable; everything else as
/// heddle::shared_mutex has it, and as fast.
///
///     heddle::shared_timed_mutex m;
///     if (std::shared_lock hold(m, 5ms); hold.owns_lock()) look();
///
/// A writer that gives up lets in the readers that waited only because of it.
class shared_timed_mutex : private shared_mutex {
 public:
  constexpr shared_timed_mutex() noexcept = default;
  ~shared_timed_mutex() {
    if (state_.load(std::memory_order_relaxed) != 0) [[unlikely]]
      check_unused("shared_timed_mutex");
  }

  using shared_mutex::lock;             // also with a stop token
  using shared_mutex::lock_shared;      // also with a stop token
  using shared_mutex::try_lock;         // never blocks
  using shared_mutex::try_lock_shared;  // never blocks

  /// Locks it for the caller alone; blocks the fiber (or the plain thread) while others hold it, but not longer than
  /// for `d`: false then. One that is free is locked even if the time is over. O(1) plus the wait. Throws nothing but
  /// what the arithmetic of the duration may throw.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& d) {
    return try_lock() || detail::within(d, [this](const auto& bounds) { return lock_within(bounds); });
  }
  /// The same until `t` of any clock.
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& t) {
    return try_lock() || detail::within(t, [this](const auto& bounds) { return lock_within(bounds); });
  }
  /// Locks it for reading, not waiting longer than for `d`: false then.
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_shared_for(const std::chrono::duration<Rep, Period>& d) {
    return try_lock_shared() || detail::within(d, [this](const auto& bounds) { return lock_shared_within(bounds); });
  }
  /// The same until `t` of any clock.
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_shared_until(const std::chrono::time_point<Clock, Duration>& t) {
    return try_lock_shared() || detail::within(t, [this](const auto& bounds) { return lock_shared_within(bounds); });
  }

  /// Unlocks, as shared_mutex::unlock() does.
  void unlock() noexcept {
    std::uint64_t expected = writer;
    // release: as in shared_mutex::unlock().
    if (!state_.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed)) [[unlikely]]
      unlock_timed_slow();
  }
  /// Unlocks, as shared_mutex::unlock_shared() does.
  void unlock_shared() noexcept {
    if (!count_out()) [[unlikely]]
      unlock_shared_timed_slow();
  }

 private:
  friend struct shared_mutex_probe;
  HEDDLE_EXPORT void unlock_timed_slow() noexcept;
  HEDDLE_EXPORT void unlock_shared_timed_slow() noexcept;
};

}  // namespace heddle
