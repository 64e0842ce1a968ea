// SPDX-License-Identifier: BSL-1.0
#include "fiber_frames.hpp"

#include <algorithm>
#include <cstdint>

#include "heddle/detail/fake_frames.hpp"
#include "segment.hpp"

namespace heddle::detail {

namespace {

template <class T>
T* up(T* at) noexcept {
  return reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(at) + 7) & ~std::uintptr_t{7});
}
template <class T>
T* down(T* at) noexcept {
  return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(at) & ~std::uintptr_t{7});
}

void tell(word_visitor& v, const char* from, const char* to, void* fake_stack = nullptr) noexcept {
  from = up(from);
  to = down(to);
  if (from >= to) return;
  v.words(from, to);
  visit_fake_frames(v, fake_stack, from, to);
}

#ifdef HEDDLE_ASAN
void* fake_stack_of(const stack& s) noexcept { return s.fake_stack; }
#else
void* fake_stack_of(const stack&) noexcept { return nullptr; }
#endif

}  // namespace

void visit_frames(word_visitor& v, const stack* s, const char* from) noexcept {
  for (;;) {
    tell(v, std::max<const char*>(from, s->bottom), s->bottom + s->size, fake_stack_of(*s));
    if (s->limit == nullptr) return;
    for (auto* b = static_cast<const alloca_block*>(s->blocks); b != nullptr; b = b->next)
      tell(v, reinterpret_cast<const char*>(b + 1), reinterpret_cast<const char*>(b + 1) + b->size);
    if (s->next == nullptr) return;
    from = static_cast<const char*>(s->context) - red_zone;
    s = s->next;
  }
}

[[gnu::no_sanitize_thread]] void visit_closure(word_visitor& v, fiber& f) noexcept {
  const auto* const at = static_cast<const char*>(f.closure_address());
  tell(v, at, at + f.closure->size);
}

/// Of one that has ended: its block may be made anew meanwhile. Then anything may be found in it, but nothing outside
/// is read; await_scan() keeps a large closure, as long as there is a hold.
[[gnu::no_sanitize_thread]] void visit_result(word_visitor& v, fiber& f) noexcept {
  // acquire: so that a hold which the next maker of the block has overwritten is not seen; release half in fill().
  if (__atomic_load_n(&f.big, __ATOMIC_ACQUIRE)) {
    if (f.mark.hold() == scan_hold::scanned) visit_closure(v, f);
    return;
  }
  tell(v, reinterpret_cast<const char*>(f.space), reinterpret_cast<const char*>(f.space) + fiber::inline_space);
}

namespace {

/// Of a fiber that is not suspended.
where ended_or(where else_at, const fiber& f) noexcept {
  // acquire: so that the result is seen; release half in end_fiber().
  return f.joiner.load(std::memory_order_acquire) == ended_mark() ? where::ended : else_at;
}

}  // namespace

where look(const fiber& f) noexcept {
  // acquire: so that what was stored before the state is seen; release halves in complete(), park(), yield() and
  // run_joined().
  const fiber_state now = f.state.load(std::memory_order_acquire);
  if (now == fiber_state::free || now == fiber_state::ended) return where::nowhere;
  if (fiber_pool::is_parents(f)) return ended_or(where::nowhere, f);
  if (now == fiber_state::fresh || now == fiber_state::starved) return where::fresh;
  return now == fiber_state::running ? ended_or(where::running, f) : where::suspended;
}

void visit_stack(word_visitor& v, const fiber& f) noexcept {
  visit_frames(v, f.memory, static_cast<const char*>(f.context));
  visit_caught_exceptions(v, f.caught);
}

}  // namespace heddle::detail
