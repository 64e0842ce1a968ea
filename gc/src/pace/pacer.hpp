// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "heddle/detail/platform.hpp"

namespace heddle::gc::detail {

struct options;

/// Decides when a cycle begins, and when allocation has to wait for one. From any thread.
///
/// After a cycle that has left `live` bytes the heap may grow to the goal: live and `percent` of it, at least
/// `floor` more, and within the limit. A cycle begins early enough that it can be over by then. It begins so much
/// before the goal as was allocated during the last one, and a quarter of that.
///
/// Source: Go's pacer before its control loop (proposal 44167 tells what that adds).
class pacer {
 public:
  static constexpr std::size_t floor = std::size_t{16} << 20;

  explicit pacer(const options& o) noexcept;

  /// 0: cycles only when they are asked for. Returns what was set before.
  std::size_t set_percent(std::size_t percent) noexcept {
    return percent_.exchange(percent, std::memory_order_relaxed);
  }
  std::size_t percent() const noexcept { return percent_.load(std::memory_order_relaxed); }
  /// 0: none.
  std::size_t set_limit(std::size_t bytes) noexcept { return limit_.exchange(bytes, std::memory_order_relaxed); }
  std::size_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }

  /// So many bytes have been allocated. True: a cycle is due.
  bool note(std::size_t bytes) noexcept {
    const std::size_t now = allocated_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    return now >= trigger_.load(std::memory_order_relaxed);
  }
  /// Whether a quarter more has been allocated since the last cycle than there was room for: allocation waits then.
  bool overdrawn() const noexcept {
    return allocated_.load(std::memory_order_relaxed) >= most_.load(std::memory_order_relaxed);
  }

  void begin_cycle() noexcept { at_begin_ = allocated_.load(std::memory_order_relaxed); }
  /// The marks are final: so much lives, of what has been allocated until now.
  void end_marking(std::size_t live) noexcept;

  std::size_t goal() const noexcept { return goal_.load(std::memory_order_relaxed); }
  std::size_t allocated_in_all() const noexcept {
    return before_.load(std::memory_order_relaxed) + allocated_.load(std::memory_order_relaxed);
  }

 private:
  template <class T>
  using atomic = heddle::detail::atomic<T>;
  atomic<std::size_t> percent_{100};
  atomic<std::size_t> limit_{0};
  atomic<std::size_t> allocated_{0};  // since the marks of the last cycle were final
  atomic<std::size_t> before_{0};     // before that
  atomic<std::size_t> trigger_{floor * 3 / 4};
  atomic<std::size_t> most_{floor * 3 / 2};
  atomic<std::size_t> goal_{floor};
  std::size_t at_begin_ = 0;
};

/// With what HEDDLE_GC says, when it is first asked for.
pacer& the_pacer() noexcept;

}  // namespace heddle::gc::detail
