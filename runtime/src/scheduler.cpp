// SPDX-License-Identifier: BSL-1.0
//
// Which fiber runs next, and the switch to it. Who sleeps and who wakes is in idle.cpp.
#include "scheduler.hpp"

#include <algorithm>
#include <array>
#include <new>
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
  if (f.ahead != nullptr) __builtin_prefetch(f.ahead);
  if (f.context == nullptr) return;
  const char* const at = static_cast<const char*>(f.context);
  for (int line = 0; line != 4; ++line) __builtin_prefetch(at + 64 * line);
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
    for (std::uint32_t i = 0; i != n; ++i) batch.push(half[i]);
    inject_list(batch);
    if (!p.fresh.push(f)) inject(f);
  });
}

void scheduler::inject(fiber* f) noexcept {
  fiber_list one;
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

// --- choosing the next --------------------------------------------------------------------------------------

fiber* scheduler::pick(machine& m) noexcept {
  processor& p = *m.p;
  if (p.timers.next_hint() != no_deadline) [[unlikely]]
    run_timers(m, p);
  if (fiber* f = p.next_local()) return f;
  if (p.fairness == 0) {
    if (fiber* f = fair_pick(p)) return f;
    p.fairness = processor::fairness_period;
    if (fiber* f = p.next_local()) return f;
  }
  return global_size_.load(std::memory_order_relaxed) != 0 ? take_global(p) : nullptr;
}

fiber* scheduler::fair_pick(processor& p) noexcept {
  p.fairness = processor::fairness_period;
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
  prefetch_stack(*first);
  for (std::size_t i = 0; i != share && global_.head != nullptr; ++i) {
    fiber* f = global_.pop();
    prefetch_stack(*f);
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
  while (timer* t = p.timers.expire(now)) ready_last(m, t->sleeper);
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

inline execution& scheduler::prepare(machine& m, fiber* f) noexcept {
  m.current = f;
  f->state.store(fiber_state::running, std::memory_order_relaxed);
  atomic<std::uint32_t>& tick = m.p->tick;
  tick.store(tick.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  return *f;
}

/// The common case of pick_with_stack(), inline: nothing is due, and a woken fiber waits here.
inline fiber* scheduler::pick_quickly(processor& p) noexcept {
  if (p.fairness <= 1 || p.timers.next_hint() != no_deadline) [[unlikely]]
    return nullptr;
  fiber* f = p.woken.take_next();
  if (f == nullptr) {
    f = p.woken.pop();
    if (f == nullptr) return nullptr;
  }
  --p.fairness;
  return f;
}

inline fiber* scheduler::pick_with_stack(machine& m) noexcept {
  fiber* f = pick_quickly(*m.p);
  return f != nullptr && f->memory != nullptr ? f : pick_slowly(m, f);
}

/// `f`: null, or a fresh fiber that has been picked already.
[[gnu::noinline]] fiber* scheduler::pick_slowly(machine& m, fiber* f) noexcept {
  if (f != nullptr && take_stack_at_hand(m, f)) return f;
  on_home_stack([&] {
    for (;; f = nullptr) {
      if (f == nullptr) f = pick(m);
      if (f == nullptr || f->memory != nullptr || give_stack(m, f)) return;
    }
  });
  return f;
}

// One function down to the switch: after it the processor mispredicts every return, so each frame costs 4 ns.
void scheduler::park(machine& m, commit_fn commit, void* arg) noexcept {
  fiber& self = *m.current;
  self.state.store(fiber_state::parked, std::memory_order_relaxed);
  if (m.call.load(std::memory_order_relaxed) != 0) m.call.store(0, std::memory_order_relaxed);
  fiber* const f = m.p != nullptr ? pick_with_stack(m) : nullptr;
  if (f == nullptr) m.current = nullptr;
  machine::change(m, self, f != nullptr ? prepare(m, f) : m.home, commit, arg).leave();
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
  if (m.p != nullptr) [[likely]] {
    fiber* f = pick_for_yield(m, *m.p);
    if (f == nullptr || f->memory == nullptr) f = pick_slowly(m, f);
    if (f == nullptr) return m.leave();
    if (alone_) {
      // Nobody can resume it before its context is saved: no thief, and the processor is not taken while inside.
      self->state.store(fiber_state::runnable, std::memory_order_relaxed);
      push_back(*m.p, self);
      machine::change(m, *self, prepare(m, f), nullptr, nullptr).leave();
    } else {
      machine::change(m, *self, prepare(m, f), queue_again, &m).leave();
    }
  } else {
    m.current = nullptr;
    machine::change(m, *self, m.home, queue_again, &m).leave();
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
  return machine::change(m, *self, m.home, queue_again, &m);
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
    machine::change(m, m.home, prepare(m, f), nullptr, nullptr);
  }
}

fiber* scheduler::find_work(machine& m) noexcept {
  for (;;) {
    fiber* f = pick_with_stack(m);
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

// --- the life of a fiber on its stack --------------------------------------------------------------------------

/// Publishes the end to the join handle, which owns the control block from then on; without a handle, frees it.
/// Inside, and again inside when it returns, on the machine it returns.
[[gnu::always_inline]] inline machine* scheduler::end_fiber(machine* m, fiber* f) noexcept {
  if (!f->closure->joinable) {
    free_fiber(*m, f);
    count_ended(*m);
    return m;
  }
  // acq_rel: release, so that the joiner sees the result; acquire, so that its waiter is seen. Other halves in
  // join_fiber() and detach_fiber().
  waiter* w = f->joiner.exchange(ended_mark(), std::memory_order_acq_rel);
  if (w == detached_mark()) {
    m->leave();  // the result's destructor is user code
    f->closure->destroy(f->closure_address());
    m = this_machine();
    m->enter();
    free_fiber(*m, f);
  } else if (w != nullptr) {
    w->wake_inside(*m);
  }
  count_ended(*m);
  return m;
}

[[gnu::always_inline]] inline fiber* scheduler::next_on(machine*& m, stack* s) noexcept {
  fiber* f = nullptr;
  if (m->p != nullptr) {
    f = pick_quickly(*m->p);
    if (f == nullptr) on_home_stack([&] { f = pick(*m); });
  }
  if (f != nullptr && f->memory == nullptr) {
    if (f->stack_class < common_stacks && s->pool == common_pools_[f->stack_class]) {
      f->stand_on(*s);
      set_stack_limit(s->limit);
      prepare(*m, f);
      return f;
    }
    f = pick_slowly(*m, f);
  }
  // The stack goes to a free list as it is, suspended here: who gets it resumes with its own fiber.
  execution free_stack;
  free_stack.memory = s;
  if (f == nullptr) m->current = nullptr;
  m = &machine::change(
      *m, free_stack, f != nullptr ? prepare(*m, f) : m->home,
      [](void* arg) {
        machine& here = *static_cast<machine*>(arg);
        stack* const freed = here.departed->memory;
        freed->context = here.departed->context;
        freed->pool->check(*freed);
        here.sched.release_stack(here, freed);
      },
      m);
  return m->current;
}

namespace {

[[gnu::noinline]] void end_locals(fiber& f) {
  // More than once, since a destructor may use a variable that is gone already.
  while (locals_base* const l = std::exchange(f.locals, nullptr)) l->end(l);
}

[[gnu::noinline]] void run_closure(fiber& f) {
  f.closure->run(f.closure_address());
  if (f.locals != nullptr) [[unlikely]]
    end_locals(f);
}

}  // namespace

/// The first function on a fiber's stack; runs one fiber after another. What resumes a free stack is inlined here: each
/// return on the way would be one that the processor predicts wrongly.
void scheduler::fiber_main(switch_argument raw) {
  const transfer t(raw);
  machine* m = static_cast<machine*>(t.data);
  fiber* f = m->current;
  sanitizer_arrive(nullptr);
  machine::arrive(t, *f);
  for (;;) {
    stack* const memory = f->memory;
    m->leave();
    run_closure(*f);
    m = this_machine();  // the fiber may have moved
    if (m == nullptr) forked_child_returned();
    m->enter();
    scheduler& s = m->sched;
    m = s.end_fiber(m, f);
    f = s.next_on(m, memory);
  }
}

// The joiner waits until f has ended, so f may stand on its shoulders: no stack and no switch is needed, whether or not
// f suspends. Nothing else resumes the joiner meanwhile, since no waiter of it is in f.
bool scheduler::run_joined(machine& m, fiber* f) noexcept {
  fiber& self = *m.current;
  const stack& s = *self.memory;
  const auto used = static_cast<std::size_t>(s.bottom + s.size - static_cast<char*>(__builtin_frame_address(0)));
  if (f->stack_class != self.stack_class) return false;
  // f must have room, and those that join on one another's shoulders must not pile up. A stack that grows has room
  // always.
  if (s.limit == nullptr ? used > s.size / 16 : used > s.size / 2 || s.next_class > foreign_class + 1) return false;
  m.enter();
  if (m.p == nullptr || !m.p->take_if_next(f)) {
    m.leave();
    return false;
  }
  if (m.p->timers.next_hint() != no_deadline) [[unlikely]]
    run_timers(m, *m.p);
  if (m.call.load(std::memory_order_relaxed) != 0) m.call.store(0, std::memory_order_relaxed);
  self.state.store(fiber_state::lending, std::memory_order_relaxed);
  self.save_exceptions(*m.exceptions);
  *m.exceptions = {};
  f->stand_on(*self.memory);
  prepare(m, f);
  m.leave();
  run_closure(*f);
  machine* const now = this_machine();  // the fibers may have moved
  if (now == nullptr) forked_child_returned();
  now->enter();
  f->joiner.store(ended_mark(), std::memory_order_relaxed);
  count_ended(*now);
  now->current = &self;
  self.state.store(fiber_state::running, std::memory_order_relaxed);
  self.restore_exceptions(*now->exceptions);
  now->leave();
  return true;
}

// --- stacks and control blocks ------------------------------------------------------------------------------

bool scheduler::give_stack(machine& m, fiber* f) noexcept { return take_stack(m, f) || starve(m, f); }

/// True if f has been given one of the free stacks that the processor keeps.
inline bool scheduler::take_stack_at_hand(machine& m, fiber* f) noexcept {
  if (f->stack_class >= common_stacks) return false;
  stack* const s = m.p->free_stacks[f->stack_class].pop();
  if (s != nullptr) begin_on(*f, *s);
  return s != nullptr;
}

inline bool scheduler::take_stack(machine& m, fiber* f) noexcept {
  if (take_stack_at_hand(m, f)) return true;
  stack_list one;
  const bool common = f->stack_class < common_stacks;
  stack_list& cache = common ? m.p->free_stacks[f->stack_class] : one;
  if (!pool_of(*f).get(cache, common ? stack_pool::batch : 1)) return false;
  begin_on(*f, *cache.pop());
  return true;
}

inline void scheduler::begin_on(fiber& f, stack& s) noexcept {
  s.next = nullptr;
  f.stand_on(s);
  f.context = s.context != nullptr ? s.context : make_context(s.bottom + s.size, s.size, fiber_main);
  f.restart_exceptions();
}

void scheduler::release_stack(machine& m, stack* s) noexcept {
  const auto c = static_cast<std::uint32_t>(std::find(common_pools_.begin(), common_pools_.end(), s->pool) -
                                            common_pools_.begin());
  if (c != common_stacks && m.p != nullptr) {
    stack_list& cache = m.p->free_stacks[c];
    cache.push(s);
    if (cache.count > 2 * stack_pool::batch) s->pool->put(cache, stack_pool::batch);
  } else {
    stack_list one;
    one.push(s);
    s->pool->put(one, 1);
  }
  if (starved_count_.load(std::memory_order_relaxed) == 0) [[likely]]
    return;
  fiber_list again;
  {
    const thread_lock hold(lock_);
    again.append(starved_);
    starved_count_.store(0, std::memory_order_relaxed);
  }
  if (again.head != nullptr) inject_list(again);
}

/// No memory for the stack of f: tries once more with what idle processors keep, true if that helps. Else f waits for
/// whoever gives a stack back, or goes idle with stacks that it keeps.
[[gnu::noinline]] bool scheduler::starve(machine& m, fiber* f) noexcept {
  const thread_lock hold(lock_);
  // Before the last try: who gives a stack to the pool after that try sees the count, by the pool's lock.
  starved_count_.store(static_cast<std::uint32_t>(starved_.count + 1), std::memory_order_relaxed);
  for (processor* p = idle_processors_; p != nullptr; p = p->next_idle) give_stacks_back(*p);
  if (take_stack(m, f)) {
    starved_count_.store(static_cast<std::uint32_t>(starved_.count), std::memory_order_relaxed);
    return true;
  }
  f->state.store(fiber_state::starved, std::memory_order_relaxed);
  starved_.push(f);
  return false;
}

/// Moves the stacks that p keeps to their pools; false if there are none.
bool scheduler::give_stacks_back(processor& p) noexcept {
  bool any = false;
  for (std::uint32_t c = 0; c != common_stacks; ++c) {
    stack_list& cache = p.free_stacks[c];
    any |= cache.head != nullptr;
    if (cache.head != nullptr) common_pools_[c]->put(cache, cache.count);
  }
  return any;
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

stack_pool& scheduler::pool_of(const fiber& f) noexcept {
  if (f.stack_class < common_stacks) return *common_pools_[f.stack_class];
  const thread_lock hold(pools_lock_);
  return *pools_[f.stack_class];
}

/// The class for a fiber of that closure, with those options or none. Throws std::invalid_argument.
inline std::uint32_t scheduler::stack_class(const closure_type& type, const fiber_options* o) {
  const bool can_grow = type.segmented && segments_usable_;
  const stack_kind kind = o != nullptr ? o->stack : stack_kind::automatic;
  const std::size_t size = o != nullptr ? o->stack_size : 0;
  constexpr std::size_t least_contiguous = std::size_t{16} << 10;
  const bool grows =
      kind == stack_kind::segmented || (kind == stack_kind::automatic && can_grow && size < least_contiguous);
  if (!grows) return size == 0 ? default_stack : sized_stack_class(size, false);
  if (!can_grow) refuse_segments(type.segmented);
  if (size == 0) return segmented_class_;
  return size == 2048 ? segment_stack : size == 1024 ? small_segment_stack : sized_stack_class(size, true);
}

std::uint32_t scheduler::sized_stack_class(std::size_t size, bool grows) {
  check_stack_size(size, grows);
  if (size == settings.stack_size && !grows) return default_stack;
  const thread_lock hold(pools_lock_);
  for (std::uint32_t i = 0; i != pools_.size(); ++i)
    if (pools_[i]->slot_size() == (size + 4095) / 4096 * 4096 && pools_[i]->grows() == grows) return i;
  const stack_pool::growing g{growth_reserve, foreign_class};
  pools_.push_back(std::make_unique<stack_pool>(size, grows ? g : stack_pool::growing{0, 0}));
  return static_cast<std::uint32_t>(pools_.size() - 1);
}

fiber* scheduler::make_fiber(machine* m, const closure_type& type, const fiber_options* o) {
  const std::uint32_t size_class = stack_class(type, o);
  char* const name = o != nullptr && !o->name.empty() ? copy_name(o->name) : nullptr;
  fiber* f = nullptr;
  if (m != nullptr && m->p != nullptr) {
    processor& p = *m->p;
    if (p.free_fibers.head == nullptr) fibers.get(p.free_fibers, fiber_pool::batch);
    f = take_fiber(p);
  } else {
    fiber_list one;
    fibers.get(one, 1);
    f = one.pop();
    f->id = id_blocks_.fetch_add(1, std::memory_order_relaxed) * 1024 + 1;
    elsewhere_.fetch_add(1, std::memory_order_relaxed);
  }
  clear_fiber(*f, size_class);
  f->name = name;
  return f;
}

fiber* scheduler::make_fiber_at_hand(machine& m, const closure_type& type) noexcept {
  if (m.p == nullptr || m.p->free_fibers.head == nullptr) [[unlikely]]
    return nullptr;
  fiber* const f = take_fiber(*m.p);
  clear_fiber(*f, type.segmented ? segmented_class_ : default_stack);
  f->name = nullptr;
  return f;
}

/// One of the free blocks that p keeps, of which there is one.
inline fiber* scheduler::take_fiber(processor& p) noexcept {
  fiber* const f = p.free_fibers.pop();
  if (p.next_id == p.last_id) {
    constexpr std::uint64_t block = 1024;
    p.next_id = id_blocks_.fetch_add(1, std::memory_order_relaxed) * block + 1;
    p.last_id = p.next_id + block;
  }
  f->id = p.next_id++;
  count_one(p.made);
  return f;
}

inline void scheduler::clear_fiber(fiber& f, std::uint32_t stack_class) noexcept {
  f.stack_class = stack_class;
  f.memory = nullptr;
  f.big = false;
}

void scheduler::count_ended(machine& m) noexcept {
  if (m.p != nullptr)
    count_one(m.p->ended);
  else
    elsewhere_.fetch_sub(1, std::memory_order_relaxed);
}

void scheduler::free_fiber(machine& m, fiber* f) noexcept {
  if (m.p == nullptr) return fibers.put(f);
  fiber_pool::clear(*f);
  fiber_list& cache = m.p->free_fibers;
  f->next = cache.head;  // the newest first: its lines are warm
  cache.head = f;
  if (cache.tail == nullptr) cache.tail = f;
  if (++cache.count > 8 * fiber_pool::batch) fibers.put(cache, 4 * fiber_pool::batch);
}

}  // namespace heddle::detail
