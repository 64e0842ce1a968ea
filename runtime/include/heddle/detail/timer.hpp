// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include "heddle/detail/wait.hpp"

namespace heddle::detail {

class timer_heap;
class machine;

/// One pending timer; lives on the stack of the fiber that waits for it, or is an alarm.
struct timer {
  nanoseconds_t deadline = no_deadline;
  fiber* sleeper = nullptr;             ///< made ready when the deadline has passed
  atomic<wait_state>* state = nullptr;  ///< of a wait that others may end too: woken only if the timer ends it
  timer_heap* heap = nullptr;           ///< the one it was put into
  std::size_t index = absent;           ///< place in the heap, written by the heap alone
  /// Of an alarm, which has no sleeper: called when it has been taken out, inside on the machine that looks at the
  /// heap.
  void (*fire)(timer&, machine&) = nullptr;
  static constexpr std::size_t absent = static_cast<std::size_t>(-1);
};

}  // namespace heddle::detail
