// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <ctime>

#include "heddle/detail/platform.hpp"

namespace heddle::gc::detail {

/// Tells those who wait for endings whether the thread that runs them does not get on by itself, or is only kept from
/// it, since other threads have the processors. One runner at a time.
class runner_watch {
 public:
  constexpr runner_watch() noexcept = default;

  // --- for the runner, or between two runners ---
  /// The calling thread runs the next ending.
  void note_this_thread() noexcept {
    if (const void* const mark = heddle::detail::platform::this_thread_mark(); mark != mark_) note(mark);
  }
  /// Another thread is going to run them and has not begun; or this is the child of a fork.
  void forget() noexcept {
    mark_ = nullptr;
    thread_.store(0, std::memory_order_relaxed);
  }

  // --- for others ---
  /// The runner's thread, as a number of the kernel's; 0: none has begun.
  int thread() const noexcept { return thread_.load(std::memory_order_relaxed); }
  /// Processor time of that thread, in nanoseconds; 0: it is not there.
  heddle::detail::nanoseconds_t used() const noexcept;
  /// Whether a thread waits for a processor if it is in that state and has used so much while no ending ended. One that
  /// has used some time computes: it is at a long ending. 'R': it runs or could run (proc(5)).
  static constexpr bool is_held_up(char state, heddle::detail::nanoseconds_t used) noexcept {
    constexpr heddle::detail::nanoseconds_t little = 1'000'000;
    return state == 'R' && used < little;
  }
  /// The state of a thread of this process, as proc(5) names it; '?': the kernel does not tell, or there is none.
  static char state_of(int thread) noexcept;

 private:
  void note(const void* mark) noexcept;

  const void* mark_ = nullptr;  // the thread's; of the runner
  heddle::detail::atomic<int> thread_{0};
  heddle::detail::atomic<clockid_t> clock_{0};  // the thread's; valid if there is a thread
};

extern constinit runner_watch the_runner;

}  // namespace heddle::gc::detail
