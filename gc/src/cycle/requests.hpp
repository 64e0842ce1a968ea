// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/helper_call.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::gc::detail {

/// Cycles that are asked for, and those who wait for their ends. One thread serves: it awaits a request, begins a
/// cycle, ends it. The functions of others are for any fiber or thread.
class cycle_requests {
 public:
  constexpr cycle_requests() noexcept = default;

  /// A cycle is due. Never blocks.
  void request() noexcept { due_.call(); }
  /// The number that a cycle has that begins after now, or a later one.
  std::uint64_t next() const noexcept {
    return begun_.load(std::memory_order_seq_cst) + 1;  // seq_cst: a cycle that has begun before is not taken for it
  }
  /// The number of the cycle that is under way or, if there is none, of the next.
  std::uint64_t present_or_next() const noexcept;
  /// Returns when the cycle of that number, or a later one, has ended. Asks for as many as it takes. Blocks the fiber,
  /// or the plain thread.
  void wait_until(std::uint64_t cycle) noexcept;
  std::uint64_t ended() const noexcept { return ended_.load(std::memory_order_relaxed); }

  // --- for the thread that serves ---
  /// Whether somebody waits for the end of a cycle.
  bool anyone_waits() noexcept {
    const heddle::detail::thread_lock hold(lock_);
    return waiters_ != nullptr;
  }
  /// The same, or another cycle is due after this one.
  bool is_urgent() noexcept { return due_.is_called() || anyone_waits(); }
  /// Returns when a cycle is due.
  void await_request() noexcept;
  /// A cycle begins: its number.
  std::uint64_t begin_cycle() noexcept {
    return begun_.fetch_add(1, std::memory_order_seq_cst) + 1;  // seq_cst: see next()
  }
  /// The cycle that has begun is over.
  void end_cycle() noexcept;

  /// In a child of a fork: nobody serves, and nobody waits.
  void after_fork_in_child() noexcept;

 private:
  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::primitive};
  heddle::detail::waiter* waiters_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  heddle::detail::helper_call due_;  // a cycle is; for the thread that serves
  heddle::detail::atomic<std::uint64_t> begun_{0};
  heddle::detail::atomic<std::uint64_t> ended_{0};  // changes under the lock
};

}  // namespace heddle::gc::detail
