// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "heddle/detail/channel_core.hpp"
#include "heddle/detail/scanned_memory.hpp"
#include "heddle/received.hpp"

namespace heddle::detail {

[[noreturn]] HEDDLE_EXPORT void throw_channel_closed(const char* operation);

/// The half of a channel that knows its values: moves them between the ring, and the stacks of those who wait.
///
/// Functions that say "with the lock" have it from their caller, as `Lock`, whose unlock() they call before they wake
/// anybody: a channel_lock, or, in a select, that of all its channels.
template <class T>
class typed_channel : public channel_core {
 public:
  explicit typed_channel(std::size_t capacity)
      : channel_core(capacity), ring_(allocate(capacity)), scanned_(ring_, 0) {}
  ~typed_channel() {
    while (size() != 0) drop_oldest();
    scanned_.end();
    if (ring_) std::allocator<T>().deallocate(ring_, capacity());
  }

  /// With the lock: passes the value on without blocking, and unlocks; or returns false, with the lock.
  template <class Lock>
  bool offer(T& value, Lock& lock) {
    if (closed()) [[unlikely]] {
      lock.unlock();
      throw_channel_closed("send()");
    }
    channel_waiter* receiver = nullptr;
    if constexpr (safe_moves) {
      receiver = pop_receiver();
      if (receiver) place_of(*receiver).emplace(std::move(value));
      if (HEDDLE_PLANTED(receiver_woken_twice) && receiver) unpop_receiver(*receiver);
    } else {
      receiver = next_receiver();
      if (receiver) move_to(*receiver, value, lock);
    }
    if (receiver) {
      lock.unlock();
      receiver->finish(outcome::delivered);
      return true;
    }
    if (full()) return false;
    push(value);
    lock.unlock();
    return true;
  }
  /// With the lock: receives without blocking, and unlocks; or returns false, with the lock.
  template <class Lock>
  bool take(std::optional<T>& value, Lock& lock) {
    channel_waiter* sender = nullptr;
    if constexpr (safe_moves) sender = pop_sender();
    if (size() != 0) {
      value.emplace(std::move(ring_[head()]));
      drop_oldest();
      const auto refill = [&](T& sent) { push(sent); };
      if constexpr (!safe_moves)
        sender = pop_moved_sender(refill);
      else if (sender)
        refill(value_of(*sender));
    } else {
      const auto receive = [&](T& sent) { value.emplace(std::move(sent)); };
      if constexpr (!safe_moves) sender = pop_moved_sender(receive);
      if (!sender) return false;
      if constexpr (safe_moves) receive(value_of(*sender));
    }
    lock.unlock();
    if (sender) sender->finish(outcome::delivered);
    return true;
  }
  /// With the lock: waits for a receiver to take the value; releases the lock.
  void send_blocked(T& value, channel_lock& lock) {
    lock.release();
    waiter sleeper;
    if constexpr (safe_moves) {
      channel_waiter self(std::addressof(value), &sleeper);
      wait_as_sender(self);
      if (self.result == outcome::closed) [[unlikely]]
        throw_channel_closed("send()");
    } else {
      std::exception_ptr error;
      channel_waiter self(std::addressof(value), &sleeper, &error);
      wait_as_sender(self);
      check_sent(self, error);
    }
  }

  /// Blocks until there is a value, or none will come: then `value` stays empty.
  void receive_into(std::optional<T>& value) {
    channel_lock lock(*this);
    if (take(value, lock) || closed()) return;
    lock.release();
    waiter sleeper;
    channel_waiter self(&value, &sleeper);
    wait_as_receiver(self);
  }

  /// Sends within bounds, which `within()` makes if there is something to wait for, since that takes a look at the
  /// clock.
  template <class Within>
  channel_status send_within(T& value, Within within) {
    {
      channel_lock lock(*this);
      if (offer(value, lock)) return channel_status::received;
    }
    const wait_bounds bounds = within();
    if (over(bounds)) return why_over(bounds);
    bounded_waiter sleeper(bounds);
    std::exception_ptr error;
    channel_waiter self(std::addressof(value), &sleeper, &error);
    channel_lock lock(*this);
    if (offer(value, lock)) return channel_status::received;
    lock.release();
    const wait_state how = wait_as_sender(self, sleeper);
    if (how != wait_state::signalled) return why_ended(how);
    check_sent(self, error);
    return channel_status::received;
  }

