// SPDX-License-Identifier: BSL-1.0
#include "monitor.hpp"

#include <algorithm>

#include "exit.hpp"
#include "held_calls.hpp"
#include "helpers.hpp"
#include "late.hpp"
#include "platform_services.hpp"
#include "scheduler.hpp"

namespace heddle::detail {

void monitor::start() {
  sightings_.resize(sched_.processors.size());
  stop_.store(0, std::memory_order_relaxed);
  main_unseen_ = main_may_leave_unseen();
  thread_ = platform::thread([](void* self) { static_cast<monitor*>(self)->run(); }, this, "heddle-monitor");
}

void monitor::stop() noexcept {
  if (!thread_.joinable()) return;
  stop_.store(1, std::memory_order_seq_cst);  // seq_cst: before the look at the nap
  wake();
  thread_.join();
}

void monitor::wake() noexcept {
  // seq_cst: so that of many who see a nap one wakes it.
  if (nap_.exchange(awake, std::memory_order_seq_cst) != awake) platform::futex_wake(nap_, 1);
}

void monitor::run() noexcept {
  // Whoever blocks frees a CPU, so that the monitor runs at once when it is needed; who computes is not in a hurry.
  platform::interrupt_nobody();
  // A handler here could wait for a lock that this thread holds.
  platform::block_all_signals();
  nanoseconds_t interval = shortest;
  nanoseconds_t idle_since = no_deadline;
  nanoseconds_t given_back = platform::now();
  bool kept = true;  // memory that may be given back later
  // acquire: so that nothing of the runtime is touched after stop().
  while (stop_.load(std::memory_order_acquire) == 0) {
    make_held_calls();
    const nanoseconds_t now = platform::now();
    interval = next_interval(round(now), interval);
    if (now - given_back >= memory_period) {
      given_back = now;
      kept = sched_.give_back_memory();
      bool more = false;
      spare_machines_ = sched_.spare_machines(more);
      kept |= more;
    }
    const bool ending = end_spare_machines(now);
    if (!sched_.all_idle()) {
      idle_since = no_deadline;
      kept = true;
    } else if (idle_since == no_deadline) {
      idle_since = now;
    } else if (now - idle_since >= before_deep) {
      turns_ = sched_.turns();
      helper_sleeps_ = detail::helper_sleeps();
      if (sched_.settings.detect_deadlock && sched_.deadlocked()) sched_.report_deadlock();
      if ((main_thread_left() || main_unseen_) && sched_.nobody_left()) {
        platform::block_signals(sched_.blocked_signals_);  // destructors may start processes, which have them too
        exit_by_monitor();
      }
      sleep(deep, ending ? now + while_waiting : kept ? given_back + memory_period : no_deadline);
      idle_since = no_deadline;
      interval = shortest;
      continue;
    }
    sleep(interval == shortest || calls_are_short() ? awake : doze, now + interval);
  }
}

bool monitor::end_spare_machines(nanoseconds_t now) noexcept {
  if ((spare_machines_ != 0 || machines_leave_) && now - ended_some_ >= between_machines) {
    ended_some_ = now;
    const std::size_t n = std::min(spare_machines_, machines_at_once);
    spare_machines_ -= n;
    machines_leave_ = sched_.end_machines(n, sched_.kept_machines());
  }
  return spare_machines_ != 0 || machines_leave_;
}

nanoseconds_t monitor::next_interval(sight s, nanoseconds_t last) noexcept {
  if (s == sight::blocked) {
    short_calls_ = 0;
    return shortest;
  }
  if (s == sight::call && !calls_are_short()) {
    ++short_calls_;
    return shortest;
  }
  // Is it still the same call after a short while?
  if (calls_are_short()) return s == sight::call && last != shortest ? shortest : while_short;
  const nanoseconds_t most = sched_.reluctant() ? reluctant : longest;
  return std::min(2 * last, someone_preemptible_ ? std::min(most, std::max(shortest, sched_.slice() / 4)) : most);
}

monitor::sight monitor::round(nanoseconds_t now) noexcept {
  sight worst = sight::nothing;
  bool stuck = false;
  someone_preemptible_ = false;
  for (const auto& p : sched_.processors) {
    sighting& seen = sightings_[p->index];
    worst = std::max(worst, inspect(*p, seen, now));
    stuck |= seen.since != now && p->waiting() != 0;
  }
  sched_.balance(now, stuck);
  sched_.look_after_poller(now);
  return worst;
}

/// Looks at one processor, and takes it if it must be taken.
monitor::sight monitor::inspect(processor& p, sighting& seen, nanoseconds_t now) noexcept {
  // acquire: so that the machine is seen as made; release half in scheduler::attach().
  machine* m = p.owner.load(std::memory_order_acquire);
  // acquire: so that its clock is seen; release half in scheduler::run_machine().
  if (m == nullptr || !m->started.load(std::memory_order_acquire)) {
    seen = {};
    return sight::nothing;
  }
  const std::uint32_t tick = p.tick.load(std::memory_order_relaxed);
  const std::uint32_t call = m->call.load(std::memory_order_relaxed);
  const sight untaken = call != 0 ? sight::call : sight::nothing;
  if (m != seen.m || tick != seen.tick || call != seen.call) {
    seen = {m, tick, call, now, 0, 0};
    // A call is judged at the next round already, so its clock is read now.
    if (call != 0) seen.read(m->clock, now);
    return untaken;
  }
  if (!sched_.work_visible() && sched_.earliest_timer() > now) return untaken;
  const bool hogs = now - seen.since >= sched_.slice();
  if (can_preempt(*m)) {
    // Asked a little early, so that it has yielded within two slices although it is seen and looked at late.
    someone_preemptible_ = true;
    if (now - seen.since >= sched_.slice() / 4 * 3 && now - seen.since < 2 * sched_.slice()) {
      preempt(*m);
      return untaken;
    }
  }
  bool take = hogs;
  if (!take && now - seen.since >= shortest / 2) {
    // Not past its slice: it is blocked if its CPU clock stands still. So is an announced call; one that works in the
    // kernel keeps its processor, for else there are more threads than processors to run them.
    if (seen.cpu_read == 0)
      seen.read(m->clock, now);
    else
      take = now - seen.cpu_read >= shortest / 2 && (platform::cpu_time(m->clock) - seen.cpu) * 4 < now - seen.cpu_read;
  }
  if (take && sched_.revoke(*m, p, tick)) return hogs ? untaken : sight::blocked;
  // No machine could take it over, and the question above may have been wiped out, or never asked by a monitor that was
  // itself held up.
  if (hogs && can_preempt(*m)) preempt(*m);
  return untaken;
}

/// Whether the machine runs a fiber whose functions look whether they are to yield.
bool monitor::can_preempt(const machine& m) const noexcept {
  return sched_.settings.preempt && m.limit_slot != nullptr && m.limit_slot->load(std::memory_order_relaxed) != 0;
}

/// Asks it to yield: whoever runs there now, at worst a fiber that need not.
void monitor::preempt(machine& m) noexcept { tell_late(m.late, *m.limit_slot); }

void monitor::sleep(std::uint32_t how, nanoseconds_t deadline) noexcept {
  // seq_cst: before the looks below; other halves in work_begins(), call_begins()
  nap_.store(how, HEDDLE_PLANTED(nap_relaxed) ? std::memory_order_relaxed : std::memory_order_seq_cst);
  if (how == doze && announced_.load(std::memory_order_seq_cst) != 0) {
    platform::heavy_barrier();  // light half in blocking_section: its call or our nap is seen
    if (sched_.call_with_work_behind()) return nap_.store(awake, std::memory_order_relaxed);
  }
  if (how == deep && main_thread_left()) deadline = std::min(deadline, platform::now() + while_waiting);
  if (how == deep && main_unseen_) deadline = std::min(deadline, platform::now() + while_unseen);
  if (stop_.load(std::memory_order_seq_cst) == 0 &&  // seq_cst: after the nap; other half in stop()
      (!some_calls_held() || HEDDLE_PLANTED(sleeps_on_held_calls)) &&
      (how != deep || HEDDLE_PLANTED(deep_sleep_without_look) ||
       (sched_.all_idle() && sched_.turns() == turns_ && detail::helper_sleeps() == helper_sleeps_)))
    platform::futex_wait(nap_, how, deadline);
  nap_.store(awake, std::memory_order_relaxed);
}

}  // namespace heddle::detail
