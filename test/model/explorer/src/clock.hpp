// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

namespace model::detail {

inline constexpr unsigned max_threads = 16;

/// A thread's own count of its operations.
using epoch_t = std::int32_t;

/// For each thread, the newest of its operations that is covered. Source: C. Fidge; F. Mattern,
/// 1988.
struct clock {
  alignas(16) epoch_t at[max_threads] = {};

  void join(const clock& other) noexcept {
    for (unsigned i = 0; i < max_threads; ++i) at[i] = at[i] < other.at[i] ? other.at[i] : at[i];
  }
};

/// What a thread knows, and what a release hands on.
///
/// 1. `happened` is happens-before: it grows by acquire alone, and orders plain data.
/// 2. `visible` says which stores a read may no longer overlook. It covers `happened`, and grows by seq_cst fences
///    too, which order atomics but make no happens-before.
/// 3. `sc_stores` is the number of seq_cst stores made before the last seq_cst fence known here; those stores may not
///    be overlooked either ([atomics.order] 4.2).
struct knowledge {
  clock happened;
  clock visible;
  std::uint32_t sc_stores = 0;

  void join(const knowledge& other) noexcept {
    happened.join(other.happened);
    visible.join(other.visible);
    if (sc_stores < other.sc_stores) sc_stores = other.sc_stores;
  }
};

}  // namespace model::detail
