// SPDX-License-Identifier: BSL-1.0
//
// The arguments of select() that are made for one call.
#pragma once

#include <chrono>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "heddle/detail/deadline.hpp"
#include "heddle/detail/selection.hpp"
#include "heddle/select_case.hpp"

namespace heddle {
namespace detail {

struct no_handler {
  void operator()() const noexcept {}
};

template <class T, class F>
class receive_handler final : public receive_case<T> {
 public:
  template <class Channel>
  receive_handler(Channel&& from, F f) : receive_case<T>(from), handler_(std::move(f)) {}
  void chosen() { std::move(handler_)(std::move(this->result())); }

 private:
  F handler_;
};

template <class T, class F>
class send_handler final : public send_case<T> {
 public:
  template <class Channel>
  send_handler(Channel&& to, T value, F f) : send_case<T>(to, std::move(value)), handler_(std::move(f)) {}
  void chosen() { std::move(handler_)(); }

 private:
  F handler_;
};

template <class F>
struct otherwise_handler {
  F handler;
  void chosen() { std::move(handler)(); }
};

template <class Duration, class F>
struct timeout_handler {
  Duration d;
  F handler;
  nanoseconds_t deadline() const { return deadline_after(d); }
  static constexpr bool passed() noexcept { return true; }
  void chosen() { std::move(handler)(); }
};

template <class Clock, class Duration, class F>
struct deadline_handler {
  std::chrono::time_point<Clock, Duration> t;
  F handler;
  bool final = false;
  nanoseconds_t deadline() {
    const deadline_for_now bound = deadline_at(t);
    final = bound.final;
    return bound.deadline;
  }
  /// After deadline() has passed.
  bool passed() const { return final || reached(t); }
  void chosen() { std::move(handler)(); }
};

template <class F>
struct stop_handler {
  const stop_token& stop;
  F handler;
  void chosen() { std::move(handler)(); }
};

}  // namespace detail

/// A case of select(): receives from `from` (a channel or a pointer to one) and calls f(std::optional<T>); nullopt if
/// the channel is closed and drained.
template <class T, class F>
[[nodiscard]] detail::receive_handler<T, F> on_receive(channel<T>& from, F f) {
  return {from, std::move(f)};
}
template <class T, class F>
[[nodiscard]] detail::receive_handler<T, F> on_receive(channel<T>* from, F f) {
  return {from, std::move(f)};
}

/// A case of select(): sends `value` to `to` (a channel or a pointer to one) and calls f(). If another case is chosen,
/// the value is dropped; a send_case keeps it.
template <class T, class F = detail::no_handler>
[[nodiscard]] detail::send_handler<T, F> on_send(channel<T>& to, std::type_identity_t<T> value, F f = {}) {
  return {to, std::move(value), std::move(f)};
}
template <class T, class F = detail::no_handler>
[[nodiscard]] detail::send_handler<T, F> on_send(channel<T>* to, std::type_identity_t<T> value, F f = {}) {
  return {to, std::move(value), std::move(f)};
}

/// A case of select(): chosen if nothing else can be done at once.
template <class F = detail::no_handler>
[[nodiscard]] detail::otherwise_handler<F> otherwise(F f = {}) {
  return {std::move(f)};
}

/// A case of select(): chosen if nothing else could be done for `d`, from the call of select() on.
template <class Rep, class Period, class F = detail::no_handler>
[[nodiscard]] detail::timeout_handler<std::chrono::duration<Rep, Period>, F> on_timeout(
    std::chrono::duration<Rep, Period> d, F f = {}) {
  return {d, std::move(f)};
}

/// A case of select(): chosen if nothing else could be done until `t`, of any clock.
template <class Clock, class Duration, class F = detail::no_handler>
[[nodiscard]] detail::deadline_handler<Clock, Duration, F> on_deadline(std::chrono::time_point<Clock, Duration> t,
                                                                       F f = {}) {
  return {t, std::move(f)};
}

/// A case of select(): chosen if nothing else can be done at once and a stop of `token`, a std::stop_token that
/// outlives the call, has been requested, or is requested before something else can be done.
template <class F = detail::no_handler>
[[nodiscard]] detail::stop_handler<F> on_stop(const detail::stop_token& token, F f = {}) {
  return {token, std::move(f)};
}

}  // namespace heddle
