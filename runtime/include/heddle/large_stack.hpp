// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "heddle/detail/config.hpp"

namespace heddle {

namespace detail {
/// f(argument) with so many bytes of stack, on a further segment if need be.
HEDDLE_EXPORT void call_on_large_stack(void (*f)(void*), void* argument, std::size_t bytes);
}  // namespace detail

/// What on_large_stack() has when nothing is said: enough for printf with anything but numbers of thousands of digits.
inline constexpr std::size_t large_stack = std::size_t{64} << 10;

/// Returns f(), called where at least `bytes` of stack are free. On a fiber whose stack grows, that may be a further
/// segment, which is given back when f has ended; everywhere else it is the stack as it is.
///
/// For code that was not compiled with -fsplit-stack and needs more than the 16 KiB that it always has, and for loops
/// that call such code: they pay once instead of at each call.
///
/// f may suspend the fiber, and may throw.
/// Complexity: O(1), about 5 ns; a segment of more than 64 KiB for the first time costs page faults.
/// From fibers and plain threads.
///
/// \code
/// heddle::on_large_stack([&] { ::getaddrinfo(host, service, &hints, &found); });
/// \endcode
template <class F>
std::invoke_result_t<F> on_large_stack(F&& f, std::size_t bytes = large_stack) {
  using result = std::invoke_result_t<F>;
  if constexpr (std::is_void_v<result>) {
    detail::call_on_large_stack([](void* at) { std::forward<F> (*static_cast<std::remove_reference_t<F>*>(at))(); },
                                const_cast<void*>(static_cast<const void*>(std::addressof(f))), bytes);
  } else {
    using stored = std::conditional_t<std::is_reference_v<result>, std::add_pointer_t<result>, result>;
    struct call {
      std::remove_reference_t<F>* f;
      std::optional<stored> value;
    } c{std::addressof(f), {}};
    detail::call_on_large_stack(
        [](void* at) {
          auto& self = *static_cast<call*>(at);
          if constexpr (std::is_reference_v<result>)
            self.value.emplace(std::addressof(std::forward<F>(*self.f)()));
          else
            self.value.emplace(std::forward<F>(*self.f)());
        },
        &c, bytes);
    if constexpr (std::is_reference_v<result>)
      return static_cast<result>(**c.value);
    else
      return std::move(*c.value);
  }
}

}  // namespace heddle
