// SPDX-License-Identifier: BSL-1.0
#include "heddle/detail/wait.hpp"

#include "heddle/detail/trusted.hpp"
#include "scheduler.hpp"

namespace heddle::detail {

waiter::waiter() noexcept {
  machine* m = this_machine();
  fiber_ = m != nullptr ? m->current : nullptr;
}

void waiter::park(void (*commit)(void*), void* arg) noexcept {
  if (fiber_ != nullptr) {
    machine& m = *this_machine();
    m.enter();
    return m.sched.park(m, commit, arg);
  }
  signal_.store(0, std::memory_order_relaxed);
  count_parked_thread(+1);
  commit(arg);
  if (HEDDLE_PLANTED(wake_before_commit_lost)) signal_.store(0, std::memory_order_relaxed);
  // acquire: so that what the waker did before wake() is seen; release half there.
  while (signal_.load(std::memory_order_acquire) == 0) {
    platform::futex_wait(signal_, 0);
    if (HEDDLE_PLANTED(spurious_wake_believed)) break;
  }
}

inline void waiter::wake_thread() noexcept {
  // Not by the thread when it gets to run: until then it would look parked, and a deadlock be seen where none is.
  count_parked_thread(-1);
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
  } else if (const visit s; s) {
    s->inject_woken(f);
  }
}

void waiter::wake_inside(machine& m) noexcept {
  if (fiber_ != nullptr)
    m.sched.ready(m, fiber_);
  else
    wake_thread();
}

unsigned running_processors() noexcept {
  const scheduler* s = scheduler::active();
  return s != nullptr ? static_cast<unsigned>(s->processors.size()) : 1;
}

}  // namespace heddle::detail
