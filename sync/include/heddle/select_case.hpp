// SPDX-License-Identifier: BSL-1.0
//
// What select() chooses from, as objects.
#pragma once

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "heddle/channel.hpp"
#include "heddle/detail/selection.hpp"

namespace heddle {

/// The case of receiving from a channel. May take part in one select after another; see select(). Can be moved between
/// selects, with its result, so that a std::vector of them works; a case that was moved from is never ready.
template <class T>
class receive_case : public select_case {
 public:
  /// The channel outlives the selects that this takes part in. nullptr: never ready.
  explicit receive_case(channel<T>* from) noexcept
      : select_case(from ? &from->inner_ : nullptr, attempt_of, direction::receives, &value_), from_(from) {}
  explicit receive_case(channel<T>& from) noexcept : receive_case(&from) {}
  receive_case(receive_case&& other) noexcept(std::is_nothrow_move_constructible_v<T>)
      : select_case(other, &value_), from_(other.from_), value_(std::move(other.value_)) {
    other.lose_channel();
  }
  receive_case& operator=(receive_case&& other) noexcept(std::is_nothrow_move_constructible_v<T>) {
    if (this == &other) return *this;
    value_.reset();
    if (other.value_) value_.emplace(std::move(*other.value_));
    from_ = other.from_;
    take_over(other);
    return *this;
  }

  /// What was received, if the last select chose this case; it may be moved from. nullopt: the channel is closed and
  /// drained, or another case was chosen.
  std::optional<T>& result() noexcept {
    if (!delivered()) value_.reset();
    return value_;
  }

 private:
  friend class detail::selection;
  static bool attempt_of(select_case& self, detail::select_lock& lock) {
    return static_cast<receive_case&>(self).attempt(lock);
  }
  bool attempt(detail::select_lock& lock) {
    using outcome = detail::channel_waiter::outcome;
    detail::typed_channel<T>& channel = from_->inner_;
    if (channel.take(value_, lock)) {
      came_to(outcome::delivered);
      return true;
    }
    if (!channel.closed()) return false;
    came_to(outcome::closed);
    lock.unlock();
    return true;
  }

  channel<T>* from_;
  std::optional<T> value_;
};

namespace detail {
struct no_error {};
inline std::exception_ptr* address_of(no_error&) noexcept { return nullptr; }
inline std::exception_ptr* address_of(std::exception_ptr& error) noexcept { return &error; }
}  // namespace detail

/// The case of sending a value to a channel; see select(). It holds the value, which is gone when this case has been
/// chosen; give it another one by value() before it takes part in another select. Can be moved between selects, with
/// its value (and assigned if T can); a case that was moved from is never ready.
template <class T>
class send_case : public select_case {
 public:
  /// The channel outlives the selects that this takes part in. nullptr: never ready. Throws what moving T throws.
  send_case(channel<T>* to, std::type_identity_t<T> value)
      : select_case(to ? &to->inner_ : nullptr, attempt_of, direction::sends, &value_, detail::address_of(error_)),
        to_(to),
        value_(std::move(value)) {}
  send_case(channel<T>& to, std::type_identity_t<T> value) : send_case(&to, std::move(value)) {}
  send_case(send_case&& other) noexcept(std::is_nothrow_move_constructible_v<T>)
      : select_case(other, &value_, detail::address_of(error_)), to_(other.to_), value_(std::move(other.value_)) {
    other.lose_channel();
  }
  send_case& operator=(send_case&& other) noexcept(
      std::is_nothrow_move_assignable_v<T>) requires std::is_move_assignable_v<T> {
    if (this == &other) return *this;
    value_ = std::move(other.value_);
    to_ = other.to_;
    take_over(other);
    return *this;
  }

  /// What is to be sent.
  T& value() noexcept { return value_; }

 private:
  friend class detail::selection;
  static bool attempt_of(select_case& self, detail::select_lock& lock) {
    return static_cast<send_case&>(self).attempt(lock);
  }
  bool attempt(detail::select_lock& lock) { return to_->inner_.offer(value_, lock); }

  channel<T>* to_;
  T value_;
  [[no_unique_address]] std::conditional_t<std::is_nothrow_move_constructible_v<T>, detail::no_error,
                                           std::exception_ptr>
      error_;
};

}  // namespace heddle
