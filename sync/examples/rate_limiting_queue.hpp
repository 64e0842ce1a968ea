// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "delaying_queue.hpp"
#include "heddle/mutex.hpp"
#include "rate_limiter.hpp"
#include "saturated.hpp"

namespace examples {

/// How long a key must wait before it is tried again.
template <class L, class Key>
concept retry_limiter = requires(L& limiter, const Key& key) {
  { limiter.when(key) } -> std::convertible_to<std::chrono::nanoseconds>;
  limiter.forget(key);
  { limiter.retries(key) } -> std::convertible_to<std::size_t>;
};

/// Twice as long after each failure of a key: base, 2 base, 4 base ... up to `most`.
template <class Key, class Hash = std::hash<Key>>
class exponential_backoff {
 public:
  template <class Rep, class Period, class MostRep, class MostPeriod>
  exponential_backoff(std::chrono::duration<Rep, Period> base, std::chrono::duration<MostRep, MostPeriod> most) noexcept
      : base_(saturated(base)), most_(saturated(most)) {}

  std::chrono::nanoseconds when(const Key& key) {
    const std::lock_guard lock(mutex_);
    const std::size_t failures = failures_[key]++;
    // The last doubling that stays below the limit, without overflow.
    if (failures >= 62 || base_ > most_ / (std::int64_t{1} << failures)) return most_;
    return base_ * (std::int64_t{1} << failures);
  }
  void forget(const Key& key) {
    const std::lock_guard lock(mutex_);
    failures_.erase(key);
  }
  std::size_t retries(const Key& key) const {
    const std::lock_guard lock(mutex_);
    const auto known = failures_.find(key);
    return known == failures_.end() ? 0 : known->second;
  }

 private:
  const std::chrono::nanoseconds base_;
  const std::chrono::nanoseconds most_;
  mutable heddle::mutex mutex_;
  std::unordered_map<Key, std::size_t, Hash> failures_;
};

/// All keys share one token bucket.
template <class Key>
class bucket_limiter {
 public:
  bucket_limiter(double rate, double burst) noexcept : bucket_(rate, burst) {}
  std::chrono::nanoseconds when(const Key&) { return bucket_.reserve(); }
  void forget(const Key&) noexcept {}
  std::size_t retries(const Key&) const noexcept { return 0; }

 private:
  rate_limiter bucket_;
};

/// The longest of what some limiters say.
template <class Key, retry_limiter<Key>... L>
class max_of {
 public:
  /// Each limiter is made of a tuple of its arguments.
  template <class... Arguments>
  explicit max_of(Arguments&&... a) : parts_(std::forward<Arguments>(a)...) {}

  std::chrono::nanoseconds when(const Key& key) {
    return std::apply([&](auto&... l) { return std::max({std::chrono::nanoseconds(l.limiter.when(key))...}); }, parts_);
  }
  void forget(const Key& key) {
    std::apply([&](auto&... l) { (l.limiter.forget(key), ...); }, parts_);
  }
  std::size_t retries(const Key& key) const {
    return std::apply([&](const auto&... l) { return std::max({std::size_t{l.limiter.retries(key)}...}); }, parts_);
  }

 private:
  template <class T>
  struct made {
    T limiter;
    template <class... A>
    made(std::tuple<A...> a) : limiter(std::make_from_tuple<T>(a)) {}  // NOLINT(google-explicit-constructor)
  };
  std::tuple<made<L>...> parts_;
};

/// What controllers use unless they know better: 5 ms, 10 ms ... 1000 s for each key; 10 a second and 100 at once for
/// all.
template <class Key, class Hash = std::hash<Key>>
struct default_limiter : max_of<Key, exponential_backoff<Key, Hash>, bucket_limiter<Key>> {
  default_limiter()
      : max_of<Key, exponential_backoff<Key, Hash>, bucket_limiter<Key>>(
            std::tuple(std::chrono::milliseconds(5), std::chrono::seconds(1000)), std::tuple(10.0, 100.0)) {}
};

/// A queue for controllers that fail and try again.
///
///     while (auto item = queue.get()) {
///       if (reconcile(*item))
///         queue.forget(*item);
///       else
///         queue.add_rate_limited(*item);   // waits once more when the limiter lets it
///     }
///
/// Source: client-go's rate limiting queue.
template <class Key, retry_limiter<Key> Limiter = default_limiter<Key>, class Metrics = no_queue_metrics,
          class Hash = std::hash<Key>>
class rate_limiting_queue : public delaying_queue<Key, Metrics, Hash> {
 public:
  template <class... A>
  explicit rate_limiting_queue(A&&... limiter) : limiter_(std::forward<A>(limiter)...) {}

  /// add(), when the limiter lets it.
  void add_rate_limited(const Key& key) {
    this->count_retry();
    this->add_after(key, limiter_.when(key));
  }
  /// The key is in order: its next failure is its first again.
  void forget(const Key& key) { limiter_.forget(key); }
  /// How often the key has been tried again since it was last forgotten.
  [[nodiscard]] std::size_t num_requeues(const Key& key) const { return limiter_.retries(key); }

 private:
  Limiter limiter_;
};

}  // namespace examples
