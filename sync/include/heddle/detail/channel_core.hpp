// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/preemption.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::detail {

/// One side of a meeting that has to wait: a blocked send or receive. On the stack of the blocked one, whose waiter it
/// refers to, since one fiber can wait at several channels at once (select).
///
/// Who takes it out of a queue asks claim(), under the channel's lock. If that says no, the blocked one has ended its
/// wait otherwise or is served by another channel: it gets nothing, and the next in the queue has its turn.
struct channel_waiter {
  enum class outcome : std::uint8_t {
    pending,    ///< Nobody has taken it out and claimed it.
    delivered,  ///< The value went over: out of or into `slot`.
    closed,     ///< The channel was closed; `slot` was not touched.
    failed,     ///< Moving the value out of a sender's `slot` threw `error`; the sender still has the value.
    again,      ///< Moving a value into a receiver's `slot` threw after the claim; it has to begin anew.
  };

  channel_waiter* next = nullptr;
  channel_waiter* prev = nullptr;
  void* slot;                 ///< a sender's T to move from (null: room_case), a receiver's std::optional<T> to fill
  waiter* self;               ///< whom to wake
  std::exception_ptr* error;  ///< a sender's, if moving T can throw
  outcome result = outcome::pending;

  channel_waiter(void* value, waiter* blocked, std::exception_ptr* failure = nullptr) noexcept
      : slot(value), self(blocked), error(failure) {}

  bool claim() noexcept { return !self->has_bounds() || claim_with_bounds(); }
  /// Lets the blocked one go on. The last touch of this object by the caller.
  void finish(outcome how) noexcept {
    result = how;
    self->wake();
  }

 private:
  // Apart, so that what most sends and receives never need does not keep them from being inlined.
  [[gnu::noinline]] bool claim_with_bounds() noexcept {
    if (slot == nullptr) [[unlikely]]
      return tell_of_room();
    return HEDDLE_PLANTED(taken_without_claim) || self->claim();
  }
  /// A waiter that only wants to know of room (room_case) is woken by the fiber that would take its value, and is not
  /// taken for a sender.
  [[gnu::noinline]] bool tell_of_room() noexcept {
    if (self->claim() && !HEDDLE_PLANTED(room_not_told)) finish(outcome::delivered);
    return false;
  }
};

struct channel_waits;

/// What a channel is apart from its values: the lock, the counts of the ring, those who wait. The typed half,
/// channel<T>, moves values under this lock and hands them over directly.
///
/// Invariants, under the lock:
/// 1. At least one of the two queues is empty.
/// 2. Receivers wait only while the ring is empty and the channel open; senders only while the ring is full
///    and the channel open.
/// 3. A blocked receiver gets its value from the sender directly; the value of a blocked sender is taken, or moved
///    into the ring, by the receiver that makes room. So whoever is woken need not look at the channel again.
/// 4. In 1 and 2 "wait" is said of those who can still be claimed. Others may stay in a queue until their owners take
///    them out; nobody waits because of them. (A select that both sends and receives waits in both queues.)
///
/// Source: Go's runtime/chan.go.
class channel_core {
 public:
  explicit channel_core(std::size_t capacity) noexcept : capacity_(capacity) {}
  channel_core(const channel_core&) = delete;
  channel_core& operator=(const channel_core&) = delete;
  /// Nobody may wait any more: else the process ends with a message.
  ~channel_core() {
    if (!receivers_.empty() || !senders_.empty()) [[unlikely]]
      destroyed_in_use();
  }

