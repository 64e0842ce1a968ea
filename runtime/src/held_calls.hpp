// SPDX-License-Identifier: BSL-1.0
//
// Signal handlers on a plain thread that starts or ends a runtime: their calls wait.
#pragma once

#include "heddle/detail/held_call.hpp"
#include "heddle/detail/platform.hpp"
#include "platform_services.hpp"

namespace heddle::detail {

/// While it lives, what a handler does on the calling plain thread waits: it releases a semaphore, and would lock that
/// and the scheduler, and take memory for a machine. The thread may be within malloc(), or hold the lock of the
/// scheduler while a machine holds that of the semaphore and waits for it. (To block signals instead would be worse:
/// the kernel then gives a signal of the process to another thread, a machine.)
///
/// 1. Calls that are held are in a list of the process. The thread makes them before it sleeps, and at the end. The
///    monitor does so earlier: user code may run meanwhile, or be waited for.
/// 2. A handler may come between any two instructions. So the thread looks at the list once more when it has said
///    that it holds no calls any more.
class calls_held {
 public:
  calls_held() noexcept : before_(platform::hold_calls(true)) {}
  ~calls_held() {
    if (!before_) let_go();
  }
  calls_held(const calls_held&) = delete;
  calls_held& operator=(const calls_held&) = delete;

  /// The thread goes on holding calls until let_go(), whatever becomes of this object.
  void go_on() noexcept { before_ = true; }
  static void let_go() noexcept;

 private:
  bool before_;
};

/// futex_wait() on a plain thread that holds no lock: while it sleeps, no calls are held.
void sleep_on(atomic<std::uint32_t>& word, std::uint32_t expected, nanoseconds_t deadline = no_deadline) noexcept;

/// For the monitor.
bool some_calls_held() noexcept;

}  // namespace heddle::detail
