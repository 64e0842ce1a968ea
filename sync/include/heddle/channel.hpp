// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "heddle/detail/channel_core.hpp"
#include "heddle/detail/config.hpp"

namespace heddle {

/// Thrown by send() and try_send() on a closed channel, and by close() on one that is closed already.
class HEDDLE_EXPORT channel_closed : public std::logic_error {
 public:
  explicit channel_closed(const char* operation);
  ~channel_closed() override;
};

namespace detail {
[[noreturn]] HEDDLE_EXPORT void throw_channel_closed(const char* operation);
}  // namespace detail

/// A queue of values between fibers, plain threads, or both. Without a capacity a send waits for its receive; with
/// one, sends run ahead by that many values. Waiting blocks the calling fiber only.
///
///     heddle::run([] {
///       heddle::channel<std::string> lines(16);
///       heddle::go([&] {
///         for (int i = 0; i < 100; ++i) lines.send(std::to_string(i));
///         lines.close();
///       });
///       for (const std::string& line : lines) std::puts(line.c_str());   // until closed and drained
///     });
///
/// Std has no counterpart. Unlike a Go channel it is an object, not a reference to one: share it by reference or by
/// std::shared_ptr, and let nobody use it when it is destroyed (values left inside are destroyed with it;
/// a fiber left waiting ends the process with a message). Receiving from a closed channel gives nullopt instead
/// of a zero value; what is a panic in Go is the exception channel_closed here.
///
/// Order: values of one sender arrive in the order sent; blocked senders, and blocked receivers, are served first
/// come first served. What a sender did before send() is seen by the one who received the value.
///
/// T needs a move constructor only. Its moves run under the channel's lock: they must not block, nor use the
/// channel. A move that throws loses and duplicates nothing: on the way in it is send() that throws, and the
/// value is still the caller's; on the way out of the buffer it is receive(), and the value is still the
/// first in the buffer (in the state that T's move constructor left it in).
///
/// All operations: O(1), but close() O(those who wait). From fibers and plain threads.
///
/// Source: Go's runtime/chan.go (one lock, direct hand-over between the stacks of sender and receiver).
template <class T>
class channel {
  static_assert(std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T>, "a channel carries objects");
  static_assert(std::is_move_constructible_v<T>, "a value must be movable to get from one fiber to another");
  static_assert(std::is_nothrow_destructible_v<T>, "a value must be destructible without an exception");

 public:
  using value_type = T;
  class iterator;

  /// An open channel. Capacity 0: each send waits for its receive. Throws std::bad_alloc, or std::bad_array_new_length
  /// for a capacity beyond the address space. The buffer is allocated at once: capacity * sizeof(T) bytes.
  explicit channel(std::size_t capacity = 0) : core_(capacity), ring_(allocate(capacity)) {}
  channel(const channel&) = delete;
  channel& operator=(const channel&) = delete;
  ~channel() {
    while (core_.size() != 0) drop_oldest();
    if (ring_) std::allocator<T>().deallocate(ring_, core_.capacity());
  }

  /// Sends a value; blocks while no receiver waits and the buffer is full.
  /// Throws channel_closed if the channel is closed, also when that happens while it waits (the value then stays
  /// with the caller, not moved from), and what copying or moving T throws.
  void send(T&& value) {
    std::unique_lock lock(core_);
    if (offer(value, lock)) [[likely]]
      return;
    send_blocked(value, lock);
  }
  void send(const T& value) { send(T(value)); }

  /// Sends if that can be done without blocking; else returns false, and the value stays with the caller.
  /// Throws as send() does.
  [[nodiscard]] bool try_send(T&& value) {
    std::unique_lock lock(core_);
    return offer(value, lock);
  }
  [[nodiscard]] bool try_send(const T& value) { return try_send(T(value)); }

  /// Receives the oldest value; blocks while there is none. nullopt: the channel is closed and drained.
  /// Throws what moving T out of the buffer throws.
  [[nodiscard]] std::optional<T> receive() {
    std::optional<T> value;
    receive_into(value);
    return value;
  }

  /// Receives if that can be done without blocking. nullopt: nothing there now. It is the last word only if
  /// closed() was true before the call.
  [[nodiscard]] std::optional<T> try_receive() {
    std::optional<T> value;
    std::unique_lock lock(core_);
    take(value, lock);
    return value;
  }

  /// Closes: blocked and later senders get channel_closed; receivers get what is in the buffer and then nullopt.
  /// Anybody may close. Throws channel_closed if it was closed before. Never blocks.
  void close() {
    if (!core_.close()) detail::throw_channel_closed("close()");
  }

