// SPDX-License-Identifier: BSL-1.0
#include "fiber.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <utility>

#include "debug_layout.hpp"
#include "heddle/detail/trusted.hpp"
#include "heddle/detail/wait_description.hpp"
#include "heddle/large_stack.hpp"
#include "pinned.hpp"
#include "platform_services.hpp"
#include "report.hpp"
#include "scheduler.hpp"

namespace heddle::detail {

namespace {
// Ordinary pages: a huge page of 2 MiB costs more to fault in than its 512 pages do where memory is fragmented
// (measured: 5 ms against 1 ms).
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
constexpr std::size_t slab_bytes = 8 * sizeof(fiber);
#else
constexpr std::size_t slab_bytes = std::size_t{256} << 10;
#endif
constexpr std::align_val_t slab_alignment{4096};  // so that its pages can be given back
}  // namespace

alignas(fiber_pool) unsigned char fiber_pool::space_[sizeof(fiber_pool)];
constinit atomic<bool> fiber_pool::forked_{false};

fiber_pool& fiber_pool::instance() noexcept {
  // Never destroyed: handles may be released while the process ends.
  static fiber_pool* const pool = ::new (space_) fiber_pool;
  return *pool;
}

void fiber_pool::trim() noexcept {
  const thread_lock hold(lock_);
  trim_later_ = walked_;
  if (free_.count != built_ || walked_) return;
  for (const slab& s : slabs_) {
    for (std::size_t i = 0; i != s.used; ++i) s.fibers[i].~fiber();
    ::operator delete(s.fibers, slab_alignment);
  }
  std::vector<slab>().swap(slabs_);
  free_ = {};
  built_ = least_free_ = unbuilt_ = 0;
}

void fiber_pool::begin_walk() noexcept {
  const thread_lock hold(lock_);
  walked_ = true;
}

void fiber_pool::end_walk() noexcept {
  bool late = false;
  {
    const thread_lock hold(lock_);
    walked_ = false;
    late = std::exchange(trim_later_, false);
  }
  if (late && !runtime_present()) trim();
}

std::size_t fiber_pool::slabs_after(const fiber* after, slab* out, std::size_t n) noexcept {
  const thread_lock hold(lock_);
  auto from = std::upper_bound(slabs_.begin(), slabs_.end(), after,
                               [](const fiber* a, const slab& s) { return std::less<>()(a, s.fibers); });
  const std::size_t got = std::min(n, static_cast<std::size_t>(slabs_.end() - from));
  std::copy_n(from, got, out);
  return got;
}

void fiber_pool::leave_parents() noexcept {
  if (!forked_.load(std::memory_order_relaxed)) return;
  const thread_lock hold(lock_);
  free_ = {};
  for (const slab& s : slabs_)
    for (std::size_t i = 0; i != s.used; ++i) {
      fiber& f = s.fibers[i];
      if (f.state.load(std::memory_order_relaxed) == fiber_state::free) {
        // Also blocks that a thread of the parent had at hand, or was about to fill: those that it owned are lost.
        f.big = false;
        f.name = nullptr;
        free_.push(&f);
      } else {
        f.state.store(fiber_state::parents, std::memory_order_relaxed);
        f.memory = nullptr;
        f.stack_class = parents_class;
      }
    }
  least_free_ = 0;
  forked_.store(false, std::memory_order_relaxed);
}

void fiber_pool::clear(fiber& f) noexcept {
  if (f.big) [[unlikely]] {
    await_scan(f);
    on_home_stack([&] { ::operator delete(f.big_closure(), std::align_val_t(f.closure->align)); });
    f.big = false;
  }
  if (f.name != nullptr) [[unlikely]] {
    on_home_stack([&] { free_name(f.name); });
    f.name = nullptr;
  }
  f.state.store(fiber_state::free, std::memory_order_relaxed);
}

void fiber_pool::put(fiber* f) noexcept {
  clear(*f);
  const thread_lock hold(lock_);
  free_.push(f);
}

void fiber_pool::grow() {
  if (slabs_.size() == slabs_.capacity()) slabs_.reserve(2 * slabs_.size() + 8);
  auto* const memory = static_cast<fiber*>(::operator new(slab_bytes, slab_alignment));
  const auto at = std::upper_bound(slabs_.begin(), slabs_.end(), memory,
                                   [](const fiber* m, const slab& s) { return std::less<>()(m, s.fibers); });
  unbuilt_ = static_cast<std::size_t>(slabs_.insert(at, {memory, slab_bytes / sizeof(fiber), 0}) - slabs_.begin());
}

/// A block that has not been used since its slab got its memory.
fiber* fiber_pool::build() {
  while (unbuilt_ < slabs_.size() && slabs_[unbuilt_].used == slabs_[unbuilt_].size) ++unbuilt_;
  if (unbuilt_ == slabs_.size()) grow();
  slab& s = slabs_[unbuilt_];
  ++built_;
  return ::new (s.fibers + s.used++) fiber;
}

void fiber_pool::get(fiber_list& out, std::size_t n) {
  const thread_lock hold(lock_);
  for (; n != 0; --n) {
    fiber* const f = free_.pop();
    out.push(f != nullptr ? f : build());
  }
  least_free_ = std::min(least_free_, free_.count);
}

void fiber_pool::put(fiber_list& from, std::size_t n) noexcept {
  const thread_lock hold(lock_);
  for (; n != 0; --n) free_.push(from.pop());
}

bool fiber_pool::give_back() noexcept {
  const thread_lock hold(lock_);
  std::vector<std::size_t> idle;
  try {
    idle.resize(slabs_.size());
  } catch (const std::bad_alloc&) {
    return true;
  }
  // The list is first in, first out: what has lain here for long is at its head.
  const std::size_t n = std::min(least_free_, free_.count);
  const auto slab_of = [this](const fiber* f) HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    const auto after = std::upper_bound(slabs_.begin(), slabs_.end(), f,
                                        [](const fiber* a, const slab& s) { return std::less<>()(a, s.fibers); });
    return static_cast<std::size_t>(after - slabs_.begin()) - 1;
  };
  fiber_list cold;
  while (cold.count != n) cold.push(free_.pop());
  least_free_ = free_.count;
  for (const fiber* f = cold.head; f != nullptr; f = f->next) ++idle[slab_of(f)];
  fiber_list kept;
  while (fiber* f = cold.pop())
    if (const std::size_t s = slab_of(f); idle[s] != slabs_[s].used) kept.push(f);
  for (std::size_t s = 0; s != idle.size(); ++s) {
    if (idle[s] == 0 || idle[s] != slabs_[s].used) continue;
    // Zeros are free blocks to for_each(), which may look at any time.
    static_assert(static_cast<std::uint32_t>(fiber_state::free) == 0);
    built_ -= std::exchange(slabs_[s].used, 0);
    platform::drop_pages(slabs_[s].fibers, slab_bytes);
    unbuilt_ = std::min(unbuilt_, s);
  }
  kept.append(free_);
  free_ = kept;
  return least_free_ != 0;
}

