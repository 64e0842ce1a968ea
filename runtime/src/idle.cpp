// SPDX-License-Identifier: BSL-1.0
//
// The idle protocol: which machines sleep, who wakes them, and how a processor changes hands. The order of the
// steps here is what the invariants of scheduler.hpp rest on.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <utility>

#include "scheduler.hpp"

namespace heddle::detail {

// --- lists, under lock_ --------------------------------------------------------------------------------------

processor* scheduler::pop_processor() noexcept {
  processor* p = idle_processors_;
  if (p == nullptr) return nullptr;
  idle_processors_ = p->next_idle;
  idle_count_.fetch_sub(1, std::memory_order_seq_cst);  // seq_cst: one order with the looks of who adds work
  return p;
}

void scheduler::push_processor(processor& p) noexcept {
  p.owner.store(nullptr, std::memory_order_relaxed);
  p.next_idle = idle_processors_;
  idle_processors_ = &p;
  idle_count_.fetch_add(1, std::memory_order_seq_cst);  // seq_cst: before the looks at the queues in go_idle()
}

void scheduler::list_machine(machine& m) noexcept {
  m.wake_word.store(0, std::memory_order_relaxed);
  m.listed = true;
  ++listed_;
  m.previous_idle = nullptr;
  m.next_idle = idle_machines_;
  if (idle_machines_ != nullptr) idle_machines_->previous_idle = &m;
  idle_machines_ = &m;
}

void scheduler::unlist_machine(machine& m) noexcept {
  m.listed = false;
  least_listed_ = std::min(least_listed_, --listed_);
  (m.previous_idle != nullptr ? m.previous_idle->next_idle : idle_machines_) = m.next_idle;
  if (m.next_idle != nullptr) m.next_idle->previous_idle = m.previous_idle;
  if (timekeeper_ == &m) keep_no_time();
}

void scheduler::keep_no_time() noexcept {
  timekeeper_ = nullptr;
  timekeeper_deadline_ = no_deadline;
}

void scheduler::attach(machine& m, processor& p) noexcept {
  const thread_lock hold(m.handoff);
  m.p = &p;
  m.revoked.store(0, std::memory_order_relaxed);
  // release: so that who sees the owner sees the processor as its last owner left it; acquire half in the monitor.
  p.owner.store(&m, std::memory_order_release);
}

// --- waking -----------------------------------------------------------------------------------------------------

void scheduler::wake_one() noexcept {
  on_home_stack([this] { wake_one_here(); });
}

void scheduler::wake_one_here() noexcept {
  std::uint32_t none = 0;
  // seq_cst: counted as spinning before it is awake, in one order with who else adds work and looks.
  if (!spinning_.compare_exchange_strong(none, 1, std::memory_order_seq_cst, std::memory_order_relaxed)) return;
  lock_.lock();
  processor* p = ended_ ? nullptr : pop_processor();
  if (p == nullptr) {
    spinning_.fetch_sub(1, std::memory_order_seq_cst);  // seq_cst: as above
    return lock_.unlock();
  }
  hand_over(*p, true);
}

/// While reluctant: whether a fiber just added to p waits alone, and it is not the turn of one to be woken for.
[[gnu::noinline]] bool scheduler::spares_wake(processor& p) noexcept {
  const std::uint32_t doublings = std::min(futile_.load(std::memory_order_relaxed) - trusted_wakes, most_spared);
  return p.waiting() <= 1 && (++p.lone & ((1u << doublings) - 1)) != 0;
}

/// A machine goes idle that had been woken for work: how much was it? Under lock_.
void scheduler::judge_wake(machine& m) noexcept {
  if (!std::exchange(m.on_trial, false)) return;
  const bool worth_it = std::exchange(m.busy, 0) >= worth_a_wake;
  const std::uint32_t n = futile_.load(std::memory_order_relaxed);
  if (worth_it)
    futile_.store(0, std::memory_order_relaxed);
  else if (n != trusted_wakes + most_spared && (settings.monitor || HEDDLE_PLANTED(reluctant_without_monitor)))
    futile_.store(n + 1, std::memory_order_relaxed);
}

/// Gives p, which is in no list, to a sleeping machine or to a new one. Releases the lock.
void scheduler::hand_over(processor& p, bool spinning) noexcept {
  machine* m = idle_machines_;
  // The timekeeper last: the others need no new one.
  if (m != nullptr && m == timekeeper_ && m->next_idle != nullptr) m = m->next_idle;
  const bool asleep = m != nullptr;
  if (!asleep)
    m = new_machine();
  else if (!HEDDLE_PLANTED(machine_stays_listed))
    unlist_machine(*m);
  if (m == nullptr) {
    push_processor(p);
    if (spinning) spinning_.fetch_sub(1, std::memory_order_seq_cst);  // seq_cst: as in wake_one()
    return lock_.unlock();
  }
  m->spinning = m->on_trial = spinning;
  attach(*m, p);
  lock_.unlock();
  // release: so that the machine sees its processor; acquire half in sleep() and in the thread's start.
  m->wake_word.store(1, std::memory_order_release);
  platform::futex_wake(m->wake_word, 1);
  monitor_.work_begins();
}

/// A machine that waits on its wake word. Throws std::system_error if there is no thread, std::bad_alloc. Under lock_.
machine& scheduler::make_machine() {
  machine& m = threadless_machine();
  m.thread = platform::thread(
      [](void* arg) {
        machine& self = *static_cast<machine*>(arg);
        self.sched.run_machine(self);
      },
      &m, "heddle");
  threadless_ = m.next_idle;
  ++threads_;
  return m;
}

/// The same, or null with a report if there is no thread or the limit is reached. Under lock_.
machine* scheduler::new_machine() noexcept {
  const auto report = [this](const char* why, const char* more) HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    if (std::exchange(machine_limit_reported_, true)) return;
    std::fprintf(stderr, "heddle: no further machine beside %zu: %s%s; %s\n", threads_, why, more,
                 threads_ < processors.size() ? "processors have none" : "fibers wait for the blocked ones");
  };
  if (threads_ >= settings.max_machines) {
    report("the limit of the option machines is reached", "");
    return nullptr;
  }
  try {
    return &make_machine();
  } catch (const std::exception& e) {
    report("the system has no thread to give: ", e.what());
    return nullptr;
  }
}

