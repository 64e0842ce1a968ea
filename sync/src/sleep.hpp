// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/wait.hpp"

namespace heddle::detail {

// The same call for waits with bounds and without, so that one algorithm serves both and costs those without nothing.
// True: woken by what was waited for. False: the wait has ended by its bounds, and the waiter may still be queued.
inline bool sleep(waiter& self, void (*commit)(void*), void* arg) noexcept {
  self.park(commit, arg);
  return true;
}
inline bool sleep(bounded_waiter& self, void (*commit)(void*), void* arg) noexcept {
  return self.park(commit, arg) == wait_state::signalled;
}

}  // namespace heddle::detail
