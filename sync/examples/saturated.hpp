// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

namespace examples {

/// `d` in nanoseconds: 0 if it is not positive or no number, the longest there is if it is longer than that.
template <class Rep, class Period>
constexpr std::chrono::nanoseconds saturated(std::chrono::duration<Rep, Period> d) noexcept {
  using fractional = std::chrono::duration<long double, std::nano>;
  if (!(d.count() > 0)) return std::chrono::nanoseconds::zero();
  if (fractional(d) >= fractional(std::chrono::nanoseconds::max())) return std::chrono::nanoseconds::max();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(d);
}

}  // namespace examples
