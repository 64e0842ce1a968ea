// SPDX-License-Identifier: BSL-1.0
//
// What other libraries call that switch stacks of code compiled with -fsplit-stack (Boost.Context's segmented_stack,
// for one): libgcc's interface, over the kernel's way of growing. Their contexts get a large piece of address space
// each, which takes memory by the page, and no limit; heddle's own fibers grow by segments beneath it. Source: the
// split-stack notes of the gcc wiki; boost/context/segmented_stack.hpp for the use.
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "late.hpp"
#include "machine.hpp"
#include "segment.hpp"

#if !defined(HEDDLE_MODEL) || !HEDDLE_MODEL

namespace heddle::detail {
namespace {

/// The ten words that a caller keeps for us.
struct context {
  char* base;  ///< of the mapping, or null: of a stack that is not ours
  std::size_t bytes;
  char* limit;  ///< what %fs:0x70 was when the context was left
};
static_assert(sizeof(context) <= 10 * sizeof(void*));

constexpr std::size_t page = 4096;
constexpr std::size_t least_context = std::size_t{8} << 20;

context& of(void* words) noexcept { return *static_cast<context*>(words); }
char* bottom_of(const context& c) noexcept { return c.base + page; }  // the guard lies below

}  // namespace
}  // namespace heddle::detail

extern "C" {

/// A new stack of `size` bytes or more, whose lowest byte is returned and whose length goes into `*got`; null without
/// memory.
void* __splitstack_makecontext(std::size_t size, void* words, std::size_t* got) noexcept {
  using namespace heddle::detail;
  context& c = of(words);
  c = {};
  const std::size_t bytes = (std::max(size, least_context) + 2 * page - 1) / page * page;
  void* const at =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  ::mprotect(at, page, PROT_NONE);
  c.base = static_cast<char*>(at);
  c.bytes = bytes;
  *got = bytes - page;
  return bottom_of(c);
}

/// The stack of a context that begins anew.
void* __splitstack_resetcontext(void* words, std::size_t* got) noexcept {
  using namespace heddle::detail;
  const context& c = of(words);
  *got = c.base != nullptr ? c.bytes - page : 0;
  return c.base != nullptr ? bottom_of(c) : nullptr;
}

void __splitstack_releasecontext(void* words) noexcept {
  heddle::detail::context& c = heddle::detail::of(words);
  if (c.base != nullptr) ::munmap(c.base, c.bytes);
  c = {};
}

/// Before a switch away: keeps the limit of the running stack.
void __splitstack_getcontext(void* words) noexcept {
  using namespace heddle::detail;
  of(words).limit = reinterpret_cast<char*>(this_limit_slot()->load(std::memory_order_relaxed) & ~late_mark);
}

/// Before a switch to it.
void __splitstack_setcontext(void* words) noexcept { heddle::detail::set_stack_limit(heddle::detail::of(words).limit); }

/// Whether signals are to be blocked while a stack grows: they need not be, ours grow without.
void __splitstack_block_signals(int*, int* before) noexcept {
  if (before != nullptr) *before = 0;
}
void __splitstack_block_signals_context(void*, int*, int* before) noexcept {
  if (before != nullptr) *before = 0;
}

/// Goes through the segments of the running fiber, for collectors: the lowest byte in use and the length. `from` is
/// null at first, then what the last call left in `*next`, which is null at the end. Null: no fiber of heddle, or no
/// further one.
void* __splitstack_find(void* from, void* sp, std::size_t* length, void** next, void** next_sp,
                        void** initial_sp) noexcept {
  using namespace heddle::detail;
  const machine* const m = this_machine();
  if (m == nullptr || m->current == nullptr) return nullptr;
  const auto* const s = from != nullptr ? static_cast<const stack*>(from) : m->current->memory;
  const char* const top = s->bottom + s->size;
  char* low = s->bottom;
  if (from == nullptr) low = sp != nullptr ? static_cast<char*>(sp) : static_cast<char*>(__builtin_frame_address(0));
  *length = static_cast<std::size_t>(top - low);
  *next = s->limit != nullptr ? s->next : nullptr;
  *next_sp = nullptr;
  *initial_sp = nullptr;
  return low;
}

/// The same for the one stack of a context.
void* __splitstack_find_context(void* words, std::size_t* length, void** next, void** next_sp,
                                void** initial_sp) noexcept {
  using namespace heddle::detail;
  *next = *next_sp = *initial_sp = nullptr;
  return __splitstack_resetcontext(words, length);
}
}

#endif
