// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/config.hpp"

namespace heddle::detail {

/// Above 0 while the thread runs what must not be preempted: user code under a thread_mutex. A count of the thread,
/// since a fiber does not leave its thread meanwhile.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
struct preemption_guard {
  static void begin() noexcept {}
  static void end() noexcept {}
};
#else
HEDDLE_EXPORT extern constinit thread_local unsigned unpreemptible __attribute__((tls_model("initial-exec")));

struct preemption_guard {
  static void begin() noexcept { ++unpreemptible; }
  static void end() noexcept { --unpreemptible; }
};
#endif

}  // namespace heddle::detail
