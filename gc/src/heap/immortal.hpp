// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace heddle::gc::detail {

/// A variable with static storage that is never destroyed: the collector's threads, and destructors of other variables,
/// use it until the process is gone.
template <class T>
union immortal {
  constexpr immortal() noexcept : value() {}
  template <class A>
  explicit immortal(A&& a) noexcept : value(static_cast<A&&>(a)) {}
  ~immortal() {}

  T value;
};

}  // namespace heddle::gc::detail
