// SPDX-License-Identifier: BSL-1.0
//
// Which fiber runs next, and the switch to it. Who sleeps and who wakes is in idle.cpp, birth and end in lifetime.cpp.
#include "scheduler.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace heddle::detail {
namespace {

// --- commit functions: they run on the stack of whoever came after the departed fiber -------------------
// Their argument is the machine, on which they run too.

void queue_again(void* argument) {
  machine& m = *static_cast<machine*>(argument);
  m.sched.ready_last(m, static_cast<fiber*>(m.departed));
}

// --- cold fibers -------------------------------------------------------------------------------------------

/// How far ahead of the one that is taken from the global queue the blocks are fetched: a list is walked no faster than
/// memory answers, one block at a time.
constexpr std::uint32_t looked_ahead = 8;

/// Fetches what resuming f touches first: the saved registers and the frames above them.
inline void prefetch_stack(const fiber& f) noexcept {
  if (f.context == nullptr) return;
  const char* const at = static_cast<const char*>(f.context);
  for (int line = 0; line != 4; ++line) __builtin_prefetch(at + 64 * line);
}

/// The same for one of the global queue, and the block of the one that it names.
inline void prefetch_queued(const fiber& f) noexcept {
  if (f.ahead != nullptr) __builtin_prefetch(f.ahead);
  prefetch_stack(f);
}

}  // namespace

// --- making fibers runnable --------------------------------------------------------------------------------

void scheduler::ready(machine& m, fiber* f) noexcept {
  f->state.store(f->memory != nullptr ? fiber_state::runnable : fiber_state::fresh, std::memory_order_relaxed);
  if (m.p == nullptr) return inject(f);
  if (fiber* old = m.p->woken.replace_next(f)) {
    if (old->memory == nullptr)
      push_fresh(*m.p, old);
    else
      push_back(*m.p, old);
  }
  if (!alone_) work_added(*m.p);
}

void scheduler::ready_from_afar(machine& m, fiber* f) noexcept {
  prefetch_stack(*f);
  ready_last(m, f);
}

void scheduler::ready_last(machine& m, fiber* f) noexcept {
  f->state.store(fiber_state::runnable, std::memory_order_relaxed);
  if (m.p == nullptr) return inject(f);
  push_back(*m.p, f);
  if (!alone_) work_added(*m.p);
}

inline void scheduler::push_back(processor& p, fiber* f) noexcept {
  if (!p.woken.push(f)) [[unlikely]]
    overflow(p, f);
}

[[gnu::noinline]] void scheduler::overflow(processor& p, fiber* f) noexcept {
  on_home_stack([&] {
    std::array<fiber*, queue_capacity> half;
    fiber_list batch;
    const std::uint32_t n = p.woken.take_half(half.data());
    for (std::uint32_t i = 0; i != n; ++i) {
      batch.push(half[i]);
      half[i]->ahead = i + looked_ahead < n ? half[i + looked_ahead] : nullptr;
    }
    f->ahead = nullptr;
    if (!HEDDLE_PLANTED(overflow_loses_newest)) batch.push(f);
    inject_list(batch);
  });
}

inline void scheduler::push_fresh(processor& p, fiber* f) noexcept {
  if (!p.fresh.push(f)) [[unlikely]]
    overflow_fresh(p, f);
}

[[gnu::noinline]] void scheduler::overflow_fresh(processor& p, fiber* f) noexcept {
  on_home_stack([&] {
    std::array<fiber*, queue_capacity> half;
    fiber_list batch;
    const std::uint32_t n = p.fresh.take_half(half.data());
    for (std::uint32_t i = 0; i != n; ++i) {
      half[i]->ahead = nullptr;
      batch.push(half[i]);
    }
    inject_list(batch);
    if (!p.fresh.push(f)) inject(f);
  });
}

void scheduler::inject(fiber* f) noexcept {
  fiber_list one;
  f->ahead = nullptr;
  one.push(f);
  inject_list(one);
}

