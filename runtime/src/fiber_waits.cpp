// SPDX-License-Identifier: BSL-1.0
#include "fiber_waits.hpp"

#include <unwind.h>

#include "debug_layout.hpp"
#include "heddle/detail/bounded_wait.hpp"

namespace heddle::detail {
namespace {

const void* first_if_all_are_unreached(const wait_places& p, wait_judge& judge) noexcept {
  for (std::size_t i = 0; i != p.count; ++i)
    if (!judge.is_unreached(*p.first[i])) return nullptr;
  return p.count != 0 ? *p.first[0] : nullptr;
}

const void* unreached_by(void* argument, wait_judge& judge) noexcept {
  const void* place = argument;
  switch (static_cast<wait_argument>(reinterpret_cast<std::uintptr_t>(argument) % alignof(void*))) {
    case wait_argument::unbounded: {
      const auto& w = from_argument<wait_argument::unbounded, const bounded_waiter>(argument);
      return unreached_by(w.argument_if_unbounded(), judge);
    }
    case wait_argument::several:
      return first_if_all_are_unreached(from_argument<wait_argument::several, const wait_places>(argument), judge);
    case wait_argument::first_word:
      place = from_argument<wait_argument::first_word, const void* const>(argument);
      break;
    case wait_argument::descriptor: return nullptr;  // the kernel reaches it
  }
  return judge.is_unreached(place) ? place : nullptr;
}

}  // namespace

const void* waits_unreached(const fiber& f, wait_judge& judge) noexcept {
  // acquire: so that the argument is seen; release half in scheduler::park(), with the state.
  if (f.state.load(std::memory_order_acquire) != fiber_state::parked) return nullptr;
  // acquire: before the second look. There is no release half: a thread that makes the fiber ready overwrites the
  // argument by the address of a fiber or null, and neither is an address of the collector's.
  void* const argument = __atomic_load_n(&f.waits_at, __ATOMIC_ACQUIRE);
  if (f.state.load(std::memory_order_relaxed) != fiber_state::parked) return nullptr;
  return unreached_by(argument, judge);
}

const descriptor_wait* waits_at_descriptor(const fiber& f) noexcept {
  if (f.state.load(std::memory_order_relaxed) != fiber_state::parked) return nullptr;
  void* const argument = __atomic_load_n(&f.waits_at, __ATOMIC_RELAXED);
  const auto how = static_cast<wait_argument>(reinterpret_cast<std::uintptr_t>(argument) % alignof(void*));
  if (how != wait_argument::descriptor) return nullptr;
  return &from_argument<wait_argument::descriptor, const descriptor_wait>(argument);
}

// --- where it stands ------------------------------------------------------------------------------------------------

namespace {

/// As walk_context_x86_64.S reads it.
struct saved_registers {
  std::uint64_t rsp, rip, rbx, rbp, r12, r13, r14, r15;
};
extern "C" void heddle_walk_context(const saved_registers* from, void (*f)(void*), void* argument);

struct walk {
  void** to;
  std::size_t most;
  std::size_t count;
  bool met_context;  ///< what comes first is the walk's own
};

bool is_of_walk(std::uintptr_t address) noexcept {
  constexpr std::uintptr_t longest = 64;
  return address - reinterpret_cast<std::uintptr_t>(&heddle_walk_context) < longest;
}

_Unwind_Reason_Code note_frame(_Unwind_Context* at, void* raw) noexcept {
  walk& w = *static_cast<walk*>(raw);
  const std::uintptr_t address = _Unwind_GetIP(at);
  if (!w.met_context) {
    w.met_context = is_of_walk(address);
    return _URC_NO_REASON;
  }
  if (w.count == w.most || address == 0) return _URC_END_OF_STACK;
  w.to[w.count++] = reinterpret_cast<void*>(address);
  return _URC_NO_REASON;
}

}  // namespace

std::size_t frames_of(const fiber& f, void** to, std::size_t most) noexcept {
  const debug_layout_table& l = debug_layout;
  if (l.context_rip == 0) return 0;
  const auto* const context = static_cast<const char*>(f.context);
  const auto word = [context](std::uint64_t at) { return *reinterpret_cast<const std::uint64_t*>(context + at); };
  const saved_registers r{reinterpret_cast<std::uint64_t>(context) + l.context_rip + 8,
                          word(l.context_rip),
                          word(l.context_rbx),
                          word(l.context_rbp),
                          word(l.context_r12),
                          word(l.context_r13),
                          word(l.context_r14),
                          word(l.context_r15)};
  walk w{to, most, 0, false};
  heddle_walk_context(
      &r, [](void* argument) { _Unwind_Backtrace(note_frame, argument); }, &w);
  return w.count;
}

std::uint64_t id_of(const fiber& f) noexcept { return f.id; }
const char* name_of(const fiber& f) noexcept { return f.name; }

}  // namespace heddle::detail
