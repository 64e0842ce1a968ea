// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>

#include "barrier/words.hpp"

namespace heddle::gc::detail {

/// While it lives, the thread is not suspended: it may hold a lock of the collector. Not across a suspension of the
/// fiber. Two instructions each.
class critical_section {
 public:
  critical_section() noexcept { begin(); }
  ~critical_section() { end(); }
  critical_section(const critical_section&) = delete;
  critical_section& operator=(const critical_section&) = delete;

  // Signal fences: whoever suspends the thread does so by a signal, and reads the byte when the thread stands.
  static void begin() noexcept {
    ++heddle_gc_critical;
    std::atomic_signal_fence(std::memory_order_seq_cst);  // so that nothing of what follows is done before
  }
  static void end() noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // so that nothing of what came before is done after
    --heddle_gc_critical;
  }
};

}  // namespace heddle::gc::detail