  /// A snapshot, which others may have changed by the time it is looked at; only "closed" is for ever.
  [[nodiscard]] bool closed() const noexcept {
    std::lock_guard lock(core_);
    return core_.closed();
  }
  /// Values in the buffer now: a snapshot. 0 for a channel without capacity.
  [[nodiscard]] std::size_t size() const noexcept {
    std::lock_guard lock(core_);
    return core_.size();
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return core_.capacity(); }

  /// For range-for: each step receives one value, until the channel is closed and drained. begin() receives too.
  [[nodiscard]] iterator begin() { return iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  using core_lock = std::unique_lock<detail::channel_core>;
  using waiter = detail::channel_waiter;
  using outcome = waiter::outcome;
  static constexpr bool safe_moves = std::is_nothrow_move_constructible_v<T>;

  static T* allocate(std::size_t capacity) { return capacity ? std::allocator<T>().allocate(capacity) : nullptr; }

  /// With the lock: passes the value on without blocking, and unlocks; or returns false, with the lock.
  bool offer(T& value, core_lock& lock) {
    if (core_.closed()) [[unlikely]] {
      lock.unlock();
      detail::throw_channel_closed("send()");
    }
    if (waiter* const receiver = core_.first_receiver()) {
      static_cast<std::optional<T>*>(receiver->slot)->emplace(std::move(value));
      if (!HEDDLE_PLANTED(receiver_woken_twice)) core_.pop_receiver();  // only now: the move may have thrown
      lock.unlock();
      receiver->finish(outcome::delivered);
      return true;
    }
    if (core_.full()) return false;
    std::construct_at(ring_ + core_.tail(), std::move(value));
    core_.pushed();
    lock.unlock();
    return true;
  }

  /// With the lock: waits for a receiver to take the value; releases the lock.
  void send_blocked(T& value, core_lock& lock) {
    lock.release();
    if constexpr (safe_moves) {
      waiter self(std::addressof(value));
      core_.wait_as_sender(self);
      if (self.result == outcome::closed) [[unlikely]]
        detail::throw_channel_closed("send()");
    } else {
      std::exception_ptr error;
      waiter self(std::addressof(value), &error);
      core_.wait_as_sender(self);
      if (self.result == outcome::closed) detail::throw_channel_closed("send()");
      if (self.result == outcome::failed) std::rethrow_exception(std::move(error));
    }
  }

  void receive_into(std::optional<T>& value) {
    std::unique_lock lock(core_);
    if (take(value, lock) || core_.closed()) return;
    waiter self(&value);
    lock.release();
    core_.wait_as_receiver(self);
  }

  /// With the lock: receives without blocking, and unlocks; or returns false, with the lock.
  bool take(std::optional<T>& value, core_lock& lock) {
    if (core_.size() == 0) return take_from_sender(lock, [&](T& sent) { value.emplace(std::move(sent)); });
    value.emplace(std::move(ring_[core_.head()]));
    drop_oldest();
    const bool refilled = take_from_sender(lock, [&](T& sent) {
      std::construct_at(ring_ + core_.tail(), std::move(sent));
      core_.pushed();
    });
    if (!refilled) lock.unlock();
    return true;
  }

  /// With the lock: lets `move` have the value of the first blocked sender, and unlocks; or returns false, with the
  /// lock, if there is none. A sender whose value cannot be moved gets the exception, and the next one its turn.
  template <class Move>
  bool take_from_sender(core_lock& lock, Move move) {
    while (waiter* const sender = core_.pop_sender()) {
      if (!moved(*sender, move)) {
        sender->finish(outcome::failed);
        continue;
      }
      lock.unlock();
      sender->finish(outcome::delivered);
      return true;
    }
    return false;
  }

  template <class Move>
  static bool moved(const waiter& sender, Move& move) noexcept {
    T& value = *static_cast<T*>(sender.slot);
    if constexpr (safe_moves) {
      move(value);
      return true;
    } else {
      try {
        move(value);
        return true;
      } catch (...) {
        *sender.error = std::current_exception();
        return false;
      }
    }
  }

  void drop_oldest() noexcept {
    std::destroy_at(ring_ + core_.head());
    core_.popped();
  }

  mutable detail::channel_core core_;
  T* const ring_;  // capacity places, those from head to tail constructed
};

/// What range-for over a channel uses: an input iterator that owns the value last received.
template <class T>
class channel<T>::iterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;

  explicit iterator(channel& source) : source_(&source) { source.receive_into(value_); }
  /// The value; it may be moved from.
  T& operator*() const noexcept { return *value_; }
  T* operator->() const noexcept { return std::addressof(*value_); }
  iterator& operator++() {
    value_.reset();
    source_->receive_into(value_);
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const iterator& at, std::default_sentinel_t) noexcept { return !at.value_.has_value(); }

 private:
  channel* source_;
  mutable std::optional<T> value_;
};

}  // namespace heddle
