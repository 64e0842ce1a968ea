// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>

#include "event_queue.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/polled.hpp"
#include "heddle/detail/thread_mutex.hpp"

namespace heddle::detail {

class machine;
class scheduler;
class poll_slot;

/// A fiber that waits for one side of a descriptor. It queues itself when it is off its stack: while it chooses the
/// next fiber it must hold no lock that the poller takes, since it may be the one that polls.
class poll_waiter : public bounded_waiter, public descriptor_wait {
 public:
  poll_waiter(poll_slot& s, int fd, poll_side d, const wait_bounds& b)
      : bounded_waiter({no_deadline, b.stop}),
        descriptor_wait{fd, d == poll_side::read ? aim::read : aim::write},
        slot_of(s),
        side(d),
        deadline(b.deadline),
        stoppable(b.stop != nullptr) {}
  wait_state sleep() noexcept;
  /// Under the lock of the slot, as all that ends such a wait but a stop request. So without a stop token nobody else
  /// writes the state, and it takes no locked instruction; the sleeper sees it by way of the queue of runnable fibers.
  bool goes_to_sleep() noexcept {
    if (stoppable) return falls_asleep();
    state_.store(wait_state::asleep, std::memory_order_relaxed);
    return true;
  }
  bool is_signalled() noexcept { return ends(wait_state::signalled); }
  void wake_self(machine& m) noexcept { wake_inside(m); }
  /// Ends the wait, which has begun, as timed out; false if it has ended otherwise.
  bool time_out() noexcept { return ends(wait_state::timed_out); }

  poll_slot& slot_of;
  const poll_side side;
  const nanoseconds_t deadline;  ///< of this operation; the slot's alarm looks after it
  const bool stoppable;
  poll_outcome outcome = poll_outcome::ready;  ///< of a wait that was signalled, or that was over at once
  bool queued = false;

 private:
  bool ends(wait_state how) noexcept {
    if (stoppable) return end_wait(state_, how);
    state_.store(how, std::memory_order_relaxed);
    return true;
  }
};

/// A plain thread that waits on a descriptor by itself; its bell makes it look again.
struct poll_thread {
  poll_thread* next = nullptr;
  poll_thread* prev = nullptr;
  platform::doorbell bell;
};

/// All that is known of one descriptor. Slots are never freed, so an event of the kernel that comes late meets a slot,
/// and sees by the generation that it is another's.
///
/// 1. `life_` counts the operations under way, and says whether it is closed. The one that leaves a closed slot last
///    closes the descriptor, and only then the generation changes and the slot is free.
/// 2. `word` of a side says whether an attempt makes sense. Events set `ready`. An operation that finds nothing more
///    clears it, unless an event has come since it looked at the word: each event changes the word.
/// 3. `last`: the connection ends, so every read or write succeeds or fails from now on. It stays when `ready` is
///    cleared after a short read, since the end behind the data has been reported already and is not again.
/// 4. A waiter queues under `lock_`, after a look at the word, and an event takes that lock: so no event is missed.
/// 5. `alarm` of a side is in a processor's heap at a time that is no later than the earliest deadline of those that
///    wait there. It is left there when they have been woken, and finds out by itself that it is too early. So a
///    deadline that does not pass costs no work on the heap.
class alignas(64) poll_slot {
 public:
  static constexpr std::uint32_t ready = 1, last = 2, waiting = 4, step = 8;

  // --- life ---
  /// Begins an operation; false if the descriptor of that generation is closed.
  bool begin(std::uint32_t generation) noexcept;
  void end() noexcept {
    if (drop()) finish();
  }
  bool is_open(std::uint32_t generation) const noexcept;
  /// Closes it, or with `keep` only lets go of it; returns its number, -1 if it was closed or somebody else closes it.
  /// Waits for operations, and for the other who closes.
  int close(std::uint32_t generation, bool keep) noexcept;
  int fd() const noexcept { return fd_.load(std::memory_order_relaxed); }
  /// A free slot becomes that of fd. Returns its generation.
  std::uint32_t open(int fd) noexcept;

  // --- readiness, within an operation ---
  std::uint32_t word(poll_side side) const noexcept { return of(side).word.load(std::memory_order_relaxed); }
  void succeeded(poll_side side) noexcept {
    if ((word(side) & waiting) != 0) [[unlikely]]
      pass_on(side);
  }
  void clear(poll_side side, std::uint32_t seen, std::uint32_t bits) noexcept;
  poll_outcome wait(poll_side side, const wait_bounds& bounds) noexcept;
  void set_deadline(poll_side side, nanoseconds_t deadline) noexcept;

