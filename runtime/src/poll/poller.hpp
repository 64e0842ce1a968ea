// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>

#include "event_queue.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/run.hpp"
#include "slot.hpp"

namespace heddle::detail {

/// Brings the kernel's events to fibers: one of the process, shared by the runtimes that follow each other.
///
/// 1. One at a time polls, the holder of the token: a machine without work, which sleeps there; a machine between two
///    fibers, which does not sleep; or the monitor, if nobody has polled for long.
/// 2. The holder lets go of the token before it runs a fiber that it has found.
/// 3. A machine sleeps here only while a processor is idle. The machine that makes its processor idle looks whether the
///    token is free. So while a processor is idle somebody polls, but for the moments after the holder has left: the
///    monitor looks after those.
/// 4. Opened with the first descriptor that somebody must wait for. A program without any pays the read of a word where
///    a machine finds nothing to do.
class poller {
 public:
  static poller& instance() noexcept;

  /// Whether there is a descriptor to poll for.
  bool in_use() const noexcept {
    // acquire: so that the queue is seen as it was opened; release half in watch().
    return watched_.load(std::memory_order_acquire) != 0;
  }
  bool take() noexcept {
    std::uint32_t expected = 0;
    // acquire: so that the list of events is seen as its last holder left it; release half in release().
    return token_.load(std::memory_order_relaxed) == 0 &&
           token_.compare_exchange_strong(expected, 1, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void release() noexcept {
    // release: half of take().
    token_.store(0, HEDDLE_PLANTED(poller_released_relaxed) ? std::memory_order_relaxed : std::memory_order_release);
  }
  bool is_free() const noexcept { return token_.load(std::memory_order_relaxed) == 0; }

  // With the token:
  /// Fetches events, at most n; sleeps until the deadline for the first one, not at all if that is 0. How many.
  int fetch(nanoseconds_t deadline, int n = most) noexcept;
  /// Wakes those that have waited for what was fetched. `s`, `m` as in poll_slot::notify().
  void deliver(scheduler& s, machine* m) noexcept;

  /// Makes the sleeping holder return, or the next one not sleep. From anywhere.
  void interrupt() noexcept { queue_.interrupt(); }
  /// When somebody last looked for events without sleeping, or came back from sleeping.
  nanoseconds_t last_look() const noexcept { return last_look_.load(std::memory_order_relaxed); }

  /// Reports events of fd with this tag. 0, or the error.
  int watch(int fd, std::uint64_t tag) noexcept;
  void unwatch(int fd) noexcept;
  /// Never 0; another one in a forked child, which watches nothing.
  std::uint32_t era() const noexcept { return era_.load(std::memory_order_relaxed); }

  // --- slots ---
  /// A free one. Throws std::bad_alloc.
  poll_slot& take_slot();
  void put_slot(poll_slot& s) noexcept;
  /// The part of stats().
  void count(statistics& n) const noexcept;
  /// Whether a fiber waits for an event. O(slots).
  bool awaited() noexcept;
  /// The runtime ends, and its heaps are about to go.
  void forget_runtime() noexcept;
  void before_fork() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS { lock_.lock(); }
  void after_fork() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS { lock_.unlock(); }
  void after_fork_in_child() noexcept;

  static constexpr int most = 128;

 private:
  poll_slot* slot_at(std::uint32_t index) const noexcept;
  template <class F>
  void for_each_slot(F f) noexcept;

  static std::uint32_t beginning_of(std::size_t block) noexcept;
  void build_slot() HEDDLE_REQUIRES(lock_);

  // Block k of slots has first_block << k of them, and begins at first_block * (2^k - 1).
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
  static constexpr std::uint32_t first_block = 2;
#else
  static constexpr std::uint32_t first_block = 64;
#endif
  static constexpr std::size_t blocks = 24;

  thread_mutex lock_{lock_rank::poller};
  poll_slot* free_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  bool open_ HEDDLE_GUARDED_BY(lock_) = false;
  std::array<atomic<poll_slot*>, blocks> blocks_{};
  atomic<std::uint32_t> built_{0};  // slots that were ever needed; written under lock_
  platform::event_queue queue_;
  atomic<std::uint32_t> era_{1};
  atomic<std::uint32_t> watched_{0};
  atomic<nanoseconds_t> last_look_{0};
  // Written with the token.
  atomic<std::size_t> fetches_{0};
  atomic<std::size_t> events_fetched_{0};
  alignas(64) atomic<std::uint32_t> token_{0};
  platform::in_turns<int> fetched_{0};
  std::array<platform::event, most> events_{};
};

}  // namespace heddle::detail