  template <class Within>
  channel_status receive_within(std::optional<T>& value, Within within) {
    {
      channel_lock lock(*this);
      if (take(value, lock)) return channel_status::received;
      if (closed()) return channel_status::closed;
    }
    const wait_bounds bounds = within();
    if (over(bounds)) return why_over(bounds);
    bounded_waiter sleeper(bounds);
    for (;; sleeper.rearm(bounds)) {
      channel_waiter self(&value, &sleeper);
      channel_lock lock(*this);
      if (take(value, lock)) return channel_status::received;
      if (closed()) return channel_status::closed;
      lock.release();
      const wait_state how = wait_as_receiver(self, sleeper);
      if (how != wait_state::signalled) return why_ended(how);
      if (self.result == outcome::delivered) return channel_status::received;
      if (self.result == outcome::closed) return channel_status::closed;
    }
  }

 private:
  using outcome = channel_waiter::outcome;
  static constexpr bool safe_moves = std::is_nothrow_move_constructible_v<T>;

  static T* allocate(std::size_t capacity) { return capacity ? std::allocator<T>().allocate(capacity) : nullptr; }
  static std::optional<T>& place_of(const channel_waiter& receiver) noexcept {
    return *static_cast<std::optional<T>*>(receiver.slot);
  }
  static T& value_of(const channel_waiter& sender) noexcept { return *static_cast<T*>(sender.slot); }

  static void check_sent(const channel_waiter& self, std::exception_ptr& error) {
    if (self.result == outcome::closed) [[unlikely]]
      throw_channel_closed("send()");
    if (self.result == outcome::failed) [[unlikely]]
      std::rethrow_exception(std::move(error));
  }

  static channel_status why_over(const wait_bounds& bounds) noexcept {
    return bounds.stop->stop_requested() ? channel_status::stopped : channel_status::timed_out;
  }
  static channel_status why_ended(wait_state how) noexcept {
    return how == wait_state::stopped ? channel_status::stopped : channel_status::timed_out;
  }

  /// For a move that may throw: then the receiver waits on, or, if it has been claimed, goes round; and the value
  /// stays.
  template <class Lock>
  void move_to(channel_waiter& receiver, T& value, Lock& lock) {
    const bool claimed = receiver.self->has_bounds();
    try {
      place_of(receiver).emplace(std::move(value));
    } catch (...) {
      lock.unlock();
      if (claimed && !HEDDLE_PLANTED(claimed_though_not_served)) receiver.finish(outcome::again);
      throw;
    }
    if (!claimed) pop_served_receiver();
  }

  /// With the lock, for moves that may throw: lets `move` have the value of the first blocked sender, and returns that
  /// one; null if there is none. A sender whose value cannot be moved gets the exception, and the next one its turn.
  template <class Move>
  channel_waiter* pop_moved_sender(Move move) noexcept {
    while (channel_waiter* const sender = pop_sender()) {
      try {
        move(value_of(*sender));
        return sender;
      } catch (...) {
        *sender->error = std::current_exception();
      }
      sender->finish(outcome::failed);
    }
    return nullptr;
  }

  void push(T& value) {
    T* const place = ring_ + tail();
    scanned_.begins_value(place, sizeof(T));
    std::construct_at(place, std::move(value));
    pushed();
  }
  void drop_oldest() noexcept {
    T* const place = ring_ + head();
    std::destroy_at(place);
    scanned_.ended_value(place, sizeof(T));
    popped();
  }

  T* const ring_;                              // capacity places, those from head to tail constructed
  [[no_unique_address]] range_of<T> scanned_;  // the places that have been used
};

}  // namespace heddle::detail
