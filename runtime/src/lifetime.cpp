// SPDX-License-Identifier: BSL-1.0
//
// A fiber's life: its birth, the stack that it is given when it first runs, and its end, after which the next one runs
// on that stack.
#include <algorithm>
#include <memory>
#include <utility>

#include "scheduler.hpp"

namespace heddle::detail {

// --- birth ---------------------------------------------------------------------------------------------------

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
    f->id = fibers.take_ids();
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
  return f;
}

/// One of the free blocks that p keeps, of which there is one.
inline fiber* scheduler::take_fiber(processor& p) noexcept {
  fiber* const f = p.free_fibers.pop();
  if (p.next_id == p.last_id) {
    p.next_id = fibers.take_ids();
    p.last_id = p.next_id + fiber_pool::id_block;
  }
  f->id = p.next_id++;
  count_one(p.made);
  return f;
}

inline void scheduler::clear_fiber(fiber& f, std::uint32_t stack_class) noexcept {
  f.stack_class = stack_class;
  f.memory = nullptr;
  f.begins_with.take();
}

// --- stacks --------------------------------------------------------------------------------------------------

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

bool scheduler::give_stack(machine& m, fiber* f) noexcept {
  if (f->stack_class == parents_class) [[unlikely]] {
    f->state.store(fiber_state::parents, std::memory_order_relaxed);  // woken in a child, where it does not exist
    return false;
  }
  return take_stack(m, f) || starve(m, f);
}

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

stack_pool& scheduler::pool_of(const fiber& f) noexcept {
  if (f.stack_class < common_stacks) return *common_pools_[f.stack_class];
  const thread_lock hold(pools_lock_);
  return *pools_[f.stack_class];
}

// --- a fiber on its stack, and its end -----------------------------------------------------------------------

void scheduler::count_ended(machine& m) noexcept {
  if (m.p != nullptr)
    count_one(m.p->ended);
  else
    elsewhere_.fetch_sub(1, std::memory_order_relaxed);
}

[[gnu::noinline]] void scheduler::clear_and_free(machine& m, fiber* f) noexcept {
  fiber_pool::clear(*f);
  free_fiber(m, f);
}

void scheduler::free_fiber(machine& m, fiber* f) noexcept {
  if (m.p == nullptr) return fibers.put(f);
  if (f->big || f->name != nullptr) [[unlikely]]
    return clear_and_free(m, f);
  f->state.store(fiber_state::free, std::memory_order_relaxed);
  fiber_list& cache = m.p->free_fibers;
  f->next = cache.head;  // the newest first: its lines are warm
  cache.head = f;
  if (cache.tail == nullptr) cache.tail = f;
  if (++cache.count > 8 * fiber_pool::batch) fibers.put(cache, 4 * fiber_pool::batch);
}

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
    lose_exception_of(*f, "it was detached");
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
  if constexpr (!switch_keeps_control_words) usual_words_.load();
  free_stack.depart_with(
      [](void* arg) {
        machine& here = *static_cast<machine*>(arg);
        stack* const freed = here.departed->memory;
        freed->context = here.departed->context;
        freed->pool->check(*freed);
        here.sched.release_stack(here, freed);
      },
      m);
  m = &machine::change(*m, free_stack, f != nullptr ? prepare(*m, f) : m->home);
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
#ifdef __GCC_HAVE_DWARF2_CFI_ASM
  asm volatile(".cfi_undefined 16");  // it returns to nobody: backtraces end here
#endif
  const transfer t(raw);
  machine* m = static_cast<machine*>(t.data);
  fiber* f = m->current;
  sanitizer_arrive(*f);
  machine::arrive(t, execution());
  for (;;) {
    stack* const memory = f->memory;
    f->begins_with.load();
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

namespace {

/// A stack pointer below all that the caller's frame will hold, its callers' registers included, which are put there.
[[gnu::always_inline]] inline void* keep_registers() noexcept {
  void* here = nullptr;
  asm volatile("movq %%rsp, %0" : "=r"(here) : : "rbx", "r12", "r13", "r14", "r15", "memory");
  return here;
}

}  // namespace

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
  self.context = keep_registers();
  sanitizer_show(self);
  // release: so that a collector that sees it sees the context; acquire half in fiber_roots.
  self.state.store(fiber_state::lending, std::memory_order_release);
  self.save_exceptions(*m.exceptions);
  *m.exceptions = {};
  const control_words own = control_words::current();
  f->begins_with.load();
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
  if (!self.mark.equals(scan_epoch)) [[unlikely]]
    resume_unscanned(*now, self);
  self.restore_exceptions(*now->exceptions);
  own.load();
  now->leave();
  return true;
}

}  // namespace heddle::detail
