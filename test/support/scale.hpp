// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

namespace heddle::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool thread_sanitized = true;
#else
inline constexpr bool thread_sanitized = false;
#endif
#else
inline constexpr bool thread_sanitized = false;
#endif

/// How often a test repeats: as often as asked, and a fraction of that under a sanitizer.
constexpr int times(int plain, int fraction = 20) {
  return sanitized ? (plain / fraction > 0 ? plain / fraction : 1) : plain;
}

/// What is still in time: as much as a machine with other things to do may need, and less than who waits for ever.
inline constexpr std::chrono::seconds late{20};

}  // namespace heddle::testing