  // --- for the poller ---
  /// An event of the kernel for the descriptor of that generation. `m`: inside, its processor gets those that are
  /// woken; null: they go to the global queue of s.
  void notify(std::uint32_t generation, std::uint32_t events, scheduler& s, machine* m) noexcept;
  /// Fetches what notify() touches.
  void prefetch() const noexcept {
    for (std::size_t line = 0; line < sizeof(*this); line += 64)
      __builtin_prefetch(reinterpret_cast<const char*>(this) + line);
  }
  /// Whether a fiber waits for an event.
  bool awaited() const noexcept { return ((word(poll_side::read) | word(poll_side::write)) & waiting) != 0; }
  /// In a forked child: only the calling thread is there.
  void forget_others() noexcept;
  /// In a forked child, after that: ends what another thread of the parent was about to close, or to open here, since
  /// nobody does so any more. True: the slot is free now, and in no list.
  bool end_as_left() noexcept;
  /// The heaps are gone.
  void forget_alarms() noexcept;

  const std::uint32_t index = 0;
  poll_slot* next_free = nullptr;  ///< in the list of free ones; one that is in use points to itself

  explicit poll_slot(std::uint32_t i) noexcept;

 private:
  struct alarm_clock : timer {
    poll_slot* slot = nullptr;
  };
  struct side_state {
    atomic<std::uint32_t> word{ready};
    bool armed = false;  // the alarm is
    nanoseconds_t deadline = no_deadline;
    fifo<waiter> fibers;
    fifo<poll_thread> threads;
    alarm_clock alarm;
  };
  side_state& of(poll_side side) noexcept { return sides_[static_cast<std::size_t>(side)]; }
  const side_state& of(poll_side side) const noexcept { return sides_[static_cast<std::size_t>(side)]; }
  std::uint64_t tag() const noexcept;
  bool drop() noexcept;
  void finish() noexcept;
  int watch() noexcept;
  void pass_on(poll_side side) noexcept;
  void kick_threads(side_state& s) noexcept HEDDLE_REQUIRES(lock_);
  waiter* take(side_state& s, bool all, bool closed) noexcept HEDDLE_REQUIRES(lock_);
  waiter* take_overdue(side_state& s, nanoseconds_t now, nanoseconds_t& next) noexcept HEDDLE_REQUIRES(lock_);
  void note_event(side_state& s, std::uint32_t bits) noexcept HEDDLE_REQUIRES(lock_);
  friend class poll_waiter;
  bool queue(side_state& s, poll_waiter& w, machine& m) noexcept HEDDLE_REQUIRES(lock_);
  void leave(side_state& s, poll_waiter& w) noexcept;
  void await_end(std::uint32_t generation) noexcept;
  void note_waiters(side_state& s) noexcept HEDDLE_REQUIRES(lock_);
  void arm(machine& m, side_state& s, nanoseconds_t deadline) noexcept HEDDLE_REQUIRES(lock_);
  void arm_elsewhere(side_state& s, nanoseconds_t deadline) noexcept HEDDLE_REQUIRES(lock_);
  static void ring(timer& t, machine& m) noexcept;
  poll_outcome wait_on_thread(poll_side side, const wait_bounds& bounds) noexcept;
  bool must_wait(side_state& s, poll_outcome& outcome) noexcept HEDDLE_REQUIRES(lock_);

  static constexpr std::uint64_t closed_bit = 1u << 31;
  // The generation above, `closed_bit`, and the number of operations.
  atomic<std::uint64_t> life_{(std::uint64_t{1} << 32) | closed_bit};
  atomic<int> fd_{-1};                   // relaxed: `life_` says when it counts
  bool keep_ = false;                    // close() is not to close the descriptor
  atomic<std::uint32_t> watched_in_{0};  // the era of the poller that reports its events, 0: none
  thread_mutex lock_{lock_rank::descriptor};
  waiter* closers_ HEDDLE_GUARDED_BY(lock_) = nullptr;  // wait until the last operation is over; linked by `slot`
  std::array<side_state, 2> sides_;
};

}  // namespace heddle::detail
