// SPDX-License-Identifier: BSL-1.0
#include "stack.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <new>

#include "platform_services.hpp"
#include "valgrind.hpp"

#ifdef HEDDLE_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HEDDLE_UNPOISON(at, bytes) __asan_unpoison_memory_region(at, bytes)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEDDLE_UNPOISON(at, bytes) __asan_unpoison_memory_region(at, bytes)
#endif
#endif
#ifdef HEDDLE_UNPOISON
#include <sanitizer/asan_interface.h>
#else
#define HEDDLE_UNPOISON(at, bytes) static_cast<void>(0)
#endif

namespace heddle::detail {
namespace {
constexpr std::size_t page = page_size;
constexpr int advice_populate_write = 23;  // MADV_POPULATE_WRITE, Linux 5.14, absent from older headers
// Tops differ by a few cache lines from slot to slot, else all fibers' hot frames fall into the same cache sets.
constexpr std::size_t colours = 16;
constexpr std::size_t colour_step = 128;
constexpr std::size_t header_size = 64;
static_assert(sizeof(stack) <= header_size);

/// ASan's shadow outlives munmap, and the last frames of ended fibers never returned: whoever has the addresses next,
/// be it a thread with its thread-locals, must not find their poison.
void unmap(char* at, std::size_t bytes) noexcept {
  HEDDLE_UNPOISON(at, bytes);
  return_address_space(at, bytes);
}

char* page_up(char* at) noexcept { return at + (page - reinterpret_cast<std::uintptr_t>(at) % page) % page; }

/// The pages from one to the other at once: a page fault each costs half as much again. Where the kernel cannot do that
/// there will be faults.
void populate(char* from, char* to) noexcept {
  from -= reinterpret_cast<std::uintptr_t>(from) % page;
  ::madvise(from, static_cast<std::size_t>(to - from), advice_populate_write);
}

}  // namespace

stack_pool::stack_pool(std::size_t size, growing g) noexcept
    : packed_(size < page),
      slot_size_(packed_ ? (size + 63) / 64 * 64 : (size + page - 1) / page * page),
      growing_(g) {}

stack_pool::~stack_pool() {
  while (stack* s = free_.pop()) retire_stack(*s);
  for (const reservation& r : reservations_) unmap(r.base, r.bytes);
}

char* stack_pool::header_of(char* slot, std::size_t stride) const noexcept {
  // Packed ones differ by themselves.
  const std::size_t colour = packed_ ? 0 : reinterpret_cast<std::uintptr_t>(slot) / stride % colours;
  return slot + stride - header_size - colour * colour_step;
}

std::size_t stack_pool::stride_with(std::size_t guard) const noexcept {
  return packed_ ? slot_size_ : slot_size_ - page + guard;
}

stack_pool::reservation& stack_pool::holder(const char* slot) noexcept {
  const auto after = std::upper_bound(reservations_.begin(), reservations_.end(), slot,
                                      [](const char* at, const reservation& r) { return at < r.base; });
  return *std::prev(after);
}

bool stack_pool::reserve() noexcept {
  const auto all = [this](std::size_t guard) HEDDLE_NO_THREAD_SAFETY_ANALYSIS {
    // The first is small; each one doubles, so that a million stacks need few.
    const std::size_t first = std::max<std::size_t>(stride_with(guard) * batch, std::size_t{4} << 20);
    return first << std::min<std::size_t>(reservations_.size(), 8);
  };
  const std::size_t guard = packed_ ? 0 : guard_for(made_);
  if (guard > page && reserve(guard, all(guard))) return true;
  const std::size_t least = packed_ ? 0 : page;
  for (std::size_t bytes = all(least); bytes >= slot_size_; bytes /= 2)
    if (reserve(least, bytes)) return true;
  return false;
}

/// Reserves as many slots as fit into `bytes`, with guards of `guard` bytes.
bool stack_pool::reserve(std::size_t guard, std::size_t bytes) noexcept {
  const std::size_t stride = stride_with(guard);
  bytes = bytes / stride * stride;
  bool locked = false;
  char* const base = reserve_address_space(bytes, locked);
  if (base == nullptr) return false;
  try {
    empty_.reserve(empty_.size() + made_ + bytes / stride);
    const auto after = std::upper_bound(reservations_.begin(), reservations_.end(), base,
                                        [](const char* at, const reservation& r) { return at < r.base; });
    reservations_.insert(after, {base, bytes, guard, stride, locked, 0, 0});
  } catch (const std::bad_alloc&) {
    return_address_space(base, bytes);
    return false;
  }
  cursor_ = open_ = opened_ = base;
  end_ = base + bytes;
  return true;
}

/// Opens the next slots of the newest reservation; false if there is no memory.
bool stack_pool::open_more() noexcept {
  const reservation& r = holder(open_);
  const std::size_t left = static_cast<std::size_t>(end_ - open_) / r.stride;
  const std::size_t most = packed_ ? packed_batch : r.guard > widest_marker ? closed_batch : batch;
  const slot_row row{open_, std::min(most, left), r.stride, r.guard};
  if (!open_slots(row, opened_, end_, r.locked)) return false;
  open_ += row.bytes();
  return true;
}

/// A slot with its guard and without a stack: one that was emptied, or else a new one; null if there is no memory.
char* stack_pool::take_slot() noexcept {
  if (!empty_.empty()) {
    char* const slot = empty_.back();
    empty_.pop_back();
    --holder(slot).empty;
    return slot;
  }
  if (cursor_ == end_ && !reserve()) return nullptr;
  if (cursor_ == open_ && !open_more()) return nullptr;
  char* const slot = cursor_;
  cursor_ += holder(slot).stride;
  ++made_;
  return slot;
}

/// The header of a new stack in a slot that has its guard; touches its highest page.
stack* stack_pool::build(char* slot, const reservation& r) noexcept {
  char* const header = header_of(slot, r.stride);
  stack* s = ::new (header) stack;
  s->bottom = slot + r.guard;
  if (!packed_) s->guard_log = static_cast<unsigned>(std::countr_zero(r.guard)) & 0xff;
  s->size = static_cast<std::size_t>(header - s->bottom);
  s->pool = this;
  if (growing_.reserve != 0) s->limit = s->bottom + growing_.reserve;
  s->next_class = growing_.next_class;
  if (packed_) canary_of(*s) = canary;
  announce_stack(*s);
  return s;
}

bool stack_pool::get(stack_list& out, std::size_t n) noexcept {
  char* slot = nullptr;
  char* fresh_end = nullptr;
  reservation from{};
  {
    const thread_lock hold(lock_);
    std::size_t got = 0;
    for (; got != n && free_.head != nullptr; ++got) out.push(free_.pop());
    least_free_ = std::min(least_free_, free_.count);
    if (got != 0) return true;
    const char* const before = open_;
    slot = take_slot();
    if (slot == nullptr) return false;
    if (open_ != before) fresh_end = open_;
    from = holder(slot);
  }
  if (packed_ && fresh_end != nullptr) populate(slot, fresh_end);
  // Only one at a time, since its header touches a page; and without the lock, since that is a page fault.
  out.push(build(slot, from));
  return true;
}

/// Takes out of the books, and returns by address, the reservations that hold nothing but idle and empty slots.
std::vector<stack_pool::reservation> stack_pool::take_unused(const std::vector<stack*>& idle) {
  std::vector<std::size_t> unused(reservations_.size());
  for (std::size_t i = 0; i != unused.size(); ++i) unused[i] = reservations_[i].empty;
  for (const stack* s : idle) ++unused[static_cast<std::size_t>(&holder(s->bottom) - reservations_.data())];
  std::vector<reservation> gone;
  for (std::size_t i = 0; i != unused.size(); ++i) {
    if (unused[i] == cut(reservations_[i])) gone.push_back(reservations_[i]);
  }
  if (gone.empty()) return gone;
  std::erase_if(empty_, [&](const char* slot) { return within(gone, slot); });
  std::erase_if(reservations_, [&](const reservation& r) { return within(gone, r.base); });
  for (const reservation& r : gone) {
    made_ -= cut(r);
    if (r.base + r.bytes == end_)
      cursor_ = end_ = open_ = opened_ = nullptr;  // the newest: the next slot begins another
  }
  return gone;
}

/// Slots of the reservation that have been handed out ever.
std::size_t stack_pool::cut(const reservation& r) const noexcept {
  return static_cast<std::size_t>(r.base + r.bytes == end_ ? cursor_ - r.base : static_cast<std::ptrdiff_t>(r.bytes)) /
         r.stride;
}

bool stack_pool::within(const std::vector<reservation>& by_address, const char* at) noexcept {
  const auto after = std::upper_bound(by_address.begin(), by_address.end(), at,
                                      [](const char* a, const reservation& r) { return a < r.base; });
  return after != by_address.begin() && at < std::prev(after)->base + std::prev(after)->bytes;
}

bool stack_pool::give_back() noexcept {
  std::vector<stack*> idle;
  std::vector<char*> emptied;
  std::vector<reservation> gone;
  bool more = false;
  try {
    const thread_lock hold(lock_);
    const std::size_t n = std::min(least_free_, free_.count);
    const std::size_t warm = free_.count - n;
    more = warm != 0;
    least_free_ = warm;
    if (n == 0) return more;
    idle.reserve(n);
    emptied.reserve(n);
    stack_list newest;
    while (newest.count != warm) newest.push(free_.pop());
    while (stack* s = free_.pop()) idle.push_back(s);
    while (stack* s = newest.pop()) free_.push(s);
    gone = take_unused(idle);
  } catch (const std::bad_alloc&) {
    const thread_lock hold(lock_);
    for (stack* s : idle) free_.push(s);
    return true;
  }
  // Nobody else knows the idle ones now. They are emptied without the lock, and only then offered again.
  for (stack* s : idle) {
    char* const slot = slot_of(*s);
    retire_stack(*s);
    if (within(gone, slot)) continue;
    emptied.push_back(slot);
    if (!packed_) drop(*s);
  }
  if (packed_) drop_packed(emptied);
  for (const reservation& r : gone) unmap(r.base, r.bytes);
  const thread_lock hold(lock_);
  for (char* slot : emptied) {
    empty_.push_back(slot);
    ++holder(slot).empty;
  }
  return more;
}

/// Gives back the memory of an emptied stack that is not packed.
void stack_pool::drop(const stack& s) noexcept {
  char* const end = page_up(s.bottom + s.size + header_size);  // above the header only the colour
  HEDDLE_UNPOISON(s.bottom, static_cast<std::size_t>(end - s.bottom));
  platform::drop_pages(s.bottom, static_cast<std::size_t>(end - s.bottom));
}

/// The same for packed slots: the memory of the pages that lie in these slots only.
void stack_pool::drop_packed(std::vector<char*>& slots) noexcept {
  std::sort(slots.begin(), slots.end());
  for (std::size_t i = 0; i != slots.size();) {
    char* const first = slots[i];
    char* end = first;
    for (; i != slots.size() && slots[i] == end; ++i) end += slot_size_;
    char* const begin = page_up(first);
    end -= reinterpret_cast<std::uintptr_t>(end) % page;
    if (begin < end) platform::drop_pages(begin, static_cast<std::size_t>(end - begin));
  }
}

/// Reads what fibers may be writing: only whether it was ever other than zero matters.
[[gnu::no_sanitize_address, gnu::no_sanitize_thread]] std::size_t stack_pool::deepest() noexcept {
  const thread_lock hold(lock_);
  if (packed_) return made_ != 0 ? slot_size_ : 0;  // whole slots: pages are not one stack's alone
  std::vector<unsigned char> resident;
  try {
    resident.resize(slot_size_ / page);  // a stack, and more
  } catch (const std::bad_alloc&) {
    return 0;
  }
  std::size_t most = 0;
  for (const reservation& r : reservations_) {
    const char* const end = r.base + r.bytes == end_ ? cursor_ : r.base + r.bytes;
    for (char* slot = r.base; slot != end; slot += r.stride) {
      const char* const bottom = slot + r.guard;
      if (::mincore(slot + r.guard, r.stride - r.guard, resident.data()) != 0) continue;
      const char* const top = header_of(slot, r.stride);
      const char* at = bottom;
      while (at < top && (resident[static_cast<std::size_t>(at - bottom) / page] & 1) == 0) at += page;
      while (at < top && *reinterpret_cast<const volatile std::uint64_t*>(at) == 0) at += sizeof(std::uint64_t);
      if (at < top) most = std::max(most, static_cast<std::size_t>(top - at));
    }
  }
  return most;
}

void stack_pool::put(stack_list& from, std::size_t n) noexcept {
  const thread_lock hold(lock_);
  for (; n != 0; --n) free_.push(from.pop());
}

void stack_pool::report_damage(const stack& s) noexcept {
  std::fprintf(
      stderr,
      "heddle: the first segment of a fiber's stack, %zu bytes from %p, has overflowed: code that was not compiled "
      "with -fsplit-stack ran on it; call such code by heddle::on_large_stack\n",
      s.size, static_cast<void*>(s.bottom));
  std::abort();
}

void announce_stack(stack& s) noexcept {
#ifdef HEDDLE_TSAN
  s.tsan_fiber = __tsan_create_fiber(0);
#endif
  s.valgrind_id = VALGRIND_STACK_REGISTER(s.bottom, s.bottom + s.size) & 0xffffff;
}

void announce_home_stack(stack& s) noexcept {
  s.valgrind_id = VALGRIND_STACK_REGISTER(s.bottom, s.bottom + s.size) & 0xffffff;
}
void retire_home_stack(stack& s) noexcept { VALGRIND_STACK_DEREGISTER(s.valgrind_id); }

void retire_stack(stack& s) noexcept {
#ifdef HEDDLE_TSAN
  __tsan_destroy_fiber(s.tsan_fiber);
#endif
  VALGRIND_STACK_DEREGISTER(s.valgrind_id);
}

}  // namespace heddle::detail