void scheduler::inject_list(fiber_list& l) noexcept {
  {
    const thread_lock hold(lock_);
    global_.append(l);
    // seq_cst: so that the look at the idle count follows it; other half in go_idle().
    global_size_.store(global_.count, std::memory_order_seq_cst);
  }
  work_added();
}

/// Offers the stacks that p keeps to the starved; false if there are none of the one or of the other. Under lock_.
bool scheduler::feed_starved(processor& p) noexcept {
  if (starved_.head == nullptr || !give_stacks_back(p)) return false;
  global_.append(starved_);
  starved_count_.store(0, std::memory_order_relaxed);
  // seq_cst: as in inject_list().
  global_size_.store(global_.count, std::memory_order_seq_cst);
  return true;
}

// --- choosing the next --------------------------------------------------------------------------------------

fiber* scheduler::pick(machine& m) noexcept {
  processor& p = *m.p;
  if (p.timers.next_hint() != no_deadline) [[unlikely]]
    run_timers(m, p);
  if (fiber* f = p.next_local()) return f;
  if (p.fairness == 0) {
    if (fiber* f = fair_pick(m, p)) return f;
    p.fairness = processor::fairness_period;
    if (fiber* f = p.next_local()) return f;
  }
  return global_size_.load(std::memory_order_relaxed) != 0 ? take_global(p) : nullptr;
}

fiber* scheduler::fair_pick(machine& m, processor& p) noexcept {
  p.fairness = processor::fairness_period;
  if (poller_.in_use() && poller_.is_free() && may_poll(p)) poll(m);
  p.oldest_fresh_turn = !p.oldest_fresh_turn;
  if (p.oldest_fresh_turn)
    if (fiber* f = p.fresh.steal()) return f;
  if (global_size_.load(std::memory_order_relaxed) != 0 || starved_count_.load(std::memory_order_relaxed) != 0) {
    const thread_lock hold(lock_);
    feed_starved(p);
    if (fiber* f = global_.pop()) {
      global_size_.store(global_.count, std::memory_order_relaxed);
      return f;
    }
  }
  return p.woken.pop();  // before runnext, so that a pair that wakes each other does not keep it for ever
}

fiber* scheduler::take_global(processor& p) noexcept {
  const thread_lock hold(lock_);
  fiber* first = global_.pop();
  if (first == nullptr) return nullptr;
  const std::size_t share = std::min<std::size_t>(global_.count / processors.size() + 1, queue_capacity / 2) - 1;
  prefetch_queued(*first);
  for (std::size_t i = 0; i != share && global_.head != nullptr; ++i) {
    fiber* f = global_.pop();
    prefetch_queued(*f);
    if (p.woken.push(f)) continue;
    global_.push(f);
    break;
  }
  global_size_.store(global_.count, std::memory_order_relaxed);
  return first;
}

void scheduler::run_timers(machine& m, processor& p) noexcept {
  const nanoseconds_t now = platform::now();
  if (p.timers.next_hint() > now) return;
  std::size_t n = 0;
  do {
    n = p.timers.expire(now, m.due.data(), m.due.size());
    expired_.store(expired_.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(n), std::memory_order_relaxed);
    for (std::size_t i = 0; i != n; ++i) m.due[i].prefetch();
    for (std::size_t i = 0; i != n; ++i) {
      const timer_heap::entry& e = m.due[i];
      if (e.is_sleep())
        ready_from_afar(m, e.sleeper());
      else if (timer& t = e.get(); t.fire == nullptr)
        ready_from_afar(m, t.sleeper);
      else
        t.fire(t, m);
    }
  } while (n == m.due.size());
}

