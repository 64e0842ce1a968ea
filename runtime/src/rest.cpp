// SPDX-License-Identifier: BSL-1.0
//
// A runtime comes to rest: how threads wait for that, and how it is seen.
//
// 1. All is at rest when every processor is idle and no machine runs a fiber without one. Both are seen under lock_,
//    which every machine takes after it has let go of its last fiber. So the counts of that machine are seen too.
// 2. One thread at a time waits for that, the one that has the right to end the runtime, in drain() or settle(). A
//    machine that goes idle looks whether that thread is to be told.
#include <algorithm>
#include <cstdio>

#include "held_calls.hpp"
#include "scheduler.hpp"

namespace heddle::detail {

/// No sleep is waited for longer when the process exits.
constexpr nanoseconds_t longest_sleep = 10'000'000'000;

/// Under lock_: no fiber runs or is about to, on any machine.
bool scheduler::nothing_runs() const noexcept {
  return idle_count_.load(std::memory_order_relaxed) == processors.size() && detached_ == 0 && !work_visible();
}

bool scheduler::at_end() noexcept {
  const thread_lock hold(lock_);
  // The counts alone are no proof: they are read one after another, and a fiber is counted off before its machine is
  // done with it.
  const bool rests = (threads_ == 0 && nothing_runs()) || HEDDLE_PLANTED(end_by_counts);
  ended_ = rests && alive() == 0;
  return ended_;
}

/// When the last sleeping fiber wakes; 0: none sleeps. Waits with a deadline do not count: others may end them.
nanoseconds_t scheduler::last_sleep() noexcept {
  nanoseconds_t last = 0;
  for (const auto& p : processors) last = std::max(last, p->timers.last_sleep());
  return last;
}

void scheduler::check_drained() noexcept {
  if (!draining_ || idle_count_.load(std::memory_order_relaxed) != processors.size() || detached_ != 0) return;
  if (alive() != 0 && !settling_) return;
  drained_.store(1, std::memory_order_release);  // release: so that drain() and settle() see the runtime at rest
  platform::futex_wake(drained_, 1);
}

bool scheduler::drain(nanoseconds_t deadline) noexcept {
  if (HEDDLE_PLANTED(drained_for_ever)) deadline = no_deadline;
  const auto in_time = [deadline] { return deadline == no_deadline || platform::now() < deadline; };
  const int parked = deadline == no_deadline ? 1 : 0;  // else the wait ends by itself: no deadlock
  count_parked_thread(+parked);
  nanoseconds_t report_at = no_deadline;
  {
    const thread_lock hold(lock_);
    draining_ = true;
    drained_.store(0, std::memory_order_relaxed);
    check_drained();
    if (failure_[0] != 0) report_at = platform::now() + 1'000'000'000;
  }
  bool waits = in_time();
  // acquire: so that the runtime is seen at rest; release half in check_drained().
  while (waits && drained_.load(std::memory_order_acquire) == 0) {
    sleep_on(drained_, 0, std::min(report_at, deadline));
    waits = in_time();
    if (report_at == no_deadline || platform::now() < report_at) continue;
    report_failure();
    report_at = no_deadline;
  }
  const thread_lock hold(lock_);
  draining_ = false;
  count_parked_thread(-parked);
  return waits;
}

settled scheduler::settle(nanoseconds_t grace, nanoseconds_t busy) noexcept {
  const nanoseconds_t begin = busy == no_deadline ? 0 : platform::now();
  nanoseconds_t patience = no_deadline;  // the end of waiting for sleeping fibers; not known yet
  for (;;) {
    nanoseconds_t deadline = no_deadline;
    settled how = settled::busy;
    bool done = false;
    {
      const thread_lock hold(lock_);
      draining_ = settling_ = true;
      drained_.store(0, std::memory_order_relaxed);
      if (nothing_runs()) {
        how = alive() == 0 ? settled::ended : settled::rests;
        const nanoseconds_t asleep_until = how == settled::ended ? 0 : last_sleep();
        const nanoseconds_t now = platform::now();
        if (patience == no_deadline)
          patience = grace == 0 ? now : std::clamp(asleep_until, now, now + longest_sleep) + grace;
        done = asleep_until == 0 || now >= patience;
        deadline = patience;
      } else if (busy != no_deadline) {
        deadline = (patience == no_deadline ? begin : patience) + busy;
        done = platform::now() >= deadline;
      }
      if (done) draining_ = settling_ = false;
    }
    if (done) return how;
    // acquire: so that the runtime is seen at rest; release half in check_drained().
    if (drained_.load(std::memory_order_acquire) == 0) sleep_on(drained_, 0, deadline);
  }
}

void scheduler::take_back(fiber* f) noexcept {
  fibers.put(f);
  const thread_lock hold(lock_);
  elsewhere_.fetch_sub(1, std::memory_order_relaxed);
  check_drained();
}

void scheduler::note_failure(const char* text) noexcept {
  const thread_lock hold(lock_);
  std::snprintf(failure_.data(), failure_.size(), "%s", text);
}

}  // namespace heddle::detail
