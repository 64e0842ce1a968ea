// SPDX-License-Identifier: BSL-1.0
#include "segment.hpp"

#include <cpuid.h>
#include <signal.h>
#include <unwind.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "heddle/detail/preemption.hpp"
#include "heddle/detail/trusted.hpp"
#include "heddle/large_stack.hpp"
#include "heddle/this_fiber.hpp"
#include "late.hpp"
#include "overflow.hpp"
#include "scheduler.hpp"

#include "../segmented/layout.h"

extern "C" {
// morestack_x86_64.S
void heddle_call_on(void* top, void (*f)(void*), void* argument);
void heddle_call_with_room(void (*f)(void*), void* argument, std::size_t bytes);
}

namespace heddle::detail {

stack* segment_pools::get(std::uint32_t growth_class) noexcept {
  stack_list one;
  return pools_[growth_class].get(one, 1) ? one.pop() : nullptr;
}

void segment_pools::put(stack& s) noexcept {
  stack_list one;
  one.push(&s);
  s.pool->put(one, 1);
}

bool segment_pools::give_back() noexcept {
  bool more = false;
  for (stack_pool& pool : pools_) more |= pool.give_back();
  return more;
}

std::size_t segment_pools::made() noexcept {
  std::size_t n = 0;
  for (stack_pool& pool : pools_) n += pool.made();
  return n;
}

#if !defined(HEDDLE_MODEL) || !HEDDLE_MODEL

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
static_assert(offsetof(stack, next) == HEDDLE_STACK_NEXT && offsetof(stack, bottom) == HEDDLE_STACK_BOTTOM &&
              offsetof(stack, size) == HEDDLE_STACK_SIZE && offsetof(stack, limit) == HEDDLE_STACK_LIMIT &&
              offsetof(stack, context) == HEDDLE_STACK_CONTEXT && offsetof(stack, blocks) == HEDDLE_STACK_BLOCKS &&
              offsetof(stack, next_class) == HEDDLE_STACK_NEXT_CLASS);
static_assert(offsetof(fiber, memory) == HEDDLE_FIBER_MEMORY && offsetof(fiber, limit) == HEDDLE_FIBER_LIMIT);
static_assert(offsetof(machine, current) == HEDDLE_MACHINE_CURRENT &&
              offsetof(machine, home) + offsetof(execution, context) == HEDDLE_MACHINE_HOME_CONTEXT &&
              offsetof(machine, growth) == HEDDLE_MACHINE_GROWTH);
static_assert(sizeof(growth_list) == 16 && offsetof(growth_list, head) == 0 &&
              offsetof(growth_list, count) == HEDDLE_GROWTH_COUNT &&
              offsetof(growth_list, capacity) == HEDDLE_GROWTH_CAPACITY);
static_assert(offsetof(machine, late) == HEDDLE_MACHINE_LATE && late_mark == std::uintptr_t{1} << HEDDLE_MARK_BIT);
#pragma GCC diagnostic pop

namespace {

constexpr std::size_t headroom = std::size_t{1} << HEDDLE_HEADROOM_LOG;

void free_blocks(stack& s) noexcept {
  auto* b = static_cast<alloca_block*>(s.blocks);
  s.blocks = nullptr;
  while (b != nullptr) {
    alloca_block* const next = b->next;
    std::free(b);
    b = next;
  }
}

/// The running fiber goes back to the segment before its present one, which it returns.
stack& step_back(machine& m) noexcept {
  fiber& f = *m.current;
  stack& left = *f.memory;
  f.stand_on(*left.next);
  set_stack_limit(f.limit);
  if (left.blocks != nullptr) free_blocks(left);
  return left;
}

void keep(machine& m, stack& s) noexcept {
  growth_list& list = m.growth.lists[s.next_class - 1];
  s.next = list.head;
  list.head = &s;
  ++list.count;
}

std::size_t bytes_of(const stack* s) noexcept {
  std::size_t sum = 0;
  for (; s != nullptr; s = s->next) sum += s->size;
  return sum;
}

[[noreturn]] void overflow(const fiber& f, std::size_t need, const char* why) noexcept {
  report_growth(f, need, bytes_of(f.memory), why);
  ::signal(SIGSEGV, SIG_DFL);
  ::raise(SIGSEGV);
  std::abort();  // blocked or ignored
}

/// A segment that holds `need` bytes above its limit, twice as large as the present one or more.
stack& take_segment(machine& m, std::size_t need, std::uint32_t least_class) noexcept {
  fiber& f = *m.current;
  std::uint32_t c = std::min(std::max(least_class, f.memory->next_class), growth_classes - 1);
  const std::size_t whole = need + HEDDLE_SEGMENT_PAD + growth_reserve + stack_pool::overhead;
  while (c != growth_classes && growth_size(c) < whole) ++c;
  if (c == growth_classes) overflow(f, need, "no segment is so large");
  const std::size_t most = m.sched.settings.max_stack;
  const std::size_t together = bytes_of(f.memory) + growth_size(c);
  if (together > most) overflow(f, need, "the limit of the option max_stack is reached");
  growth_list& list = m.growth.lists[c];
  stack* s = list.head;
  if (s != nullptr) {
    list.head = s->next;
    --list.count;
  } else {
    s = m.sched.segments.get(c);
    if (s == nullptr) overflow(f, need, "there is no memory");
  }
  m.sched.segments.note_depth(together);
  return *s;
}

}  // namespace

void call_on_home_stack(void (*f)(void*), void* argument) {
  const machine* const m = this_machine();
  const auto* const here = static_cast<const char*>(__builtin_frame_address(0));
  if (m == nullptr || (here >= m->home_stack.bottom && here < m->home_stack.bottom + m->home_stack.size))
    return f(argument);
  heddle_call_on(m->home.context, f, argument);
}

extern "C" {

// --- what the assembly calls ------------------------------------------------------------------------------------

extern unsigned char heddle_has_xsave;
unsigned char heddle_has_xsave = [] {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return static_cast<unsigned char>(__get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_OSXSAVE) != 0);
}();

struct growth {
  stack* segment;       ///< the running fiber stands on it now; null: no further one, the body runs in place
  std::uint64_t yield;  ///< 1: the fiber is past its slice
};

/// On the machine's home stack. `at`: the frame of __morestack.
growth heddle_grow(machine& m, std::size_t frame, std::size_t arguments, std::uint32_t foreign,
                   const char* at) noexcept {
  fiber& f = *m.current;
  const bool late = m.late.load(std::memory_order_relaxed) != 0;
  m.late.store(0, std::memory_order_relaxed);
  set_stack_limit(f.limit);
  if (f.limit == nullptr) return {nullptr, 0};
  const bool yield = late && !m.is_inside() && unpreemptible == 0 && f.unpreemptible == 0;
  const std::size_t need = frame + (foreign != 0 ? headroom : 0);
  const auto whole = static_cast<std::ptrdiff_t>(need + arguments + HEDDLE_SEGMENT_PAD);
  if (!yield && at - f.limit >= whole) return {nullptr, 0};  // only the mark has brought it here
  stack& s = take_segment(m, need + arguments, std::max(foreign, yield ? foreign_class : 0));
  s.next = f.memory;
  s.context = const_cast<char*>(at);
  f.stand_on(s);
  set_stack_limit(f.limit);
  return {&s, yield ? 1U : 0U};
}

/// The fiber is past its slice. On a segment of its own.
void heddle_preempt() noexcept {
  const int error = errno;
  if constexpr (switch_keeps_control_words) {
    this_fiber::yield();
  } else {
    // The fiber has not asked to be suspended, so it need not be back at the usual words.
    const control_words own = control_words::current();
    this_machine()->sched.usual_words().load();
    this_fiber::yield();
    own.load();
  }
  errno = error;
}

/// On the machine's home stack: the running fiber leaves its segment, and the machine has enough of those.
void heddle_shrink(machine& m) noexcept {
  stack& left = step_back(m);
  const growth_list& list = m.growth.lists[left.next_class - 1];
  if (list.count < list.capacity)
    keep(m, left);
  else
    m.sched.segments.put(left);
}

/// The running fiber is about to jump to where the stack pointer was `to`.
void heddle_step_to(const char* to) noexcept {
  machine* const m = this_machine();
  if (m == nullptr || m->current == nullptr || m->current->limit == nullptr) return;
  const auto has = [to](const stack& s) { return to >= s.bottom && to <= s.bottom + s.size; };
  // A jump within a context that is not of this fiber leaves nothing behind.
  const stack* target = m->current->memory;
  while (target != nullptr && !has(*target)) target = target->next;
  if (target == nullptr) return;
  on_home_stack([&] {
    while (!has(*m->current->memory)) keep(*m, step_back(*m));
  });
}

/// Called by unwinders for frames of __morestack.
_Unwind_Reason_Code heddle_segment_personality(int, _Unwind_Action actions, _Unwind_Exception_Class, _Unwind_Exception*,
                                               _Unwind_Context* context) {
  if ((actions & _UA_CLEANUP_PHASE) != 0) {
    constexpr int rbp = 6;
    const auto* const frame = reinterpret_cast<stack* const*>(_Unwind_GetGR(context, rbp));
    if (frame[-1] != nullptr)
      if (machine* const m = this_machine()) keep(*m, step_back(*m));
  }
  return _URC_CONTINUE_UNWIND;
}

/// What code with alloca calls when its block does not fit: the block ends with the segment.
[[gnu::visibility("hidden")]] void* __morestack_allocate_stack_space(std::size_t size) noexcept {
  machine* const m = this_machine();
  void* bytes = nullptr;
  const auto allocate = [&] {
    void* const memory = std::malloc(sizeof(alloca_block) + size);
    if (memory == nullptr) {
      if (m != nullptr && m->current != nullptr) overflow(*m->current, size, "there is no memory");
      std::abort();
    }
    auto* const b = ::new (memory) alloca_block{nullptr, size};
    if (m != nullptr && m->current != nullptr) {
      stack& s = *m->current->memory;
      b->next = static_cast<alloca_block*>(s.blocks);
      s.blocks = b;
    }
    bytes = b + 1;
  };
  on_home_stack(allocate);
  return bytes;
}

// --- whether the linker has done its part: split_probe_x86_64.S calls foreign code --------------------------------

extern const unsigned char heddle_split_probe[];
}

bool linker_raises_headroom() noexcept {
  // lea -N(%rsp), %r11, as gold and lld leave it.
  std::int32_t displacement = 0;
  std::memcpy(&displacement, heddle_split_probe + 4, sizeof displacement);
  return -displacement >= static_cast<std::int32_t>(headroom);
}

void call_on_large_stack(void (*f)(void*), void* argument, std::size_t bytes) {
  heddle_call_with_room(f, argument, bytes);
}

#else
bool linker_raises_headroom() noexcept { return false; }
void call_on_large_stack(void (*f)(void*), void* argument, std::size_t) { f(argument); }
#endif

}  // namespace heddle::detail
