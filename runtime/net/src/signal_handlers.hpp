// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>

namespace heddle::io::detail {

/// A set of signals, by bits: 1 is the lowest.
using signal_set = std::uint64_t;
inline constexpr int most_signals = 64;
constexpr signal_set bit_of(int number) noexcept { return signal_set{1} << (number - 1); }

/// The handler's record of one that wants signals. Never freed, since a handler may look at it at any time; used again.
///
/// `writers` counts handlers that may be using `event`. A handler counts itself and then looks at `wanted` again; who
/// unsubscribes clears `wanted` and then waits until nobody is counted. So the event counter is closed after that.
struct subscription {
  std::atomic<signal_set> wanted{0};
  std::atomic<signal_set> pending{0};
  std::atomic<std::uint32_t> writers{0};
  std::atomic<int> event{-1};     ///< written once for each signal that has come
  std::atomic<pid_t> process{0};  ///< in a child of vfork(), which has the memory, signals are the child's
  subscription* next = nullptr;
  bool in_use = false;  ///< under the lock of the table
};

/// From now on signals of the set are noted in the subscription that is returned, and `event` is written. Throws
/// io::error if one cannot be had, std::bad_alloc.
subscription& subscribe(signal_set wanted, int event);
/// Returns when no handler uses `event` any more.
void unsubscribe(subscription& s) noexcept;

}  // namespace heddle::io::detail
