// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <mutex>
#include <stop_token>

#include "heddle/mutex.hpp"
#include "heddle/this_fiber.hpp"

namespace examples {

/// A token bucket: `rate` events a second in the long run, `burst` of them at once.
///
///     examples::rate_limiter limiter(100, 10);
///     while (limiter.wait(stop)) call_api();
///
/// From fibers and plain threads; those who wait are served in the order of their calls. Source: Go's
/// golang.org/x/time/rate.
class rate_limiter {
 public:
  using clock = std::chrono::steady_clock;

  rate_limiter(double rate, double burst) noexcept : rate_(rate), burst_(burst), tokens_(burst) {}

  /// Takes a token if there is one.
  bool try_acquire() {
    const std::lock_guard lock(mutex_);
    refill(clock::now());
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

  /// Takes a token, perhaps one of the future: how long to wait until it is there.
  clock::duration reserve() {
    const std::lock_guard lock(mutex_);
    refill(clock::now());
    tokens_ -= 1;
    if (tokens_ >= 0) return clock::duration::zero();
    const std::chrono::duration<double> wait(-tokens_ / rate_);
    // At a rate of 0, or next to it, the token never comes.
    if (!(wait < clock::duration::max() / 2)) return clock::duration::max();
    return std::chrono::ceil<clock::duration>(wait);
  }

  /// Waits for a token. False: a stop was requested before; the token goes back.
  bool wait(const std::stop_token& stop) {
    if (stop.stop_requested()) return false;
    const clock::duration delay = reserve();
    if (delay == clock::duration::zero() || heddle::this_fiber::sleep_for(delay, stop)) return true;
    const std::lock_guard lock(mutex_);
    tokens_ = std::min(burst_, tokens_ + 1);
    return false;
  }

 private:
  void refill(clock::time_point now) noexcept {
    tokens_ = std::min(burst_, tokens_ + rate_ * std::chrono::duration<double>(now - filled_).count());
    filled_ = now;
  }

  const double rate_;
  const double burst_;
  heddle::mutex mutex_;
  double tokens_;  // negative: so many have been promised
  clock::time_point filled_ = clock::now();
};

}  // namespace examples
