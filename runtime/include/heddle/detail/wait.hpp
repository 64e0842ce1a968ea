// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::detail {

class fiber;
class machine;
class scheduler;

/// How far a wait has got, and what ended it. Only a wait with bounds (bounded_wait.hpp) goes through these states; of
/// those who would end it, each by a compare-exchange, exactly one does.
enum class wait_state : std::uint32_t {
  open,       ///< it has not begun: who ends it now wakes nobody, the sleeper looks before it sleeps
  asleep,     ///< who ends it now must wake the sleeper. Written by the sleeper's commit, over `open`
  signalled,  ///< ended by what was waited for
  timed_out,  ///< ended by its deadline
  stopped,    ///< ended by a stop request
};

/// Ends a wait as `how`, unless it has ended. True: the caller must wake the sleeper, which stays until then.
inline bool end_wait(atomic<wait_state>& state, wait_state how) noexcept {
  wait_state seen = state.load(std::memory_order_relaxed);
  while (seen == wait_state::open || seen == wait_state::asleep)
    // release: so that a sleeper that reads the end before it sleeps sees what was done before; acquire half in
    // bounded_waiter. acquire: so that the sleeper's queueing is seen by who ends the wait; release half there too.
    if (state.compare_exchange_weak(seen, how, std::memory_order_acq_rel, std::memory_order_relaxed))
      return seen == wait_state::asleep;
  return HEDDLE_PLANTED(two_end_a_wait) && seen == wait_state::signalled;
}

/// How a commit's argument tells a collector, a report or a debugger what its fiber waits at. An address as it is: the
/// primitive, if it lies in the collector's memory; else nothing. The address of an object on the fiber's stack, and
/// one of these beyond it:
enum class wait_argument : std::uintptr_t {
  first_word = 1,  ///< the object begins with the address of the primitive
  several = 2,     ///< with a wait_places
  unbounded = 3,   ///< it is a bounded_waiter, and its own commit's argument tells, if it has no bounds
  descriptor = 4,  ///< it is a descriptor_wait
};
/// A wait for a file descriptor: its number, and what is to become possible there.
struct descriptor_wait {
  enum class aim : std::uint32_t { read, write, close };  ///< close: when the operations of others are over
  std::int32_t number;
  aim to;
};
/// The primitives of one that waits at several: pointers to objects that begin with their addresses.
struct wait_places {
  const void* const* const* first;
  std::size_t count;
};
template <wait_argument How, class T>
void* as_argument(T& object) noexcept {
  return reinterpret_cast<char*>(&object) + static_cast<std::uintptr_t>(How);
}
template <wait_argument How, class T>
T& from_argument(void* argument) noexcept {
  return *reinterpret_cast<T*>(static_cast<char*>(argument) - static_cast<std::uintptr_t>(How));
}

/// One blocked fiber or plain thread: what every blocking primitive queues, whoever it blocks.
/// It lives on the stack of the blocked one.
///
/// 1. park() is called by the one who built the waiter, at most once per wake().
/// 2. commit(arg) runs when the caller is off its stack (a thread: just before it sleeps), so it is where a
///    primitive unlocks or publishes; from then on anybody may call wake().
/// 3. wake() is called exactly once for each park(), and is the last touch of the object by the waker.
/// 4. Who takes a waiter out of a queue asks claim() first, under the lock of the queue: if it says no, the wait has
///    ended otherwise, and that waiter is neither woken nor given anything.
class HEDDLE_EXPORT waiter {
 public:
  /// Captures the caller: the running fiber, or the kernel thread if there is none. Never fails.
  waiter() noexcept;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// Suspends the caller until wake(). Blocks the fiber only, or the plain thread. `arg`: see wait_argument.
  void park(void (*commit)(void*), void* arg) noexcept;
  /// Makes the parked one runnable; from any fiber or thread. O(1), never suspends, may hold a thread_mutex.
  void wake() noexcept;
  /// The same for the runtime itself, inside on `m`.
  void wake_inside(machine& m) noexcept;
  /// The same, behind all others of its processor.
  void wake_last_inside(machine& m) noexcept;
  /// The same of a fiber, by the global queue: for a machine that may be given a processor at this moment.
  void wake_globally(scheduler& s) noexcept;
  /// Whether the caller, who holds the lock of the queue, is the one who ends this wait, and so must wake(). Always
  /// true of a wait without bounds.
  bool claim() noexcept { return !bounded_ || end_wait(state_, wait_state::signalled); }
  /// Whether the wait may end without a wake(): so a claim settles something, and cannot be taken back.
  bool has_bounds() const noexcept { return bounded_; }
  /// Whether it is f that waits by this.
  bool is_of(const fiber& f) const noexcept { return fiber_ == &f; }

  // For the primitive that queues it, under that primitive's lock:
  waiter* next = nullptr;
  waiter* prev = nullptr;
  void* slot = nullptr;      ///< where a value is handed over
  std::uint32_t result = 0;  ///< what the waker says

 protected:
  enum bounded : std::uint8_t { with_bounds };
  explicit waiter(bounded) noexcept : waiter() { bounded_ = true; }
  void sleep_thread() noexcept;

  fiber* fiber_;
  atomic<std::uint32_t> signal_{0};  // plain threads sleep here: 0 asleep or about to, 1 woken
  atomic<wait_state> state_{wait_state::open};
  std::uint8_t counted_ = 0;  // of a plain thread that nothing but another thread or fiber can wake: the era

 private:
  void wake_thread() noexcept;

  bool bounded_ = false;
};

/// Names the caller while it runs: the fiber, or the plain thread. Never null; the same for a fiber wherever it runs.
HEDDLE_EXPORT const void* caller() noexcept;

/// Number of processors of the running runtime (1 if none runs): whether spinning can help.
HEDDLE_EXPORT unsigned running_processors() noexcept;
/// Whether the running runtime has a processor for each that the process may use, and all are at work: another thread
/// would take one from them.
HEDDLE_EXPORT bool processors_busy() noexcept;
/// Whether a processor of the running runtime has nothing to do: then the others lose nothing by a thread that blocks.
HEDDLE_EXPORT bool processor_idle() noexcept;

}  // namespace heddle::detail
