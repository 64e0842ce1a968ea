// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/config.hpp"
#include "heddle/detail/platform.hpp"

namespace heddle::detail {

/// How a thread that serves the program, a collector's for example, is called to work. While it sleeps here it wakes
/// nobody until it is called: the runtime's check for a deadlock leaves it out, and so does the one whether nobody is
/// left.
///
/// The word: 0, it works; 1, it has been called; 2, it sleeps, and is counted as asleep. Only the helper writes 0 over
/// 1 and 2 over 0. Whoever writes 1 over 2 takes it out of the count before it is woken: a caller that works counts
/// itself, so there is no moment at which all seem to sleep.
class HEDDLE_EXPORT helper_call {
 public:
  constexpr helper_call() noexcept = default;
  helper_call(const helper_call&) = delete;
  helper_call& operator=(const helper_call&) = delete;

  /// There is work. Never blocks. From any fiber or thread.
  void call() noexcept;

  // --- for the helper, a plain thread ---
  /// Whether it has been called since it cleared the word.
  bool is_called() const noexcept { return word_.load(std::memory_order_relaxed) == called; }
  /// Returns when it has been called.
  void await() noexcept;
  /// The work is about to be looked at: whoever calls from now on is heard.
  void clear() noexcept { word_.store(awake, std::memory_order_relaxed); }

  /// In a child of a fork there is no helper. The runtime must have heard of forks (heed_forks()).
  void after_fork_in_child() noexcept { clear(); }

 private:
  enum : std::uint32_t { awake = 0, called = 1, asleep = 2 };
  atomic<std::uint32_t> word_{awake};
};

}  // namespace heddle::detail