// --- going idle -------------------------------------------------------------------------------------------------

bool scheduler::may_spin(machine& m) noexcept {
  if (alone_) return false;
  if (m.spinning) return true;
  const std::uint32_t busy =
      static_cast<std::uint32_t>(processors.size()) - idle_count_.load(std::memory_order_relaxed);
  if (2 * spinning_.load(std::memory_order_relaxed) >= busy) return false;
  m.spinning = true;
  spinning_.fetch_add(1, std::memory_order_seq_cst);  // seq_cst: one order with who adds work and looks
  return true;
}

void scheduler::stop_spinning(machine& m) noexcept {
  m.spinning = false;
  // seq_cst: before the look at the queues, so that who saw us spin and left the wake to us is not forgotten.
  if (spinning_.fetch_sub(1, std::memory_order_seq_cst) == 1 && idle_count_.load(std::memory_order_seq_cst) != 0 &&
      work_left_behind() && !HEDDLE_PLANTED(last_spinner_forgets))
    wake_one();
}

/// What a machine asks that has just said of itself that it is idle, or no longer spins: is there anything that its
/// owner left to us? A push has no fence before the look at us; so the fence is here, on all of them (CHECKLIST 12).
bool scheduler::work_left_behind() const noexcept {
  // Heavy half; the light half is that a push comes before the look in program order: scheduler::work_added().
  if (!alone_ && !HEDDLE_PLANTED(recheck_without_barrier)) platform::heavy_barrier();
  return work_visible(reluctant() ? 1 : 0);
}

bool scheduler::work_visible(std::uint32_t more_than) const noexcept {
  if (global_size_.load(std::memory_order_seq_cst) != 0) return true;  // seq_cst: after the idle count
  for (const auto& p : processors)
    if (p->waiting() > more_than) return true;
  return false;
}

bool scheduler::go_idle(machine& m) noexcept {
  bool was_spinning = false;
  {
    const thread_lock hold(lock_);
    if (global_.head != nullptr || feed_starved(*m.p)) return true;
    processor& p = *m.p;
    m.p = nullptr;
    push_processor(p);
    was_spinning = std::exchange(m.spinning, false);  // while it is ours: a listed machine is made spinning by others
    list_machine(m);
    judge_wake(m);
    check_drained();
  }
  if (was_spinning) spinning_.fetch_sub(1, std::memory_order_seq_cst);  // seq_cst: before the look at the queues
  if (!HEDDLE_PLANTED(missing_recheck) && work_left_behind() && wake_up_with_processor(m)) return true;
  return sleep(m);
}

