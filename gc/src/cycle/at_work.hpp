// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "heddle/detail/platform.hpp"

namespace heddle::gc::detail {

/// At most one thread or fiber runs what is due, and nothing that is due is left alone.
///
/// A thread that makes something due calls begin(), and has run() called somewhere if that says so. What is due is kept
/// under a lock elsewhere.
class at_work {
 public:
  constexpr at_work() noexcept = default;

  /// True: nobody is at it; the caller must see to it that somebody calls run().
  bool begin() noexcept {
    // seq_cst: a runner that is about to stop sees what is due, or we see that it has stopped; half in run().
    return word_.exchange(1, std::memory_order_seq_cst) == 0;
  }
  /// Nobody could be found to call run().
  void give_up() noexcept { word_.store(0, std::memory_order_relaxed); }
  /// Calls run_one() until it returns false, and again while is_due().
  template <class RunOne, class IsDue>
  void run(RunOne run_one, IsDue is_due) noexcept {
    do {
      while (run_one()) {
      }
      word_.store(0, std::memory_order_seq_cst);  // seq_cst: before the look at what is due; half in begin()
      if (HEDDLE_PLANTED(gc_stops_without_look)) return;
    } while (is_due() && (begin() || HEDDLE_PLANTED(gc_two_at_work)));
  }

 private:
  heddle::detail::atomic<std::uint32_t> word_{0};  // 1: somebody is at it, or is about to be
};

}  // namespace heddle::gc::detail
