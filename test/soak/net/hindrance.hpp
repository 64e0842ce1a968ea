// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>

#include "support/socket_calls.hpp"

namespace soak {

/// Does to any call, at random, as the kernel may. Gentle: interruptions, attempts that find nothing, short counts, few
/// events at a time, delays, no descriptor for accept(). Rough: resets and want of memory, too, which end connections.
class hindrance : public heddle::testing::interference {
 public:
  hindrance(std::uint64_t seed, bool rough) noexcept : state_(seed * 1'000'003), rough_(rough) {}

  int before(heddle::testing::socket_call which, int fd, std::size_t& size) noexcept override;
  int after(heddle::testing::socket_call which, int fd, std::size_t asked, std::ptrdiff_t result) noexcept override;
  unsigned long count() const noexcept { return hindered_.load(std::memory_order_relaxed); }

 private:
  std::uint64_t chance() noexcept;
  bool one_in(std::uint64_t n) noexcept { return chance() % n == 0; }
  int transfer(heddle::testing::socket_call which, int fd, std::size_t& size) noexcept;

  std::atomic<std::uint64_t> state_;
  std::atomic<unsigned long> hindered_{0};
  const bool rough_;
};

}  // namespace soak
