// SPDX-License-Identifier: BSL-1.0
#include "monitor.hpp"

#include <algorithm>

#include "scheduler.hpp"

namespace heddle::detail {

void monitor::start() {
  sightings_.resize(sched_.processors.size());
  stop_.store(0, std::memory_order_relaxed);
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
  nanoseconds_t interval = shortest;
  nanoseconds_t idle_since = no_deadline;
  // acquire: so that nothing of the runtime is touched after stop().
  while (stop_.load(std::memory_order_acquire) == 0) {
    const nanoseconds_t now = platform::now();
    interval = round(now) ? shortest : std::min(2 * interval, sched_.reluctant() ? reluctant : longest);
    if (!sched_.all_idle()) {
      idle_since = no_deadline;
    } else if (idle_since == no_deadline) {
      idle_since = now;
    } else if (now - idle_since >= before_deep) {
      if (sched_.settings.detect_deadlock && sched_.deadlocked()) sched_.report_deadlock();
      sleep(deep, no_deadline);
      idle_since = no_deadline;
      interval = shortest;
      continue;
    }
    sleep(interval == shortest ? awake : doze, now + interval);
  }
}

bool monitor::round(nanoseconds_t now) noexcept {
  bool calls = false;
  bool stuck = false;
  for (const auto& p : sched_.processors) {
    sighting& seen = sightings_[p->index];
    calls |= inspect(*p, seen, now);
    stuck |= seen.since != now && p->waiting() != 0;
  }
  sched_.balance(now, stuck);
  return calls;
}

/// Looks at one processor, and takes it if it must be taken. Returns whether its machine is in an announced call,
/// or has just lost it: then the next round comes soon.
bool monitor::inspect(processor& p, sighting& seen, nanoseconds_t now) noexcept {
  // acquire: so that the machine is seen as made; release half in scheduler::attach().
  machine* m = p.owner.load(std::memory_order_acquire);
  // acquire: so that its clock is seen; release half in scheduler::run_machine().
  if (m == nullptr || !m->started.load(std::memory_order_acquire)) {
    seen = {};
    return false;
  }
  const std::uint32_t tick = p.tick.load(std::memory_order_relaxed);
  const std::uint32_t call = m->call.load(std::memory_order_relaxed);
  if (m != seen.m || tick != seen.tick || call != seen.call) {
    seen = {m, tick, call, now, 0, 0};
    return call != 0;
  }
  if (!sched_.work_visible() && sched_.earliest_timer() > now) return call != 0;
  bool take = call != 0 || now - seen.since >= sched_.slice();
  // acquire: so that the clock of a machine that has got its processor before its thread ran is seen.
  if (!take && now - seen.since >= shortest && m->started.load(std::memory_order_acquire)) {
    // Neither announced nor past its slice: blocked if its CPU clock stands still.
    const nanoseconds_t cpu = platform::cpu_time(m->clock);
    take = seen.cpu != 0 && now - seen.cpu_read >= shortest && (cpu - seen.cpu) * 4 < now - seen.cpu_read;
    if (seen.cpu == 0) {
      seen.cpu = cpu;
      seen.cpu_read = now;
    }
  }
  return (take && sched_.revoke(*m, p, tick)) || call != 0;
}

void monitor::sleep(std::uint32_t how, nanoseconds_t deadline) noexcept {
  nap_.store(how, std::memory_order_seq_cst);  // seq_cst: before the looks below; other half in work_begins()
  if (how == doze) {
    platform::heavy_barrier();  // light half in blocking_section: its call or our nap is seen
    if (sched_.call_with_work_behind()) return nap_.store(awake, std::memory_order_relaxed);
  }
  if (stop_.load(std::memory_order_seq_cst) == 0 &&  // seq_cst: after the nap; other half in stop()
      (how != deep || HEDDLE_PLANTED(deep_sleep_without_look) || sched_.all_idle()))
    platform::futex_wait(nap_, how, deadline);
  nap_.store(awake, std::memory_order_relaxed);
}

}  // namespace heddle::detail
