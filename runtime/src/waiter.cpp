// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/wait.hpp"

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/trusted.hpp"
#include "held_calls.hpp"
#include "pinned.hpp"
#include "scheduler.hpp"

namespace heddle::detail {

waiter::waiter() noexcept {
  machine* m = suspendable();
  fiber_ = m != nullptr ? m->current : nullptr;
}

void waiter::park(void (*commit)(void*), void* arg) noexcept {
  if (fiber_ != nullptr) {
    machine& m = *this_machine();
    m.enter();
    return m.sched.park(m, commit, arg);
  }
  signal_.store(0, std::memory_order_relaxed);
  counted_ = this_machine() == nullptr ? process_era() : 0;
  if (counted_ != 0) count_parked_thread(+1);
  commit(arg);
  if (HEDDLE_PLANTED(wake_before_commit_lost)) signal_.store(0, std::memory_order_relaxed);
  release_processor();
  sleep_thread();
}

void waiter::sleep_thread() noexcept {
  // acquire: so that what the waker did before wake() is seen; release half there.
  while (signal_.load(std::memory_order_acquire) == 0) {
    sleep_on(signal_, 0);
    if (HEDDLE_PLANTED(spurious_wake_believed)) break;
  }
}

inline void waiter::wake_thread() noexcept {
  // Not by the thread when it gets to run: until then it would look parked, and a deadlock be seen where none is.
  // In a child the threads of its parent were never counted.
  if (counted_ == process_era()) count_parked_thread(-1);
  // release: so that the parked thread sees what was done for it; acquire half in park(). The waiter may be gone
  // after the store; the wake then hits an address on which nobody sleeps.
  signal_.store(1, std::memory_order_release);
  platform::futex_wake(signal_, 1);
}

void waiter::wake() noexcept {
  if (fiber_ == nullptr) return wake_thread();
  fiber* f = fiber_;
  if (machine* m = this_machine()) {
    const critical_section in(*m);
    m->sched.ready(*m, f);
  } else if (const visit s; s && (!HEDDLE_PLANTED(wakes_need_open_runtime) || s.open())) {
    s->inject_woken(f);  // f lives, so its scheduler is there, except in a forked child if f is its parent's
  }
}

void waiter::wake_inside(machine& m) noexcept {
  if (fiber_ != nullptr)
    m.sched.ready(m, fiber_);
  else
    wake_thread();
}

void waiter::wake_last_inside(machine& m) noexcept {
  if (fiber_ != nullptr)
    m.sched.ready_from_afar(m, fiber_);
  else
    wake_thread();
}

void waiter::wake_globally(scheduler& s) noexcept { s.inject_woken(fiber_); }

// --- waits with bounds -----------------------------------------------------------------------------------------

wait_state bounded_waiter::park(void (*commit)(void*), void* arg) noexcept {
  commit_ = commit;
  argument_ = arg;
  if (fiber_ != nullptr) {
    machine& m = *this_machine();
    m.enter();
    m.sched.park(m, suspended, as_argument<wait_argument::unbounded>(*this));
  } else {
    park_thread();
  }
  return settle();
}

wait_state bounded_waiter::park_by(void (*queue)(void*), void* arg) noexcept {
  machine& m = *this_machine();
  m.enter();
  m.sched.park(m, queue, arg);
  // acquire: so that what was done before the end is seen; release half in end_wait().
  return state_.load(std::memory_order_acquire);
}

/// Off the sleeper's stack: sets the alarm and lets go of the primitive, in an order such that the sleeper, whoever
/// wakes it and when, finds what it needs alive. Until the state is `asleep` nobody resumes it; from then on until the
/// primitive is unlocked it may run, but it needs that lock before it may leave.
void bounded_waiter::suspended(void* self) {
  bounded_waiter& w = from_argument<wait_argument::unbounded, bounded_waiter>(self);
  machine& m = *this_machine();
  if (w.alarm_.deadline != no_deadline) {
    w.alarm_.sleeper = w.fiber_;
    w.alarm_.state = &w.state_;
    m.sched.add_timer(m, w.alarm_);
  }
  fiber* const sleeper = w.fiber_;
  void (*const commit)(void*) = w.commit_;
  void* const argument = w.argument_;
  const bool asleep = w.falls_asleep();
  commit(argument);
  if (!asleep) m.sched.ready(m, sleeper);
}

bool bounded_waiter::falls_asleep() noexcept {
  wait_state open = wait_state::open;
  // release: so that who ends the wait sees the sleeper in its queue; acquire half in end_wait(). acquire: so that what
  // was done before the end is seen; release half there.
  return state_.compare_exchange_strong(open, wait_state::asleep, std::memory_order_acq_rel,
                                        std::memory_order_acquire) ||
         HEDDLE_PLANTED(early_end_ignored);
}

void bounded_waiter::park_thread() noexcept {
  signal_.store(0, std::memory_order_relaxed);
  counted_ = alarm_.deadline == no_deadline && this_machine() == nullptr ? process_era() : 0;
  const bool asleep = falls_asleep();
  if (counted_ != 0 && asleep) count_parked_thread(+1);
  commit_(argument_);
  if (!asleep) return;
  release_processor();
  // acquire: so that what the waker did before wake() is seen; release half there.
  while (alarm_.deadline != no_deadline && signal_.load(std::memory_order_acquire) == 0) {
    sleep_on(signal_, 0, alarm_.deadline);
    if (platform::now() < alarm_.deadline) continue;
    if (end_wait(state_, wait_state::timed_out)) return;
    break;  // somebody else has ended it, and is about to wake
  }
  sleep_thread();
}

/// After the wait: nothing of it is left anywhere but, if it was not signalled, in the primitive's queue.
wait_state bounded_waiter::settle() noexcept {
  // acquire: so that what was done before the end is seen; release half in end_wait().
  const wait_state how = state_.load(std::memory_order_acquire);
  if (alarm_.heap != nullptr && how != wait_state::timed_out) alarm_.heap->remove(alarm_);
  alarm_.heap = nullptr;
  return how;
}

void bounded_waiter::stop() noexcept {
  if (end_wait(state_, wait_state::stopped)) wake();
}

const void* caller() noexcept {
  const machine* m = this_machine();
  if (m != nullptr && m->current != nullptr) return m->current;
  return platform::this_thread_mark();
}

}  // namespace heddle::detail