fiber* scheduler::steal(machine& m) noexcept {
  constexpr unsigned rounds = 4;
  processor& mine = *m.p;
  const auto n = static_cast<unsigned>(processors.size());
  for (unsigned round = 0; round != rounds; ++round) {
    const auto first = static_cast<unsigned>(mine.next_random() % n);
    for (unsigned i = 0; i != n; ++i) {
      processor& victim = *processors[(first + i) % n];
      if (&victim == &mine) continue;
      if (round + 1 == rounds && victim.timers.next() != no_deadline) run_timers(m, victim);
      if (fiber* f = steal_from(mine, victim, round + 1 == rounds)) return f;
    }
    if (global_size_.load(std::memory_order_relaxed) != 0)
      if (fiber* f = take_global(mine)) return f;
    if (fiber* f = mine.next_local()) return f;  // a timer of a victim has put it there
    platform::cpu_relax();
  }
  return nullptr;
}

fiber* scheduler::steal_from(processor& mine, processor& victim, bool last) noexcept {
  std::array<fiber*, queue_capacity> loot;
  if (const std::uint32_t n = victim.woken.take_half(loot.data())) {
    for (std::uint32_t i = 0; i + 1 < n; ++i) push_back(mine, loot[i]);
    return loot[n - 1];
  }
  if (fiber* f = victim.fresh.steal()) return f;
  if (!last) return nullptr;
  // The victim is about to run its runnext itself, so it is taken only if it is still there after a while and nothing
  // has run meanwhile. No look in between, since each takes a line from the victim: with one at every pause two
  // fibers that wake each other on one of two processors took 185 ns a turn, and 40 without.
  fiber* const next = victim.woken.peek_next();
  if (next == nullptr) return nullptr;
  const std::uint32_t tick = victim.tick.load(std::memory_order_relaxed);
  for (unsigned i = 0; i != runnext_patience; ++i) platform::cpu_relax();
  if (victim.woken.peek_next() != next || victim.tick.load(std::memory_order_relaxed) != tick) return nullptr;
  return victim.woken.take_next();
}

// --- switching ----------------------------------------------------------------------------------------------

inline fiber* scheduler::pick_with_stack(machine& m) noexcept {
  fiber* f = pick_quickly(*m.p);
  return f != nullptr && f->memory != nullptr ? f : pick_slowly(m, f);
}

// One function down to the switch: after it the processor mispredicts every return, so each frame costs 4 ns.
void scheduler::park(machine& m, commit_fn commit, void* arg) noexcept {
  fiber& self = *m.current;
  self.depart_with(commit, arg);
  // release: so that a collector that sees it sees us inside as well, and where we wait; acquire half in look(),
  // waits_unreached().
  self.state.store(fiber_state::parked, std::memory_order_release);
  fiber* const f = m.p != nullptr ? pick_with_stack(m) : nullptr;
  if (f == nullptr) m.current = nullptr;
  machine::change(m, self, f != nullptr ? prepare(m, f) : m.home).leave();
}

/// Yields prefer the new and the old by turns. The new: who waits by yielding for a fiber that it has just made must
/// let it run. The old: fibers that each make the next one and yield must not keep all others waiting. Null if it is
/// time for the fair rules, or none is here.
inline fiber* scheduler::pick_for_yield(machine& m, processor& p) noexcept {
  if (p.fairness <= 1) return nullptr;
  if (p.timers.next_hint() != no_deadline) [[unlikely]]
    run_timers(m, p);
  fiber* f = nullptr;
  const bool next = p.woken.peek_next() != nullptr;
  if ((next || !p.fresh.empty()) && (p.new_turn = !p.new_turn)) [[unlikely]]
    f = next ? p.woken.take_next() : p.fresh.pop();
  if (f == nullptr) f = p.woken.pop();
  if (f != nullptr) --p.fairness;
  return f;
}

