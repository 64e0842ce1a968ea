// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace heddle::asio::detail {

using boost::system::error_code;

/// The result of a call for the values of a handler: nothing, the value, or a tuple.
template <class... T>
struct returned {
  using type = std::tuple<T...>;
  static type from(std::tuple<T...>&& values) { return std::move(values); }
};
template <class T>
struct returned<T> {
  using type = T;
  static type from(std::tuple<T>&& values) { return std::get<0>(std::move(values)); }
};
template <>
struct returned<> {
  using type = void;
  static void from(std::tuple<>&&) {}
};

/// The values of a handler, and what may stand in their place. Written on the reactor's thread, taken by the caller
/// when it has returned from its wait.
template <class... T>
class values_or_failure {
 public:
  using type = typename returned<T...>::type;

  /// The handler has been destroyed without a call.
  void abandon() noexcept { error_ = boost::asio::error::operation_aborted; }
  /// Instead of all else.
  void fail(std::exception_ptr e) noexcept { thrown_ = std::move(e); }

  /// The result of the call, or an exception. `in_time`: nothing has been cancelled because of a deadline. `place`:
  /// where the error code goes, and success too; null: it is thrown.
  type take(bool in_time, error_code* place) {
    if (thrown_ != nullptr) std::rethrow_exception(std::move(thrown_));
    if (!in_time && error_ == boost::asio::error::operation_aborted) error_ = boost::asio::error::timed_out;
    if (place != nullptr)
      *place = error_;
    else if (error_.failed())
      throw boost::system::system_error(error_);
    if (!values_.has_value()) return without_values();
    return returned<T...>::from(std::move(*values_));
  }

 protected:
  void error(const error_code& e) noexcept { error_ = e; }
  template <class... V>
  void values(V&&... v) noexcept {
    try {
      values_.emplace(std::forward<V>(v)...);
    } catch (...) {
      fail(std::current_exception());
    }
  }

 private:
  /// The handler was not called, and the error code has a place.
  type without_values() {
    if constexpr ((std::is_default_constructible_v<T> && ...))
      return returned<T...>::from(std::tuple<T...>());
    else
      throw boost::system::system_error(error_);
  }

  error_code error_;
  std::exception_ptr thrown_;
  std::optional<std::tuple<T...>> values_;
};

/// How the arguments of a handler with this signature become a result.
template <class Signature>
class outcome;

template <class R, class... T>
class outcome<R(T...)> : public values_or_failure<std::decay_t<T>...> {
 public:
  static constexpr bool has_error_code = false;
  template <class... V>
  void set(V&&... v) noexcept {
    this->values(std::forward<V>(v)...);
  }
};
template <class R, class... T>
class outcome<R(error_code, T...)> : public values_or_failure<std::decay_t<T>...> {
 public:
  static constexpr bool has_error_code = true;
  template <class... V>
  void set(const error_code& e, V&&... v) noexcept {
    this->error(e);
    this->values(std::forward<V>(v)...);
  }
};
template <class R, class... T>
class outcome<R(std::exception_ptr, T...)> : public values_or_failure<std::decay_t<T>...> {
 public:
  static constexpr bool has_error_code = false;
  template <class... V>
  void set(std::exception_ptr e, V&&... v) noexcept {
    if (e != nullptr) return this->fail(std::move(e));
    this->values(std::forward<V>(v)...);
  }
};

}  // namespace heddle::asio::detail
