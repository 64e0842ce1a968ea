// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>

#include "fiber.hpp"
#include "run_queue.hpp"
#include "timer_heap.hpp"

namespace heddle::detail {

class machine;

/// Stack classes of which processors keep free ones: the default size, and both sizes of first segments. Further
/// classes are sizes that fibers have asked for.
enum : std::uint32_t { default_stack = 0, segment_stack = 1, small_segment_stack = 2, common_stacks = 3 };

/// P: the right to run fibers, and everything that goes with it. There are as many as may run at once.
///
/// 1. Owned by the machine in `owner`, or by the idle list (owner null), or by the monitor while it hands it on.
/// 2. Queues and timers are open to thieves as their own types say; all else is the owner's alone.
class alignas(64) processor {
 public:
  processor(unsigned number, sharing s) noexcept
      : woken(s), fresh(s), index(number), random(number * 0x9E3779B97F4A7C15u + 1) {}

  /// The next fiber of this processor by the fast rules: runnext, the ring, the newest fresh one. Null if there
  /// is none, or if fairness asks for the slow rules this time.
  fiber* next_local() noexcept {
    if (fairness <= 1) [[unlikely]] {
      fairness = 0;  // and stays so until pick() has been fair: thieves ask here too
      return nullptr;
    }
    --fairness;
    if (fiber* f = woken.take_next()) return f;
    if (fiber* f = woken.pop()) return f;
    return fresh.pop();
  }
  /// Takes f, a fresh fiber, if its turn is next by the fast rules; false if it is not, or a thief has it.
  bool take_if_next(fiber* f) noexcept {
    if (fairness <= 1) return false;
    if (woken.peek_next() == f) {
      if (woken.take_next() == nullptr && !HEDDLE_PLANTED(joined_though_stolen)) return false;
    } else if (fresh.newest() != f || fresh.pop() == nullptr) {
      return false;
    }
    --fairness;
    return true;
  }
  std::uint32_t waiting() const noexcept {
    return static_cast<std::uint32_t>(woken.peek_next() != nullptr) + woken.size() + fresh.size();
  }
  std::uint64_t next_random() noexcept {  // xorshift64*: G. Marsaglia, "Xorshift RNGs", 2003
    random ^= random >> 12;
    random ^= random << 25;
    random ^= random >> 27;
    return random * 0x2545F4914F6CDD1Du;
  }

  run_queue woken;
  fresh_queue fresh;
  timer_heap timers;

  alignas(64) atomic<machine*> owner{nullptr};
  /// Counts switches, so that the monitor sees a fiber that does not end its slice. Owner writes.
  atomic<std::uint32_t> tick{0};
  /// Fibers made and ended here; the sum over all processors is the number alive. Owner writes.
  atomic<std::uint64_t> made{0};
  atomic<std::uint64_t> ended{0};

  const unsigned index;
  /// Switches until the slow, fair rules are asked: every 61st, as in Go.
  static constexpr std::uint32_t fairness_period = 61;
  std::uint32_t fairness = fairness_period;
  std::uint32_t lone = 0;  ///< fibers added alone while the scheduler is reluctant to wake others for them
  bool oldest_fresh_turn = false;
  bool new_turn = false;  ///< whether the last yield that could choose preferred the new
  std::uint64_t random;
  std::uint64_t next_id = 0;
  std::uint64_t last_id = 0;
  processor* next_idle = nullptr;  ///< in the idle list, under the scheduler's lock

  fiber_list free_fibers;
  std::array<stack_list, common_stacks> free_stacks;  ///< by stack class
};

inline void count_one(atomic<std::uint64_t>& counter) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace heddle::detail
