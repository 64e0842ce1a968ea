// SPDX-License-Identifier: BSL-1.0
//
// Ends the threads of machines that nobody needs.
//
// 1. A machine is dismissed while it is in the idle list, under lock_: from then on nobody gives it a processor. Work
//    that it would have done itself, had it slept on, it leaves to another (leave_nothing_behind()).
// 2. Its thread then ends by itself, which runs destructors of thread-locals: user code, which may start fibers, wait
//    for them, and wake others as any plain thread may. So nobody holds a lock while it waits for the thread.
// 3. Its record is used again once the thread has been joined. Records go when the runtime does.
#include <algorithm>
#include <utility>

#include "held_calls.hpp"
#include "scheduler.hpp"

namespace heddle::detail {

/// A record without a thread, the first of the list. Throws std::bad_alloc.
machine& scheduler::threadless_machine() {
  if (threadless_ == nullptr) {
    machines_.push_back(std::make_unique<machine>(*this));
    threadless_ = machines_.back().get();
    threadless_->made_before = last_made_.load(std::memory_order_relaxed);
    last_made_.store(threadless_, std::memory_order_release);  // release: so that it is seen as made; see machines()
  }
  machine& m = *threadless_;
  m.inside.store(1, std::memory_order_relaxed);
  m.wake_word.store(machine::asleep, std::memory_order_relaxed);
  m.call.store(0, std::memory_order_relaxed);
  m.late.store(0, std::memory_order_relaxed);
  m.started.store(false, std::memory_order_relaxed);
  m.leaving = m.on_trial = false;
  m.busy = m.busy_since = 0;
  return m;
}

/// Tells an idle machine to end.
void scheduler::dismiss(machine& m) noexcept {
  unlist_machine(m);
  m.leaving = true;
  m.next_idle = leaving_;
  leaving_ = &m;
  ++leavers_;
  rouse(m);
}

/// The thread of m, which is in no list, has been joined.
void scheduler::forget_thread(machine& m) noexcept {
  m.next_idle = threadless_;
  threadless_ = &m;
  --leavers_;
  --threads_;
}

/// The last thing a dismissed machine does. It may have been dismissed after it had said that it is idle, and before it
/// had looked for work and for timers once more, which everybody relies on.
void scheduler::leave_nothing_behind() noexcept {
  if (HEDDLE_PLANTED(leaver_forgets)) return;
  bool untimed = false, unpolled = false;
  {
    const thread_lock hold(lock_);
    // Without a fiber those that are left ring for nobody, and who wakes for them would be dismissed, and wake another.
    const bool for_somebody = alive() != 0;
    untimed = earliest_timer() < timekeeper_deadline_ && (for_somebody || HEDDLE_PLANTED(leaver_heeds_dead_alarms));
    unpolled = for_somebody && !HEDDLE_PLANTED(leaver_leaves_poller) && lacks_poller();
  }
  if (untimed || unpolled || work_left_behind()) wake_one();
}

std::size_t scheduler::spare_machines(bool& more) noexcept {
  const thread_lock hold(lock_);
  const std::size_t kept = kept_machines();
  more = listed_ > kept;
  const std::size_t least = std::exchange(least_listed_, listed_);
  return least > kept ? least - kept : 0;
}

bool scheduler::end_machines(std::size_t n, std::size_t kept) noexcept {
  const thread_lock hold(lock_);
  // The timekeeper stays, and those that went idle last: they are warm, and are woken first.
  if (timekeeper_ != nullptr && kept != 0) --kept;
  for (machine *m = idle_machines_, *next = nullptr; m != nullptr && n != 0; m = next) {
    next = m->next_idle;
    if (m == timekeeper_ || m->polls.load(std::memory_order_relaxed) != 0) continue;
    if (kept != 0) {
      --kept;
    } else {
      dismiss(*m);
      --n;
    }
  }
  for (machine** at = &leaving_; *at != nullptr;) {
    machine& ended = **at;
    if (ended.thread.try_join()) {
      *at = ended.next_idle;
      forget_thread(ended);
    } else {
      at = &ended.next_idle;
    }
  }
  return leaving_ != nullptr;
}

/// User code may run there yet, and wait for a signal; while the caller sleeps in join() it makes no held calls.
void scheduler::await_end(machine& leaver) const noexcept {
  if (settings.monitor) return leaver.thread.join();  // which makes them
  // A thread ends within some 50 us where no user code runs. With pauses alone a run() of nothing took 270 us, not 170.
  constexpr unsigned patient = 200;
  constexpr nanoseconds_t pause = 100'000;
  atomic<std::uint32_t> nobody{0};
  for (unsigned looks = 0; !leaver.thread.try_join(); ++looks)
    looks < patient ? platform::yield_thread() : sleep_on(nobody, 0, platform::now() + pause);
}

bool scheduler::dismiss_all(nanoseconds_t deadline) noexcept {
  for (;;) {
    // Plain threads that go on starting fibers bring new machines again and again.
    if (deadline != no_deadline && platform::now() >= deadline) return false;
    machine* leaver = nullptr;
    {
      const thread_lock hold(lock_);
      while (idle_machines_ != nullptr) dismiss(*idle_machines_);
      leaver = leaving_;
      if (leaver == nullptr) return threads_ == 0;
      leaving_ = leaver->next_idle;
    }
    await_end(*leaver);
    const thread_lock hold(lock_);
    forget_thread(*leaver);
  }
}

}  // namespace heddle::detail
