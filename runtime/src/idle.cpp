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
  m.wake_word.store(machine::asleep, std::memory_order_relaxed);
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
  // The timekeeper and the one that polls last: the others need no new one.
  while (m != nullptr && m->next_idle != nullptr && (m == timekeeper_ || m->polls.load(std::memory_order_relaxed) != 0))
    m = m->next_idle;
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
  rouse(*m);
  monitor_.work_begins();
}

/// Wakes a machine that is in no list any more.
void scheduler::rouse(machine& m) noexcept {
  // release: so that the machine sees its processor; acquire half in sleep() and in the thread's start. seq_cst: before
  // the look at `polls`; other half in sleep_in_poller().
  m.wake_word.store(machine::woken,
                    HEDDLE_PLANTED(rouse_relaxed) ? std::memory_order_release : std::memory_order_seq_cst);
  if (m.polls.load(std::memory_order_seq_cst) != 0 && !HEDDLE_PLANTED(poller_not_interrupted))
    poller_.interrupt();
  else
    platform::futex_wake(m.wake_word, 1);
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
  const std::uint32_t expired = expired_.load(std::memory_order_relaxed);
  const bool dense = expired - std::exchange(expired_before_, expired) > 1;
  timekeeper_deadline_ =
      std::max(earliest, later_by(platform::now(), dense ? shortest_sleep_if_dense : shortest_sleep));
  return timekeeper_deadline_;
}

/// Sleeps until somebody has given the machine a processor; false if it has been dismissed.
bool scheduler::sleep(machine& m) noexcept {
  nanoseconds_t deadline = keep_time(m);
  // acquire: so that the processor is seen; release half in rouse().
  for (std::uint32_t word; (word = m.wake_word.load(std::memory_order_acquire)) != machine::woken;) {
    // relaxed: it only means that the poller is to be looked at.
    if (word == machine::look_again)
      m.wake_word.compare_exchange_strong(word, machine::asleep, std::memory_order_relaxed, std::memory_order_relaxed);
    // Without an idle processor a machine would wake for each single event, and could only queue the fiber. Whoever
    // goes idle next polls, and until then those that run do.
    if (poller_.in_use() && idle_processors() != 0 && poller_.take()) {
      if (sleep_in_poller(m, deadline)) return true;
    } else {
      platform::futex_wait(m.wake_word, machine::asleep, deadline);
    }
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

/// A listed machine that has the token sleeps in the kernel until a descriptor is ready, it is woken, or the deadline
/// has passed. True: it has taken a processor.
bool scheduler::sleep_in_poller(machine& m, nanoseconds_t deadline) noexcept {
  // seq_cst: before the look at the word; other half in rouse().
  m.polls.store(1, HEDDLE_PLANTED(poller_hides) ? std::memory_order_relaxed : std::memory_order_seq_cst);
  int found = 0;
  if (m.wake_word.load(std::memory_order_seq_cst) == machine::asleep || HEDDLE_PLANTED(poller_sleeps_though_woken))
    found = poller_.fetch(deadline);
  m.polls.store(0, std::memory_order_seq_cst);  // seq_cst: before it sleeps elsewhere; other half in rouse()
  // If it has no processor, perhaps since one is about to be given to it, fibers go to the global queue.
  const bool attached = found != 0 && wake_up_with_processor(m);
  poller_.deliver(*this, attached ? &m : nullptr);
  poller_.release();
  return attached;
}

/// A processor is idle: if nobody polls, an idle machine is told to. True: there is none, so the caller is to have one
/// made by wake_one(). It finds nothing to run, and polls.
bool scheduler::lacks_poller() noexcept {
  if (!poller_.in_use() || !poller_.is_free()) return false;
  machine* const m = idle_machines_;
  if (m == nullptr) return true;
  std::uint32_t word = machine::asleep;
  // relaxed: nothing comes with it.
  if (m->wake_word.compare_exchange_strong(word, machine::look_again, std::memory_order_relaxed,
                                           std::memory_order_relaxed))
    platform::futex_wake(m->wake_word, 1);
  return false;
}

void scheduler::look_after_poller(nanoseconds_t now) noexcept {
  if (!poller_.in_use() || !poller_.is_free() || HEDDLE_PLANTED(monitor_leaves_poller)) return;
  const nanoseconds_t unseen = now - poller_.last_look();
  if (unseen < before_nudge) return;
  lock_.lock();
  const bool idle = idle_processors_ != nullptr;
  const bool lacks_machine = idle && alive() != 0 && lacks_poller();
  lock_.unlock();
  if (lacks_machine) wake_one();
  if (idle) return;
  if (unseen < before_own_look || !poller_.take()) return;
  poller_.fetch(0);
  poller_.deliver(*this, nullptr);
  poller_.release();
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

/// The fiber that m runs goes on without p, which m is inside of.
void scheduler::detach(machine& m, processor& p) noexcept {
  const thread_lock hold(m.handoff);
  m.p = nullptr;
  m.revoked.store(1, std::memory_order_relaxed);
  p.owner.store(nullptr, std::memory_order_relaxed);
  ++detached_;
}

void scheduler::release(machine& m) noexcept {
  m.enter();  // from here on nobody else takes it
  if (processor* const p = m.p) {
    lock_.lock();
    detach(m, *p);
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
