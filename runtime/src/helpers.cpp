// SPDX-License-Identifier: BSL-1.0
#include "helpers.hpp"

#include <algorithm>

#include "heddle/detail/helper_call.hpp"
#include "scheduler.hpp"

namespace heddle::detail {

namespace {

/// Below zero for a moment: one has been called before it has counted itself.
constinit atomic<std::int32_t> sleeping{0};
constinit atomic<std::uint32_t> sleeps{0};

/// The monitor may have looked for a deadlock while the helper was at work, and sleeps for good then.
void fall_asleep() noexcept {
  // seq_cst, both: before the look at the monitor's nap; other half in monitor::sleep().
  sleeping.fetch_add(1, std::memory_order_seq_cst);
  sleeps.fetch_add(1, std::memory_order_seq_cst);
  if (const visit s; s) s->notice_sleeping_helper();
}

}  // namespace

std::size_t sleeping_helpers() noexcept {
  // seq_cst: in the order of the deadlock check.
  return static_cast<std::size_t>(std::max(sleeping.load(std::memory_order_seq_cst), 0));
}
std::uint32_t helper_sleeps() noexcept {
  return sleeps.load(std::memory_order_seq_cst);  // seq_cst: see fall_asleep()
}
void forget_helpers() noexcept { sleeping.store(0, std::memory_order_relaxed); }

void helper_call::call() noexcept {
  if (word_.load(std::memory_order_relaxed) == called) return;
  // release: so that the helper sees what the caller did; acquire half in await().
  if (word_.exchange(called, std::memory_order_release) != asleep) return;
  sleeping.fetch_sub(1, std::memory_order_seq_cst);  // seq_cst: in the order of the deadlock check
  if (!HEDDLE_PLANTED(gc_request_wakes_nobody)) platform::futex_wake(word_, 1);
}

void helper_call::await() noexcept {
  // acquire, all: so that what the caller did is seen; release half in call().
  std::uint32_t now = word_.load(std::memory_order_acquire);
  while (now != called) {
    if (now == awake) {
      if (!word_.compare_exchange_strong(now, asleep, std::memory_order_acquire, std::memory_order_acquire)) continue;
      fall_asleep();
    }
    platform::futex_wait(word_, asleep);
    now = word_.load(std::memory_order_acquire);
  }
}

}  // namespace heddle::detail
