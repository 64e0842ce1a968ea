// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>

#include "heddle/detail/config.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/preemption.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::detail {

/// One side of a meeting that has to wait: a blocked send or receive. On the stack of the blocked one. It is not
/// the waiter itself, since one fiber can wait at several channels at once.
struct channel_waiter {
  enum class outcome : std::uint8_t {
    delivered,  ///< The value went over: out of or into `slot`.
    closed,     ///< The channel was closed; `slot` was not touched.
    failed,     ///< Moving the value out of a sender's `slot` threw `error`; the sender still has the value.
  };

  channel_waiter* next = nullptr;
  channel_waiter* prev = nullptr;
  void* slot;                 ///< a sender's T to move from, a receiver's std::optional<T> to fill
  waiter self;                ///< whom to wake
  std::exception_ptr* error;  ///< a sender's, if moving T can throw
  outcome result = outcome::closed;

  explicit channel_waiter(void* value, std::exception_ptr* failure = nullptr) noexcept : slot(value), error(failure) {}

  /// Lets the blocked one go on. The last touch of this object by the caller.
  void finish(outcome how) noexcept {
    result = how;
    self.wake();
  }
};

/// What a channel is apart from its values: the lock, the counts of the ring, those who wait. The typed half,
/// channel<T>, moves values under this lock and hands them over directly.
///
/// Invariants, under the lock:
/// 1. At least one of the two queues is empty.
/// 2. Receivers wait only while the ring is empty and the channel open; senders only while the ring is full
///    and the channel open.
/// 3. A blocked receiver gets its value from the sender directly; the value of a blocked sender is taken, or moved
///    into the ring, by the receiver that makes room. So whoever is woken need not look at the channel again.
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
  channel_waiter* first_receiver() noexcept { return receivers_.front(); }
  channel_waiter* pop_receiver() noexcept { return receivers_.pop_front(); }
  channel_waiter* pop_sender() noexcept { return senders_.pop_front(); }

  /// Queues and blocks the caller, and returns without the lock when somebody has finished() it.
  /// Inline: frames between the switch and the caller cost most right after it, when nothing is predicted.
  void wait_as_sender(channel_waiter& self) noexcept { wait_in(senders_, self); }
  void wait_as_receiver(channel_waiter& self) noexcept { wait_in(receivers_, self); }

  /// Closes and wakes everybody. Takes the lock itself. False: it was closed before.
  HEDDLE_EXPORT bool close() noexcept;

 private:
  void wait_in(fifo<channel_waiter>& queue, channel_waiter& self) noexcept {
    if (HEDDLE_PLANTED(look_and_queue_apart)) {
      unlock();
      lock();
    }
    queue.push_back(self);
    self.self.park([](void* core) { static_cast<channel_core*>(core)->unlock(); }, this);
  }
  [[noreturn]] HEDDLE_EXPORT void destroyed_in_use() const noexcept;
  // A conditional wrap: the ring may have any size, and a division costs more than the rest of a send.
  void advance(std::size_t& index) const noexcept {
    if (++index == capacity_) index = 0;
  }

  thread_mutex lock_;
  bool closed_ = false;
  std::size_t size_ = 0;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  const std::size_t capacity_;
  fifo<channel_waiter> receivers_;
  fifo<channel_waiter> senders_;
};

}  // namespace heddle::detail
