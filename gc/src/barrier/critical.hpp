// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "barrier/words.hpp"

namespace heddle::gc::detail {

/// While it lives the thread is not stopped: it may hold a lock that the collector takes. Not across a suspension of
/// the fiber, and not inside a critical_call, which does the same and more.
class unstoppable {
 public:
  unstoppable() noexcept { begin(); }
  ~unstoppable() { end(); }
  unstoppable(const unstoppable&) = delete;
  unstoppable& operator=(const unstoppable&) = delete;

  static void begin() noexcept { words().enter(); }
  static void end() noexcept { words().leave(); }
};

}  // namespace heddle::gc::detail
