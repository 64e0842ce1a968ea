// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "heddle/detail/config.hpp"

namespace heddle {

template <class T>
class channel;

/// How an operation of a channel with a deadline or a stop token ended.
enum class channel_status : std::uint8_t {
  received,   ///< There is a value.
  closed,     ///< The channel is closed and drained: there will never be another.
  timed_out,  ///< The deadline passed first.
  stopped,    ///< A stop was requested first.
};

/// Thrown by received::value() when there is none; status() says why.
class HEDDLE_EXPORT no_value_received : public std::logic_error {
 public:
  explicit no_value_received(channel_status why);
  ~no_value_received() override;
  channel_status status() const noexcept { return status_; }

 private:
  channel_status status_;
};

namespace detail {
[[noreturn]] HEDDLE_EXPORT void throw_no_value_received(channel_status why);
}  // namespace detail

/// What a receive with a deadline or a stop token returns: the value, or why there is none. Used like std::expected
/// of C++23, whose error() is status() here, which may be asked in any case.
///
///     if (auto line = lines.receive_for(10ms))
///       std::puts(line->c_str());
///     else if (line.status() == heddle::channel_status::closed)
///       return;
///
/// A value type, as thread-safe as T.
template <class T>
class [[nodiscard]] received {
 public:
  using value_type = T;

  explicit operator bool() const noexcept { return value_.has_value(); }
  bool has_value() const noexcept { return value_.has_value(); }
  /// `received` exactly if there is a value.
  channel_status status() const noexcept { return status_; }

  // Without a value, undefined as with std::optional.
  T& operator*() & noexcept { return *value_; }
  const T& operator*() const& noexcept { return *value_; }
  T&& operator*() && noexcept { return *std::move(value_); }
  T* operator->() noexcept { return std::addressof(*value_); }
  const T* operator->() const noexcept { return std::addressof(*value_); }

  /// The value; throws no_value_received if there is none.
  T& value() & { return *checked().value_; }
  const T& value() const& { return *checked().value_; }
  T&& value() && { return *std::move(checked().value_); }
  template <class U>
  T value_or(U&& other) const& {
    return value_.value_or(std::forward<U>(other));
  }
  template <class U>
  T value_or(U&& other) && {
    return std::move(value_).value_or(std::forward<U>(other));
  }

 private:
  friend class channel<T>;
  received() = default;
  const received& checked() const {
    if (!value_) detail::throw_no_value_received(status_);
    return *this;
  }
  received& checked() { return const_cast<received&>(std::as_const(*this).checked()); }

  std::optional<T> value_;
  channel_status status_ = channel_status::closed;
};

}  // namespace heddle
