// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

class fiber;
class machine;

/// One blocked fiber or plain thread: what every blocking primitive queues, whoever it blocks.
/// It lives on the stack of the blocked one.
///
/// 1. park() is called by the one who built the waiter, at most once per wake().
/// 2. commit(arg) runs when the caller is off its stack (a thread: just before it sleeps), so it is where a
///    primitive unlocks or publishes; from then on anybody may call wake().
/// 3. wake() is called exactly once for each park(), and is the last touch of the object by the waker.
class HEDDLE_EXPORT waiter {
 public:
  /// Captures the caller: the running fiber, or the kernel thread if there is none. Never fails.
  waiter() noexcept;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// Suspends the caller until wake(). Blocks the fiber only, or the plain thread.
  void park(void (*commit)(void*), void* arg) noexcept;
  /// Makes the parked one runnable; from any fiber or thread. O(1), never suspends, may hold a thread_mutex.
  void wake() noexcept;
  /// The same for the runtime itself, inside on `m`.
  void wake_inside(machine& m) noexcept;

  // For the primitive that queues it, under that primitive's lock:
  waiter* next = nullptr;
  waiter* prev = nullptr;
  void* slot = nullptr;      ///< where a value is handed over
  std::uint32_t result = 0;  ///< what the waker says

 private:
  void wake_thread() noexcept;

  fiber* fiber_;
  atomic<std::uint32_t> signal_{0};  // plain threads sleep here: 0 asleep or about to, 1 woken
};

/// Number of processors of the running runtime (1 if none runs): whether spinning can help.
HEDDLE_EXPORT unsigned running_processors() noexcept;

}  // namespace heddle::detail
