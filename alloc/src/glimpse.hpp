// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace heddle::detail {

/// What an owner writes without a lock and without atomics, since `--live` of an atomic would be three instructions
/// where there is one. Read as one word of at most 8 bytes, aligned, so it is a value that was there once; which
/// moment's does not matter to statistics. TSan is told so, and of nothing else.
template <class T>
[[gnu::noinline]] __attribute__((no_sanitize("thread"))) T glimpse(const T& word) noexcept {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  return *static_cast<const volatile T*>(&word);
}

}  // namespace heddle::detail
