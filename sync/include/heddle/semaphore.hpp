// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <limits>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/config.hpp"
#include "heddle/detail/deadline.hpp"
#include "heddle/detail/permits.hpp"

namespace heddle {

/// A number of permits, of which fibers and plain threads take and give back any number at a time: a limit on what goes
/// on at once. Blocks the calling fiber only.
///
///     heddle::semaphore memory(1'000);               // MiB
///     for (const job& j : jobs) {
///       memory.acquire(j.mib);
///       heddle::go([&, j] { run(j); memory.release(j.mib); });
///     }
///     memory.acquire(1'000);                         // all have given back what they had
///
/// First come first served: a large request is not starved by small ones, which wait behind it even if there are enough
/// permits for them; acquire(0) waits its turn too. Std has no weighted one; counting_semaphore below has std's shape.
/// Unlike Go's there is no total, so permits may be added at any time, and a request is not refused for its size.
/// It may be destroyed as soon as nobody will use it any more, even while a release() whose permits have been acquired
/// is still returning. What was done before release() is seen by who gets the permits.
///
/// acquire() O(1) plus the wait, with a deadline O(log sleepers); release() O(those it wakes). No allocation. A
/// negative number, and more than max() permits, end the process with a message. From fibers and plain threads.
///
/// Source: golang.org/x/sync/semaphore, for the queue and its fairness.
class semaphore {
 public:
  static constexpr std::ptrdiff_t max() noexcept { return std::numeric_limits<std::ptrdiff_t>::max(); }

  /// Starts with n permits.
  constexpr explicit semaphore(std::ptrdiff_t n) noexcept : semaphore(n, max(), "semaphore") {}
  semaphore(const semaphore&) = delete;
  semaphore& operator=(const semaphore&) = delete;
  ~semaphore() {
    if (permits_.has_waiters()) [[unlikely]]
      destroyed_in_use();
  }

  /// Takes n permits; blocks the fiber (or the plain thread) until it has them.
  void acquire(std::ptrdiff_t n = 1) noexcept { permits_.acquire(checked(n)); }
  /// The same until a stop is requested. True: it has them.
  [[nodiscard]] bool acquire(const detail::stop_token& stop, std::ptrdiff_t n = 1) {
    return permits_.acquire(checked(n), {.stop = &stop});
  }
  /// Takes n permits if they are there and nobody waits; never blocks, and never fails spuriously.
  [[nodiscard]] bool try_acquire(std::ptrdiff_t n = 1) noexcept { return permits_.try_acquire(checked(n)); }
  /// Not longer than `d`, or until `t` of any clock has passed. True: it has them.
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(const std::chrono::duration<Rep, Period>& d, std::ptrdiff_t n = 1) {
    return try_acquire(n) || permits_.acquire(checked(n), {.deadline = detail::deadline_after(d)});
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_acquire_until(const std::chrono::time_point<Clock, Duration>& t, std::ptrdiff_t n = 1) {
    return detail::attempt_until(
        t, [&](detail::nanoseconds_t deadline) { return permits_.acquire(checked(n), {deadline}); });
  }

  /// Gives n permits, which need not have been acquired by the caller. Never blocks. Wakes those who can have theirs.
  /// A signal handler may call it on a thread that is in run() or shutdown(), or waits in join(). The main thread in
  /// run() is such a thread, and takes the signals that are sent to the process; see runtime/README.md.
  void release(std::ptrdiff_t n = 1) noexcept {
    if (!permits_.release(checked(n), static_cast<std::uint64_t>(most_))) [[unlikely]]
      too_many(n);
  }

 protected:
  constexpr semaphore(std::ptrdiff_t n, std::ptrdiff_t most, const char* kind) noexcept
      : permits_(n), most_(most), kind_(kind) {
    if (n < 0 || n > most) [[unlikely]]
      out_of_range(n);
  }

 private:
  std::uint64_t checked(std::ptrdiff_t n) const noexcept {
    if (n < 0) [[unlikely]]
      out_of_range(n);
    return static_cast<std::uint64_t>(n);
  }
  [[noreturn]] HEDDLE_EXPORT void out_of_range(std::ptrdiff_t n) const noexcept;
  [[noreturn]] HEDDLE_EXPORT void too_many(std::ptrdiff_t n) const noexcept;
  HEDDLE_EXPORT void destroyed_in_use() const noexcept;

  detail::permits permits_;  // the first, so that reports call a semaphore by its own address
  const std::ptrdiff_t most_;
  const char* const kind_;
};

/// std::counting_semaphore between fibers, plain threads, or both: one permit at a time, at most LeastMax.
///
///     heddle::counting_semaphore<8> slots(8);
///     slots.acquire();
///     work();
///     slots.release();
///
/// Unlike std's it is first come first served, try_acquire() does not fail spuriously, acquire() may be given a
/// std::stop_token, max() is exact, and a release() beyond it ends the process with a message. All else as semaphore.
template <std::ptrdiff_t LeastMax = semaphore::max()>
class counting_semaphore : private semaphore {
  static_assert(LeastMax >= 0);

 public:
  static constexpr std::ptrdiff_t max() noexcept { return LeastMax; }
  constexpr explicit counting_semaphore(std::ptrdiff_t n) noexcept : semaphore(n, LeastMax, "counting_semaphore") {}

  void acquire() noexcept { semaphore::acquire(); }
  [[nodiscard]] bool acquire(const detail::stop_token& stop) { return semaphore::acquire(stop); }
  [[nodiscard]] bool try_acquire() noexcept { return semaphore::try_acquire(); }
  template <class Rep, class Period>
  [[nodiscard]] bool try_acquire_for(const std::chrono::duration<Rep, Period>& d) {
    return semaphore::try_acquire_for(d);
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_acquire_until(const std::chrono::time_point<Clock, Duration>& t) {
    return semaphore::try_acquire_until(t);
  }
  void release(std::ptrdiff_t n = 1) noexcept { semaphore::release(n); }
};

using binary_semaphore = counting_semaphore<1>;

}  // namespace heddle
