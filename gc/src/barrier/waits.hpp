// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::gc::detail {

/// How long fibers and threads have waited for the collector, by powers of two of nanoseconds. From any thread.
class wait_histogram {
 public:
  static constexpr std::size_t classes = 40;

  constexpr wait_histogram() noexcept = default;
  void add(heddle::detail::nanoseconds_t wait) noexcept {
    const auto ns = static_cast<std::uint64_t>(wait < 0 ? 0 : wait);
    const std::size_t c = ns == 0 ? 0 : static_cast<std::size_t>(std::bit_width(ns)) - 1;
    counts_[c < classes ? c : classes - 1].fetch_add(1, std::memory_order_relaxed);
  }
  std::uint64_t count(std::size_t c) const noexcept { return counts_[c].load(std::memory_order_relaxed); }

 private:
  std::array<heddle::detail::atomic<std::uint64_t>, classes> counts_{};
};

extern constinit wait_histogram the_waits;

/// A wait from when it is made until it is destroyed.
class timed_wait {
 public:
  timed_wait() noexcept = default;
  ~timed_wait() { the_waits.add(heddle::detail::platform::now() - since_); }
  timed_wait(const timed_wait&) = delete;
  timed_wait& operator=(const timed_wait&) = delete;

 private:
  const heddle::detail::nanoseconds_t since_ = heddle::detail::platform::now();
};

}  // namespace heddle::gc::detail