char* copy_name(std::string_view name) {
  char* copy = static_cast<char*>(std::malloc(name.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, name.data(), name.size());
  copy[name.size()] = '\0';
  return copy;
}

void free_name(char* name) noexcept { std::free(name); }

namespace {

/// Moves the closure into the fiber. User code: outside.
void fill(fiber& f, const closure_type& type, void* from) {
  f.closure = &type;
  void* to = f.space;
  if (type.size > fiber::inline_space || type.align > inline_alignment) {
    to = f.big_closure() = ::operator new(type.size, std::align_val_t(type.align));
    __atomic_store_n(&f.big, true, __ATOMIC_RELEASE);  // release: after the mark; acquire half in visit_result()
  }
  type.relocate(to, from);
}

void complete(fiber& f) noexcept {
  f.joiner.store(nullptr, std::memory_order_relaxed);
  // release: so that who sees the state sees the rest of the block; acquire half in fiber_pool::for_each().
  f.state.store(fiber_state::fresh, std::memory_order_release);
}

/// Fills f, or gives it back and rethrows what moving the closure threw.
template <class GiveBack>
void fill_or_else(fiber& f, const closure_type& type, void* from, GiveBack give_back) {
  try {
    fill(f, type, from);
  } catch (...) {
    give_back();
    throw;
  }
  complete(f);
}

[[gnu::noinline]] fiber* start_from_thread(const closure_type& type, void* from, const fiber_options* options) {
  fiber* f = nullptr;
  while (f == nullptr) {
    ensure_started();
    const visit s;
    if (s && s.open()) f = s->make_fiber(nullptr, type, options);  // else it is just ending
  }
  f->mark.begin_with(mark_of_thread());
  // From here on the fiber counts as one that lives, so its scheduler stays. Moving the closure is user code: no thread
  // that ends the runtime waits for a visitor meanwhile.
  fill_or_else(*f, type, from, [&] { visit()->take_back(f); });
  visit()->inject(f);
  return f;
}

/// The closure of start_if_running().
struct plain_call {
  void (*f)(void*);
  void* argument;
  void operator()() const { f(argument); }
};

fiber* start_from_fiber(machine* m, const closure_type& type, void* from, const fiber_options* options) {
  fiber* f = nullptr;
  {
    const critical_section in(*m);
    f = m->sched.make_fiber(m, type, options);
    f->mark.begin_with(m->current->mark.epoch());
  }
  // Moving the closure is user code: it runs outside, and may even suspend, so the machine is asked for again.
  fill_or_else(*f, type, from, [&] {
    machine* now = this_machine();
    const critical_section in(*now);
    now->sched.count_ended(*now);
    now->sched.free_fiber(*now, f);
  });
  m = this_machine();
  const critical_section in(*m);
  m->sched.ready(*m, f);
  return f;
}

/// The destructor of a closure, which may not be compiled for a small stack.
void destroy_closure(fiber& f) noexcept {
  if (f.closure->segmented || !stack_grows()) return f.closure->destroy(f.closure_address());
  call_on_large_stack(
      [](void* at) { static_cast<fiber*>(at)->closure->destroy(static_cast<fiber*>(at)->closure_address()); }, &f,
      large_stack);
}

}  // namespace

fiber* start_fiber(const closure_type& type, void* from, const fiber_options* options) {
  machine* m = this_machine();
  if (m == nullptr) return start_from_thread(type, from, options);
  if (options == nullptr && type.trivial && type.size <= fiber::inline_space && type.align <= inline_alignment)
      [[likely]] {
    const critical_section in(*m);
    if (fiber* const f = m->sched.make_fiber_at_hand(*m, type)) [[likely]] {
      f->mark.begin_with(m->current->mark.epoch());
      f->closure = &type;
      type.relocate(f->space, from);
      complete(*f);
      m->sched.ready(*m, f);
      return f;
    }
  }
  if (!stack_grows()) return start_from_fiber(m, type, from, options);
  // User code that may need anything, and may throw.
  return on_large_stack([&] { return start_from_fiber(m, type, from, options); });
}

bool start_if_running(void (*call)(void*), void* argument) noexcept {
  using closure = detached_closure<plain_call>;
  const visit s;
  if (!s || !s.open()) return false;
  try {
    fiber* const f = s->make_fiber(nullptr, moved_type<closure, closure>, nullptr);
    closure c{{call, argument}, {}};
    fill_or_else(*f, moved_type<closure, closure>, &c, [] {});
    s->inject(f);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

namespace {

/// On the stack of the fiber that joins.
struct join_wait {
  fiber* awaited;
  waiter self;

  static void begin(void* argument) {
    join_wait& j = *static_cast<join_wait*>(argument);
    waiter* nobody = nullptr;
    if (HEDDLE_PLANTED(join_overwrites_end)) {
      j.awaited->joiner.store(&j.self, std::memory_order_release);  // release: as below, without the comparison
      return;
    }
    // release: so that the ending fiber sees the waiter; acquire: so that the result is seen if it has ended.
    // Other halves in finish_joinable().
    if (!j.awaited->joiner.compare_exchange_strong(nobody, &j.self, std::memory_order_acq_rel,
                                                   std::memory_order_acquire))
      j.self.wake();
  }
  static const void* joined(void* argument) { return static_cast<const join_wait*>(argument)->awaited; }
  static void describe(void* argument, wait_text& to) {
    to.say("to join ");
    to.say_caller(joined(argument));
  }
};
const wait_description join_waits(join_wait::begin, join_wait::describe, join_wait::joined);

}  // namespace

void join_fiber(fiber* f) noexcept {
  // acquire: so that the result is seen; release half in finish_joinable().
  if (f->joiner.load(std::memory_order_acquire) == ended_mark()) return;
  if (f->state.load(std::memory_order_relaxed) == fiber_state::fresh) {
    machine* const m = suspendable();
    if (m != nullptr && m->current != nullptr && m->sched.run_joined(*m, f)) return;
  }
  if (fiber_pool::is_parents(*f)) [[unlikely]]
    report_join_of_parents(*f);
  join_wait join{f, {}};
  join.self.park(join_wait::begin, &join);
}

void detach_fiber(fiber* f) noexcept {
  waiter* nobody = nullptr;
  // release: so that the fiber sees all the handle did; acquire: so that the result is seen if it has ended. Other
  // halves in finish_joinable().
  if (!f->joiner.compare_exchange_strong(nobody, detached_mark(), std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
    lose_exception_of(*f, "it was detached");
    release_fiber(f);
  }
}

void drop_fiber(fiber* f) noexcept {
  // acquire: as in join_fiber().
  if (f->joiner.load(std::memory_order_acquire) != ended_mark() && fiber_pool::is_parents(*f)) return;
  join_fiber(f);
  lose_exception_of(*f, "its join_handle was let go without join()");
  release_fiber(f);
}

void release_fiber(fiber* f) noexcept {
  destroy_closure(*f);
  if (machine* m = this_machine()) {
    const critical_section in(*m);
    m->sched.free_fiber(*m, f);
  } else {
    fiber_pool::instance().put(f);
    if (!runtime_present()) fiber_pool::instance().trim();  // the last handle of a runtime that has ended
  }
}

void exception_escaped() noexcept {
  on_home_stack([] { report_escaped_exception(); });
  std::abort();  // not reached
}

void* fiber_closure(fiber* f) noexcept { return f->closure_address(); }
std::uint64_t fiber_number(const fiber* f) noexcept { return f->id; }

// The types are no standard layout; both compilers know the offsets all the same.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

// --- for debuggers; in this file, since it is part of every program with fibers -----------------------------------

#if defined(HEDDLE_FAST_SWITCH) && HEDDLE_FAST_SWITCH
constexpr std::uint64_t context_kind = 1;
#else
constexpr std::uint64_t context_kind = 0;
#endif

struct debug_layout_access {
  static constexpr debug_layout_table table{
      .version = 3,
      .context_kind = context_kind,
      .pool = fiber_pool::space_,
      .pool_slabs = offsetof(fiber_pool, slabs_),
      .slab_size = sizeof(fiber_pool::slab),
      .slab_fibers = offsetof(fiber_pool::slab, fibers),
      .slab_used = offsetof(fiber_pool::slab, used),
      .fiber_size = sizeof(fiber),
      .fiber_state = offsetof(fiber, state),
      .fiber_id = offsetof(fiber, id),
      .fiber_name = offsetof(fiber, name),
      .fiber_context = offsetof(fiber, context),
      .fiber_memory = offsetof(fiber, memory),
      .stack_bottom = offsetof(stack, bottom),
      .stack_size = offsetof(stack, size),
      .context_rbx = 0,
      .context_rbp = 0,
      .context_r12 = 0,
      .context_r13 = 0,
      .context_r14 = 0,
      .context_r15 = 0,
      .context_rip = 0,
      .fiber_waits_at = offsetof(fiber, waits_at),
      .wait_is_descriptor = static_cast<std::uint64_t>(wait_argument::descriptor),
      .wait_number = offsetof(descriptor_wait, number),
      .wait_aim = offsetof(descriptor_wait, to),
  };
};

[[gnu::used]] constinit debug_layout_table debug_layout = debug_layout_access::table;

}  // namespace heddle::detail
