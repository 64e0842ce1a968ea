// SPDX-License-Identifier: BSL-1.0
#include "cycle/requests.hpp"

#include <utility>

#include "heddle/detail/wait_description.hpp"

namespace heddle::gc::detail {

using heddle::detail::thread_lock;
using heddle::detail::waiter;

namespace {

void unlock(void* lock) { static_cast<heddle::detail::thread_mutex*>(lock)->unlock_in_commit(); }

/// How reports describe a fiber that waits for the collector.
void describe(void*, heddle::detail::wait_text& to) { to.say("for the end of a collection"); }
const heddle::detail::wait_description registered(unlock, describe);

}  // namespace

std::uint64_t cycle_requests::present_or_next() const noexcept {
  const std::uint64_t begun = begun_.load(std::memory_order_relaxed);
  return begun != ended_.load(std::memory_order_relaxed) ? begun : begun + 1;
}

// The commit unlocks what is locked here: the analysis cannot know.
void cycle_requests::wait_until(std::uint64_t cycle) noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  // acquire: so that what the cycle did is seen; release half in end_cycle().
  while (ended_.load(std::memory_order_acquire) < cycle) {
    waiter w;
    lock_.lock();
    if (ended_.load(std::memory_order_relaxed) >= cycle) {
      lock_.unlock();
      continue;
    }
    w.next = std::exchange(waiters_, &w);
    if (begun_.load(std::memory_order_relaxed) < cycle) request();  // else it is under way: no other one is due
    w.park(unlock, &lock_);
    if (HEDDLE_PLANTED(gc_woken_looks_not)) return;
  }
}

void cycle_requests::await_request() noexcept {
  due_.await();
  if (!HEDDLE_PLANTED(gc_request_cleared_late)) due_.clear();
}

void cycle_requests::end_cycle() noexcept {
  waiter* w = nullptr;
  if (HEDDLE_PLANTED(gc_request_cleared_late)) due_.clear();
  {
    const thread_lock hold(lock_);
    // release: so that what the cycle did is seen; acquire half in wait_until().
    ended_.store(begun_.load(std::memory_order_relaxed), std::memory_order_release);
    w = std::exchange(waiters_, nullptr);
  }
  while (w != nullptr) std::exchange(w, w->next)->wake();
}

void cycle_requests::after_fork_in_child() noexcept HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
  lock_.become_free();
  waiters_ = nullptr;
  due_.after_fork_in_child();
  ended_.store(begun_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

}  // namespace heddle::gc::detail
