// SPDX-License-Identifier: BSL-1.0
//
// Types of std whose members are known. Included by layout.hpp at its end.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>

#include "heddle/gc/layout.hpp"

namespace heddle::gc {

template <class A, class B>
struct trace<std::pair<A, B>> {
  using laid_out_as = detail::types<A, B>;
};
template <class T, std::size_t N>
struct trace<std::array<T, N>> {
  using laid_out_as = detail::types<T[N]>;
};
template <class T>
struct trace<std::array<T, 0>> {
  static constexpr bool noscan = true;
};
template <class T>
struct trace<std::atomic<T>> {
  using laid_out_as = detail::types<T>;
};
// Where their values are is std's secret: scanned word by word if they hold an address.
template <class... T>
struct trace<std::tuple<T...>> {
  using hides = detail::types<T...>;
  static constexpr bool silent = (!needs_destructor<T> && ...);
};
template <class T>
struct trace<std::optional<T>> {
  using hides = detail::types<T>;
  static constexpr bool silent = !needs_destructor<T>;
};
template <class... T>
struct trace<std::variant<T...>> {
  using hides = detail::types<T...>;
  static constexpr bool silent = (!needs_destructor<T> && ...);
};
template <class Rep, class Period>
struct trace<std::chrono::duration<Rep, Period>> {
  static constexpr bool noscan = true;
};
template <class Clock, class Duration>
struct trace<std::chrono::time_point<Clock, Duration>> {
  static constexpr bool noscan = true;
};
// These own no collected object: they would give it back.
template <class T>
struct trace<std::unique_ptr<T>> {
  static constexpr bool noscan = true;
};
template <class T>
struct trace<std::shared_ptr<T>> {
  static constexpr bool noscan = true;
};
template <class T>
struct trace<std::weak_ptr<T>> {
  static constexpr bool noscan = true;
};

}  // namespace heddle::gc
