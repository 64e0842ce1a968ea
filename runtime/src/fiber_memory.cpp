// SPDX-License-Identifier: BSL-1.0
//
// Whether an address lies in memory that fibers have. For a collector that debugs a program.
#include <algorithm>
#include <functional>

#include "heddle/detail/fiber_roots.hpp"
#include "scheduler.hpp"

namespace heddle::detail {
namespace {

/// p is in [from, to), which may be of different objects.
bool is_within(const char* p, const void* from, const void* to) noexcept {
  return !std::less<>()(p, static_cast<const char*>(from)) && std::less<>()(p, static_cast<const char*>(to));
}

/// Looks for an address.
class search final : public word_visitor {
 public:
  explicit search(const char* p) noexcept : wanted_(p) {}
  void words(const void* from, const void* to) noexcept override { found |= is_within(wanted_, from, to); }

  bool found = false;

 private:
  const char* const wanted_;
};

bool in_large_closure(const fiber& f, const char* p) noexcept {
  if (!f.big) return false;
  // The block may be given to another fiber meanwhile: then anything may be the answer for the one that has ended.
  const char* const at = static_cast<const char*>(const_cast<fiber&>(f).big_closure());
  return is_within(p, at, at + f.closure->size);
}

/// In memory that a function whose stack grows has asked for by alloca.
bool in_own_block(const stack* s, const char* p) noexcept {
  for (; s != nullptr && s->limit != nullptr; s = s->next)
    for (auto* b = static_cast<const alloca_block*>(s->blocks); b != nullptr; b = b->next)
      if (is_within(p, b + 1, reinterpret_cast<const char*>(b + 1) + b->size)) return true;
  return false;
}

}  // namespace

bool stack_pool::holds(const char* p) noexcept {
  const thread_lock hold(lock_);
  return std::any_of(reservations_.begin(), reservations_.end(),
                     [p](const reservation& r) { return is_within(p, r.base, r.base + r.bytes); });
}

bool scheduler::holds_stack(const char* p) noexcept {
  {
    const thread_lock hold(pools_lock_);
    for (const auto& pool : pools_)
      if (pool->holds(p)) return true;
  }
  return has_segments && segments.holds(p);
}

bool fiber_pool::holds(const char* p) noexcept {
  const thread_lock hold(lock_);
  for (const slab& s : slabs_) {
    if (is_within(p, s.fibers, s.fibers + s.size)) return true;
    for (std::size_t i = 0; i != s.used; ++i)
      if (in_large_closure(s.fibers[i], p)) return true;
  }
  return false;
}

const fiber* fiber_pool::find(const void* at) const noexcept {
  const auto after = std::upper_bound(slabs_.begin(), slabs_.end(), at,
                                      [](const void* p, const slab& s) { return std::less<>()(p, s.fibers); });
  if (after == slabs_.begin()) return nullptr;
  const slab& s = *std::prev(after);
  if (!is_within(static_cast<const char*>(at), s.fibers, s.fibers + s.used)) return nullptr;
  const auto distance =
      static_cast<std::size_t>(static_cast<const char*>(at) - reinterpret_cast<const char*>(s.fibers));
  return distance % sizeof(fiber) == 0 ? s.fibers + distance / sizeof(fiber) : nullptr;
}

bool is_memory_of_fibers(const void* address) noexcept {
  const auto* const p = static_cast<const char*>(address);
  if (fiber_pool::instance().holds(p)) return true;
  search caught(p);
  visit_caught_exceptions(caught, thread_exception_state()->caught);
  if (caught.found) return true;
  if (const machine* const m = this_machine(); m != nullptr && m->current != nullptr)
    if (in_own_block(m->current->memory, p)) return true;
  const visit runtime;
  return runtime && runtime->holds_stack(p);
}

}  // namespace heddle::detail
