// SPDX-License-Identifier: BSL-1.0
#include "served.hpp"

#include "calls.hpp"

namespace heddle::blocking_calls {

constinit std::atomic<const blocked_calls*> runtimes[most_runtimes]{};

namespace {

/// Before there are threads and fibers: dlsym() may allocate, and must not be called in a signal handler. Calls of
/// earlier constructors find their function by themselves.
[[gnu::constructor]] void find_functions() {
  find_connection_functions();
  find_receive_functions();
  find_send_functions();
  find_sleep_functions();
  find_wait_functions();
}

}  // namespace
}  // namespace heddle::blocking_calls

/// A runtime that starts calls it, each time. Its calls may come while others run, since a second heddle in the process
/// may have a runtime already.
HEDDLE_CALL void heddle_serve_blocking_calls(const heddle::blocking_calls::blocked_calls* calls) {
  for (auto& slot : heddle::blocking_calls::runtimes) {
    const heddle::blocking_calls::blocked_calls* known = nullptr;
    if (slot.compare_exchange_strong(known, calls, std::memory_order_relaxed) || known == calls) return;
  }
}
