// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <pthread.h>

#include <cstdint>

#include "heddle/detail/platform.hpp"
#include "process.hpp"

namespace heddle::detail {

/// The thread that gives memory back while the program sleeps, in a program that has threads of its own: at least two
/// that have allocated something, or are the runtime's. It is there while memory waits, and gone before the last but
/// one of those has ended. So a process of one thread never has another one: it may call unshare(), fork without a
/// warning, and ends when its last thread does. Signals do not reach it, its scheduling class is the normal one, and it
/// may run on all CPUs on which the process could run when it began.
///
/// The state: `none`; `changing`, by a thread that starts it or has it end; `running`. The thread that brings
/// it from `none` or `running` to `changing` is the only one to write it until it has written another state.
class scavenger_thread {
 public:
  constexpr scavenger_thread() noexcept = default;

  /// A thread of the program has a cache from now on, or has none any more since it ends; or a thread of the runtime
  /// begins or ends. The last but one that ends waits for the scavenger's end, a tenth of a second at most.
  void thread_came() noexcept;
  void thread_left() noexcept;
  std::uint32_t own_threads() const noexcept { return own_threads_.load(std::memory_order_relaxed); }

  /// Whether the scavenger is there, or just now begins or ends.
  bool exists() const noexcept { return state_.load(std::memory_order_relaxed) != none; }
  /// Whether start() would try.
  bool may_start(nanoseconds_t now) const noexcept;
  /// Starts it, if the program has threads of its own, the options allow it, and nothing speaks against a new thread
  /// now. `caller`: the code that frees, or null if it allocates: the dynamic loader frees memory of ended threads
  /// while glibc holds the lock without which no thread can be made. False: there is no thread. If the kernel refuses
  /// one, that is tried again a pace later.
  bool start(const void* caller, nanoseconds_t now) noexcept;

  /// For the thread itself, by its number. Sleeps until then; false: it is to end.
  bool sleep(std::uint32_t number, nanoseconds_t until) noexcept;
  bool shall_end(std::uint32_t number) const noexcept { return number_.load(std::memory_order_relaxed) != number; }
  /// For the thread itself: it has nothing left to do.
  void retire(std::uint32_t number) noexcept;

  /// In the child of a fork there is only the calling thread.
  void forked(bool caller_has_cache) noexcept;

 private:
  enum : std::uint32_t { none, changing, running };

  bool is_allowed() const noexcept;
  bool create() noexcept;
  void stop() noexcept;
  bool change(std::uint32_t from) noexcept;

  atomic<std::uint32_t> own_threads_{0};
  atomic<std::uint32_t> state_{none};
  atomic<std::uint32_t> number_{0};  ///< of the thread that is there or comes next; it ends when this is another
  atomic<bool> knows_filters_{false};
  atomic<nanoseconds_t> refused_until_{0};
  /// The filters under which a thread of the program was made: under these another may be.
  atomic<process::call_filters> filters_{process::no_filters};
  pthread_t thread_{};  // for the thread that changes the state
};

extern scavenger_thread the_scavenger_thread;

}  // namespace heddle::detail