  // For std::unique_lock, whose uses the analysis does not see. User code runs under this lock.
  void lock() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    preemption_guard::begin();
    lock_.lock();
  }
  void unlock() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    lock_.unlock();
    preemption_guard::end();
  }

  // Everything below: with the lock held.
  bool closed() const noexcept { return closed_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }
  bool full() const noexcept { return size_ == capacity_; }
  std::size_t head() const noexcept { return head_; }  ///< index of the oldest value
  std::size_t tail() const noexcept { return tail_; }  ///< index of the first free place
  void pushed() noexcept {
    advance(tail_);
    ++size_;
  }
  void popped() noexcept {
    advance(head_);
    --size_;
  }
  /// The first one that can be claimed, out of its queue; null if there is none.
  channel_waiter* pop_receiver() noexcept { return pop(receivers_); }
  channel_waiter* pop_sender() noexcept { return pop(senders_); }
  void unpop_receiver(channel_waiter& w) noexcept { receivers_.push_front(w); }  // for a planted bug
  /// The same, but a receiver whose wait has no bounds stays in the queue, where its turn is kept if it cannot be
  /// served.
  channel_waiter* next_receiver() noexcept {
    while (channel_waiter* const first = receivers_.front()) {
      if (!first->self->has_bounds()) return first;
      receivers_.pop_front();
      if (first->claim()) return first;
    }
    return nullptr;
  }
  /// Takes out the one that next_receiver() has left there.
  void pop_served_receiver() noexcept { receivers_.pop_front(); }

  /// Queues and blocks the caller, and returns without the lock when somebody has finished() it.
  /// Inline: frames between the switch and the caller cost most right after it, when nothing is predicted.
  void wait_as_sender(channel_waiter& self) noexcept { wait_in(senders_, self); }
  void wait_as_receiver(channel_waiter& self) noexcept { wait_in(receivers_, self); }
  /// The same with bounds: returns what ended the wait. Unless that is `signalled`, nothing has happened to `self`.
  wait_state wait_as_sender(channel_waiter& self, bounded_waiter& sleeper) noexcept {
    return wait_in(senders_, self, sleeper);
  }
  wait_state wait_as_receiver(channel_waiter& self, bounded_waiter& sleeper) noexcept {
    return wait_in(receivers_, self, sleeper);
  }

  // For a select, which waits in several channels at once:
  bool can_receive() const noexcept { return size_ != 0 || closed_ || !senders_.empty(); }  ///< or seems so
  bool can_send() const noexcept { return size_ != capacity_ || closed_ || !receivers_.empty(); }
  void queue_sender(channel_waiter& w) noexcept { senders_.push_back(w); }
  void queue_receiver(channel_waiter& w) noexcept { receivers_.push_back(w); }
  void leave_senders(channel_waiter& w) noexcept { leave(senders_, w); }
  void leave_receivers(channel_waiter& w) noexcept { leave(receivers_, w); }
  /// A number below n, any with the same probability. The state of the generator is the channel's, so that none has to
  /// be found for the thread.
  HEDDLE_EXPORT std::uint32_t draw(std::uint32_t n) noexcept;

  /// Closes and wakes everybody. Takes the lock itself. False: it was closed before.
  HEDDLE_EXPORT bool close() noexcept;

 private:
  static channel_waiter* pop(fifo<channel_waiter>& queue) noexcept {
    channel_waiter* const first = queue.front();
    if (!first) return nullptr;
    queue.pop_front();
    return first->claim() ? first : HEDDLE_PLANTED(wakeup_swallowed) ? nullptr : pop_next(queue);
  }
  [[gnu::noinline]] static channel_waiter* pop_next(fifo<channel_waiter>& queue) noexcept {
    return queue.pop_claimed();
  }
  void wait_in(fifo<channel_waiter>& queue, channel_waiter& self) noexcept {
    if (HEDDLE_PLANTED(look_and_queue_apart)) {
      unlock();
      lock();
    }
    queue.push_back(self);
    self.self->park(unlock_for_sleeper, this);
  }
  wait_state wait_in(fifo<channel_waiter>& queue, channel_waiter& self, bounded_waiter& sleeper) noexcept {
    queue.push_back(self);
    const wait_state how = sleeper.park(unlock_for_sleeper, this);
    if (how == wait_state::signalled) return how;
    lock();
    if (!HEDDLE_PLANTED(timed_out_stays_queued)) leave(queue, self);
    unlock();
    return how;
  }
  static void leave(fifo<channel_waiter>& queue, channel_waiter& self) noexcept {
    if (fifo<channel_waiter>::linked(self)) queue.erase(self);
  }
  friend struct channel_waits;  // for reports
  HEDDLE_EXPORT static void unlock_for_sleeper(void* core) noexcept;
  HEDDLE_EXPORT void destroyed_in_use() const noexcept;
  // A conditional wrap: the ring may have any size, and a division costs more than the rest of a send.
  void advance(std::size_t& index) const noexcept {
    if (++index == capacity_) index = 0;
  }

  thread_mutex lock_;
  std::uint32_t luck_ = 0;  // of draw(); 0 until then
  bool closed_ = false;
  std::size_t size_ = 0;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  const std::size_t capacity_;
  fifo<channel_waiter> receivers_;
  fifo<channel_waiter> senders_;
};

/// Holds a lock for a scope, or until unlock() or release(). Less than std::unique_lock, and so inlined.
template <class Lockable>
class scoped_hold {
 public:
  explicit scoped_hold(Lockable& held) noexcept : held_(&held) { held.lock(); }
  scoped_hold(const scoped_hold&) = delete;
  scoped_hold& operator=(const scoped_hold&) = delete;
  ~scoped_hold() {
    if (held_) held_->unlock();
  }
  void unlock() noexcept {
    held_->unlock();
    held_ = nullptr;
  }
  /// Somebody else unlocks it.
  void release() noexcept { held_ = nullptr; }

 private:
  Lockable* held_;
};
using channel_lock = scoped_hold<channel_core>;

}  // namespace heddle::detail
