// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"
#include "heddle/gc/detail/wait_cause.hpp"

namespace heddle::gc::detail {

/// How long fibers and threads have waited for the collector for one cause, by powers of two of nanoseconds. From any
/// thread, and from signal handlers.
class wait_histogram {
 public:
  static constexpr std::size_t classes = 40;

  constexpr wait_histogram() noexcept = default;
  void add(heddle::detail::nanoseconds_t wait) noexcept {
    const auto ns = static_cast<std::uint64_t>(wait < 0 ? 0 : wait);
    const std::size_t c = ns == 0 ? 0 : static_cast<std::size_t>(std::bit_width(ns)) - 1;
    counts_[c < classes ? c : classes - 1].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(ns, std::memory_order_relaxed);
  }
  std::uint64_t count(std::size_t c) const noexcept { return counts_[c].load(std::memory_order_relaxed); }
  std::uint64_t sum() const noexcept { return sum_.load(std::memory_order_relaxed); }

 private:
  std::array<heddle::detail::atomic<std::uint64_t>, classes> counts_{};
  heddle::detail::atomic<std::uint64_t> sum_{0};  // nanoseconds
};

/// By wait_cause.
extern constinit std::array<wait_histogram, wait_causes> the_waits;

/// A wait from when it is made until it is destroyed.
class timed_wait {
 public:
  explicit timed_wait(wait_cause cause) noexcept : cause_(cause) {}
  ~timed_wait() { the_waits[static_cast<std::size_t>(cause_)].add(heddle::detail::platform::now() - since_); }
  timed_wait(const timed_wait&) = delete;
  timed_wait& operator=(const timed_wait&) = delete;

 private:
  const wait_cause cause_;
  const heddle::detail::nanoseconds_t since_ = heddle::detail::platform::now();
};

}  // namespace heddle::gc::detail
