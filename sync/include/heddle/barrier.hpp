// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/detail/phases.hpp"

namespace heddle {
namespace detail {
struct no_completion {
  void operator()() const noexcept {}
};
HEDDLE_EXPORT void barrier_destroyed_in_use(const void* barrier) noexcept;
[[noreturn]] HEDDLE_EXPORT void barrier_out_of_range(const void* barrier) noexcept;
}  // namespace detail

/// Lets a number of fibers, plain threads, or both work in phases: a phase ends when all have arrived. Waiting blocks
/// the calling fiber only.
///
///     heddle::run([] {
///       heddle::barrier step(3, [&]() noexcept { swap(now, next); });
///       heddle::wait_group all;
///       for (int part = 0; part < 3; ++part)
///         all.go([&, part] {
///           for (int i = 0; i < 100; ++i) {
///             compute(part);
///             step.arrive_and_wait();   // nobody begins step i + 1 before all have ended step i
///           }
///         });
///       all.wait();
///     });
///
/// As std::barrier; besides, a wait for the token of an arrival may have a deadline or a stop token, and the token may
/// be waited for again if that has ended the wait; more arrivals than a phase expects end the process with a message.
/// It may be destroyed as soon as all waits and arrivals but the last to arrive have returned.
///
/// When all have arrived, the last of them calls the completion function, which holds no lock then and may block its
/// fiber, and after that the waiters are woken. What was done before an arrival is seen by the completion; what was
/// done before an arrival and by the completion is seen by who has waited for the phase.
///
/// O(1) plus the wait, but the last to arrive O(those who wait). No allocation. From fibers and plain threads.
template <class Completion = detail::no_completion>
class barrier {
  static_assert(std::is_nothrow_invocable_v<Completion&>, "a completion that throws would leave all others waiting");

 public:
  /// An arrival, and so the phase whose end can be waited for: the present one or the one before.
  class [[nodiscard]] arrival_token {
   public:
    arrival_token(arrival_token&&) noexcept = default;
    arrival_token& operator=(arrival_token&&) noexcept = default;
    ~arrival_token() = default;

   private:
    friend class barrier;
    explicit arrival_token(detail::phases::phase p) noexcept : during_(p) {}
    detail::phases::phase during_;
  };

  static constexpr std::ptrdiff_t max() noexcept { return 0xffff'ffff; }

  /// For phases of `expected` arrivals each; from 0 to max().
  constexpr explicit barrier(std::ptrdiff_t expected, Completion completion = Completion())
      : completion_(std::move(completion)), phases_(narrow(expected)) {}
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;
  ~barrier() {
    if (phases_.has_waiters()) [[unlikely]]
      detail::barrier_destroyed_in_use(this);
  }

  /// Arrives n times, from 1 to as many as the phase still expects, without waiting.
  arrival_token arrive(std::ptrdiff_t n = 1) { return arrival_token(arrive_as(narrow(n)).during); }
  /// Blocks the fiber (or the plain thread) until the phase of the token has ended.
  void wait(arrival_token&& token) const { phases_.wait(token.during_); }
  void arrive_and_wait() {
    const detail::phases::arrival a = arrive_as(1);
    if (!a.last) phases_.wait(a.during);  // the last one may find it gone
  }
  /// Arrives, and is not expected in later phases.
  void arrive_and_drop() {
    phases_.drop();
    arrive_as(1);
  }

  /// Until a stop is requested, not longer than `d`, or until `t` of any clock has passed. True: the phase has ended.
  bool wait(const arrival_token& token, const detail::stop_token& stop) const {
    return phases_.wait(token.during_, {.stop = &stop});
  }
  template <class Rep, class Period>
  bool wait_for(const arrival_token& token, const std::chrono::duration<Rep, Period>& d) const {
    return phases_.ended(token.during_) || phases_.wait(token.during_, {.deadline = detail::deadline_after(d)});
  }
  template <class Clock, class Duration>
  bool wait_until(const arrival_token& token, const std::chrono::time_point<Clock, Duration>& t) const {
    return detail::attempt_until(
        t, [&](detail::nanoseconds_t deadline) { return phases_.wait(token.during_, {deadline}); });
  }

 private:
  detail::phases::arrival arrive_as(std::uint32_t n) {
    const detail::phases::arrival a = phases_.arrive(n);
    if (a.last) {
      if (HEDDLE_PLANTED(completion_after_phase)) phases_.advance();
      completion_();
      if (!HEDDLE_PLANTED(completion_after_phase)) phases_.advance();
    }
    return a;
  }
  constexpr std::uint32_t narrow(std::ptrdiff_t n) const noexcept {
    if (n < 0 || n > max()) [[unlikely]]
      detail::barrier_out_of_range(this);
    return static_cast<std::uint32_t>(n);
  }

  [[no_unique_address]] Completion completion_;
  mutable detail::phases phases_;
};

}  // namespace heddle