void scheduler::yield(machine& m) noexcept {
  fiber* const self = m.current;
  if (processor* const p = m.p; p != nullptr) [[likely]] {
    fiber* f = pick_for_yield(m, *p);
    if (f == nullptr || f->memory == nullptr) f = pick_slowly(m, f);
    if (f == nullptr) return m.leave();
    if (alone_) {
      // Nobody can resume it before its context is saved: no thief, and the processor is not taken while inside.
      self->state.store(fiber_state::runnable, std::memory_order_release);  // release: as in park()
      self->commit = nullptr;  // before it is in a list: there the word is `ahead`, which the newest has not either
      push_back(*p, self);
      machine::change(m, *self, prepare(m, *p, f)).leave();
    } else {
      self->depart_with(queue_again, &m);
      machine::change(m, *self, prepare(m, *p, f)).leave();
    }
  } else {
    m.current = nullptr;
    self->depart_with(queue_again, &m);
    machine::change(m, *self, m.home).leave();
  }
}

machine& scheduler::regain(machine& m) noexcept {
  bool attached = false;
  {
    const thread_lock hold(lock_);
    if (processor* p = pop_processor()) {
      --detached_;
      attach(m, *p);
      attached = true;
    }
  }
  if (attached) {
    monitor_.work_begins();
    return m;
  }
  fiber* self = m.current;
  m.current = nullptr;
  self->depart_with(queue_again, &m);
  return machine::change(m, *self, m.home);
}

/// Whether a machine that has work is to look for events. Fibers that overflow the local queue would wait in the global
/// one while newer events overtake them; in the kernel they keep their order.
bool scheduler::may_poll(const processor& p) const noexcept {
  return p.woken.size() < queue_capacity / 2 && global_size_.load(std::memory_order_relaxed) == 0 &&
         platform::now() - poller_.last_look() >= between_looks;
}

/// Between two fibers: makes those runnable whose descriptors have become ready. False if it has found nothing, or
/// another polls.
bool scheduler::poll(machine& m) noexcept {
  if (!poller_.take()) return false;
  bool found = false;
  const auto room = static_cast<int>(queue_capacity - m.p->woken.size());
  on_home_stack([&] {
    found = poller_.fetch(0, room) != 0;
    poller_.deliver(*this, &m);
  });
  poller_.release();
  return found;
}

void scheduler::add_timer_from_thread(timer& t) noexcept {
  processors.front()->timers.add(t);
  bool untimed = false;
  {
    const thread_lock hold(lock_);
    untimed = earliest_timer() < timekeeper_deadline_;
  }
  // A machine that runs looks at the timers before it sleeps.
  if (untimed && idle_processors() != 0) wake_one();
}

void scheduler::add_timer(machine& m, timer& t) noexcept {
  // Without a processor any heap will do; the machine goes on to the idle protocol, which looks at them all.
  processor& p = m.p != nullptr ? *m.p : *processors.front();
  on_home_stack([&] { p.timers.add(t); });  // which may allocate
}

void scheduler::machine_main(machine& m) noexcept {
  while (m.p != nullptr || await_processor(m)) {
    fiber* f = find_work(m);
    if (f == nullptr) return;
    execution& next = prepare(m, f);
    m.at_home.store(false, std::memory_order_relaxed);
    machine::change(m, m.home, next);
    // release: so that the context of the fiber that was left is seen; acquire half in fiber_roots.
    m.at_home.store(true, std::memory_order_release);
  }
}

fiber* scheduler::find_work(machine& m) noexcept {
  for (;;) {
    fiber* f = pick_with_stack(m);
    if (f == nullptr && poller_.in_use() && poll(m)) continue;
    if (f == nullptr && m.busy_since != 0) m.busy += platform::now() - std::exchange(m.busy_since, 0);
    if (f == nullptr && may_spin(m)) {
      f = steal(m);
      if (f != nullptr && f->memory == nullptr && !give_stack(m, f)) continue;
    }
    if (f != nullptr) {
      if (m.on_trial && m.busy_since == 0) m.busy_since = platform::now();
      if (m.spinning) stop_spinning(m);
      return f;
    }
    if (!go_idle(m)) return nullptr;
  }
}

}  // namespace heddle::detail