/// A listed machine that has seen something to do takes an idle processor; false if there is none, or if it has
/// been dismissed. True too if it has been given one meanwhile.
bool scheduler::wake_up_with_processor(machine& m) noexcept {
  {
    const thread_lock hold(lock_);
    if (!m.listed) return false;
    processor* p = pop_processor();
    if (p == nullptr) {
      // Who goes idle next keeps the time from then on: this one's deadline, which has passed, must not look earlier.
      if (timekeeper_ == &m && !HEDDLE_PLANTED(timekeeper_stays_late)) keep_no_time();
      return false;
    }
    unlist_machine(m);
    attach(m, *p);
    if (!alone_) {
      m.spinning = m.on_trial = true;
      spinning_.fetch_add(1, std::memory_order_seq_cst);  // seq_cst: one order with who adds work and looks
    }
  }
  monitor_.work_begins();
  return true;
}

bool scheduler::await_processor(machine& m) noexcept {
  bool attached = false;
  {
    const thread_lock hold(lock_);
    --detached_;
    if (processor* p = pop_processor()) {
      attach(m, *p);
      attached = true;
    } else {
      list_machine(m);
      check_drained();
    }
  }
  if (!attached) return sleep(m);
  monitor_.work_begins();
  return true;
}

/// Makes a listed machine the timekeeper if the earliest timer is earlier than what the present one waits for.
/// Returns the deadline to sleep to.
nanoseconds_t scheduler::keep_time(machine& m) noexcept {
  const thread_lock hold(lock_);
  const nanoseconds_t earliest = earliest_timer();
  if (!m.listed || earliest >= timekeeper_deadline_) return no_deadline;
  if (HEDDLE_PLANTED(timekeeper_stays) && timekeeper_ != nullptr) return no_deadline;
  timekeeper_ = &m;
  timekeeper_deadline_ = earliest;
  return earliest;
}

/// Sleeps until somebody has given the machine a processor; false if it has been dismissed.
bool scheduler::sleep(machine& m) noexcept {
  nanoseconds_t deadline = keep_time(m);
  // acquire: so that the processor is seen; release half in hand_over().
  while (m.wake_word.load(std::memory_order_acquire) == 0) {
    platform::futex_wait(m.wake_word, 0, deadline);
    if (HEDDLE_PLANTED(machine_believes_any_wake)) break;
    if (deadline == no_deadline || platform::now() < deadline) continue;
    if (wake_up_with_processor(m)) return true;
    deadline = no_deadline;  // all processors are busy, and who runs looks at the timers too
  }
  {
    const thread_lock hold(m.handoff);
    if (m.p != nullptr) return true;
  }
  leave_nothing_behind();
  return false;
}

nanoseconds_t scheduler::earliest_timer() const noexcept {
  nanoseconds_t earliest = no_deadline;
  for (const auto& p : processors) earliest = std::min(earliest, p->timers.next());
  return earliest;
}

// --- taking a processor away ------------------------------------------------------------------------------------

bool machine::enter_slow() noexcept {
  const thread_lock hold(handoff);
  return p != nullptr;
}

bool scheduler::revoke(machine& m, processor& p, std::uint32_t tick) noexcept {
  {
    const thread_lock hold(lock_);
    if (idle_machines_ == nullptr && threads_ >= settings.max_machines) return false;
  }
  {
    const thread_lock hold(m.handoff);
    if (p.owner.load(std::memory_order_relaxed) != &m) return false;
    m.revoked.store(1, std::memory_order_relaxed);
    if (!HEDDLE_PLANTED(revoke_without_barrier)) platform::heavy_barrier();  // light half in machine::enter()
    // acquire: so that the processor is seen as the machine left it; release half in machine::leave().
    if (m.inside.load(std::memory_order_acquire) != 0 || p.owner.load(std::memory_order_relaxed) != &m ||
        p.tick.load(std::memory_order_relaxed) != tick) {
      m.revoked.store(0, std::memory_order_relaxed);
      return false;
    }
    m.p = nullptr;
    p.owner.store(nullptr, std::memory_order_relaxed);
  }
  lock_.lock();
  ++detached_;
  hand_over(p, false);
  return true;
}

void scheduler::release(machine& m) noexcept {
  m.enter();  // from here on nobody else takes it
  processor* const p = m.p;
  if (p != nullptr) {
    {
      const thread_lock hold(m.handoff);
      m.p = nullptr;
      m.revoked.store(1, std::memory_order_relaxed);
      p->owner.store(nullptr, std::memory_order_relaxed);
    }
    lock_.lock();
    ++detached_;
    hand_over(*p, false);
  }
  m.leave();
}

void scheduler::balance(nanoseconds_t now, bool stuck) noexcept {
  if (idle_processors() == 0) return;
  if (earliest_timer() <= now ||
      (spinning_.load(std::memory_order_relaxed) == 0 && (stuck || work_visible(reluctant() ? 1 : 0))))
    wake_one();
}

}  // namespace heddle::detail
