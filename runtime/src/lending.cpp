// SPDX-License-Identifier: BSL-1.0
//
// A fiber whose thread is about to block lends its processor, and goes on on that thread.
//
// 1. It has found out that it blocks, so nobody waits for the monitor's look.
// 2. If nothing waits for the processor it is idle, and no thread is woken. The same must hold then as in go_idle().
// 3. Afterwards it takes a processor that is idle. If there is none it runs on without, and is counted as detached.
#include "scheduler.hpp"

namespace heddle::detail {

/// Whether p, which its owner gives away, may be idle: all that would be forgotten then is in its own queues and
/// timers, and in lists under lock_; and somebody must poll.
bool scheduler::nothing_waits_for(const processor& p) const noexcept {
  const bool timed = p.timers.next() < timekeeper_deadline_ && !HEDDLE_PLANTED(lender_forgets_time);
  const bool unpolled = poller_.in_use() && poller_.is_free() && !HEDDLE_PLANTED(lender_leaves_poller);
  return p.waiting() == 0 && !timed && !unpolled && global_.head == nullptr && starved_.head == nullptr;
}

bool scheduler::lend(machine& m) noexcept {
  m.enter();  // from here on nobody else takes it
  bool lent = true;
  if (processor* const p = m.p) {
    lock_.lock();
    lent = idle_machines_ != nullptr || threads_ < settings.max_machines;
    if (!lent) {
      lock_.unlock();
    } else if (detach(m, *p); nothing_waits_for(*p)) {
      push_processor(*p);
      const bool others_run = idle_count_.load(std::memory_order_relaxed) != processors.size();
      lock_.unlock();
      // As in go_idle(): a fiber may have been queued elsewhere, by someone who saw no idle processor yet; unless
      // nobody owns a queue, and so the barrier is spared.
      if (others_run && !HEDDLE_PLANTED(lender_looks_once) && work_left_behind()) wake_one();
    } else {
      hand_over(*p, false);
    }
  }
  m.leave();
  return lent;
}

void scheduler::rejoin(machine& m) noexcept {
  bool attached = false;
  if (!m.enter() && idle_count_.load(std::memory_order_relaxed) != 0) {
    const thread_lock hold(lock_);
    if (processor* const p = pop_processor()) {
      if (!HEDDLE_PLANTED(rejoins_uncounted)) --detached_;
      attach(m, *p);
      p->tick.store(p->tick.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);  // a turn of its own
      attached = true;
    }
  }
  if (attached) monitor_.work_begins();
  m.leave();
}

}  // namespace heddle::detail
