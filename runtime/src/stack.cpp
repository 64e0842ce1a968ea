// SPDX-License-Identifier: BSL-1.0
#include "stack.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <new>

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
constexpr std::size_t page = 4096;
constexpr int advice_guard_install = 102;  // MADV_GUARD_INSTALL, absent from older headers
constexpr int advice_populate_write = 23;  // MADV_POPULATE_WRITE, Linux 5.14, likewise
// Tops differ by a few cache lines from slot to slot, else all fibers' hot frames fall into the same cache sets.
constexpr std::size_t colours = 16;
constexpr std::size_t colour_step = 128;
constexpr std::size_t header_size = 64;
static_assert(sizeof(stack) <= header_size);

// Not a static local with its guard: a thread that forks while another holds the guard leaves it held in the child.
// Whoever probes finds the same, so relaxed will do.
constinit std::atomic<guard_kind> known_guard{guard_kind::unknown};

guard_kind probe_guard() noexcept {
  if (under_valgrind()) return guard_kind::mapping;
  void* p = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return guard_kind::mapping;
  const bool works = ::madvise(p, page, advice_guard_install) == 0;
  ::munmap(p, page);
  return works ? guard_kind::marker : guard_kind::mapping;
}

guard_kind guard_in_use() noexcept {
  guard_kind kind = known_guard.load(std::memory_order_relaxed);
  if (kind != guard_kind::unknown) return kind;
  kind = probe_guard();
  known_guard.store(kind, std::memory_order_relaxed);
  return kind;
}

/// ASan's shadow outlives munmap, and the last frames of ended fibers never returned: whoever has the addresses next,
/// be it a thread with its thread-locals, must not find their poison.
void unmap(char* at, std::size_t bytes) noexcept {
  HEDDLE_UNPOISON(at, bytes);
  ::munmap(at, bytes);
}

/// The pages from one to the other at once: a page fault each costs half as much again. Where the kernel cannot do that
/// there will be faults.
void populate(char* from, char* to) noexcept {
  from -= reinterpret_cast<std::uintptr_t>(from) % page;
  ::madvise(from, static_cast<std::size_t>(to - from), advice_populate_write);
}

/// Whether a pool that has cut so many slots goes on without guards.
bool too_many_for_valgrind(std::size_t made) noexcept {
  if (made < most_guards_under_valgrind || !under_valgrind()) return false;
  static constinit std::atomic<bool> said{false};
  if (!said.exchange(true, std::memory_order_relaxed))
    std::fprintf(stderr, "heddle: under Valgrind only the first %zu fiber stacks have a guard page\n",
                 most_guards_under_valgrind);
  return true;
}

bool protect(char* at) noexcept {
  if (guard_in_use() == guard_kind::marker) return ::madvise(at, page, advice_guard_install) == 0;
  return ::mprotect(at, page, PROT_NONE) == 0;
}

/// One system call for many guards where the kernel lets a process advise itself; false where it does not.
bool protect_many(char* slots, std::size_t count, std::size_t stride) noexcept {
  if (guard_in_use() != guard_kind::marker) return false;
  std::array<iovec, stack_pool::batch> where;
  for (std::size_t i = 0; i != count; ++i) where[i] = {slots + i * stride, page};
  // Opened for each batch: kept, it would be a descriptor left over, and name the parent after a fork.
  const int self = static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0));
  if (self < 0) return false;
  const long done = ::syscall(SYS_process_madvise, self, where.data(), count, advice_guard_install, 0);
  ::close(self);
  return done == static_cast<long>(count * page);
}
}  // namespace

stack_pool::stack_pool(std::size_t size, growing g) noexcept
    : packed_(size < page),
      slot_size_(packed_ ? (size + 63) / 64 * 64 : (size + page - 1) / page * page),
      growing_(g) {}

stack_pool::~stack_pool() {
  while (stack* s = free_.pop()) retire_stack(*s);
  for (const reservation& r : reservations_) unmap(r.base, r.bytes + gap_above_stacks());
}

char* stack_pool::header_of(char* slot) const noexcept {
  // Packed ones differ by themselves.
  const std::size_t colour = packed_ ? 0 : reinterpret_cast<std::uintptr_t>(slot) / slot_size_ % colours;
  return slot + slot_size_ - header_size - colour * colour_step;
}

stack_pool::reservation& stack_pool::holder(const char* slot) noexcept {
  const auto after = std::upper_bound(reservations_.begin(), reservations_.end(), slot,
                                      [](const char* at, const reservation& r) { return at < r.base; });
  return *std::prev(after);
}

bool stack_pool::reserve() noexcept {
  // The first is small; each one doubles, so that a million stacks need few.
  const std::size_t first = std::max<std::size_t>(slot_size_ * batch, std::size_t{4} << 20);
  std::size_t bytes = first << std::min<std::size_t>(reservations_.size(), 8);
  bytes = bytes / slot_size_ * slot_size_;
  for (; bytes >= slot_size_; bytes = bytes / 2 / slot_size_ * slot_size_) {
    void* p = ::mmap(nullptr, bytes + gap_above_stacks(), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (p == MAP_FAILED) continue;
    close_gap_above(p, bytes);
    ::madvise(p, bytes, MADV_NOHUGEPAGE);  // one touched page must not become two megabytes
    try {
      char* const base = static_cast<char*>(p);
      empty_.reserve(empty_.size() + made_ + bytes / slot_size_);
      const auto after = std::upper_bound(reservations_.begin(), reservations_.end(), base,
                                          [](const char* at, const reservation& r) { return at < r.base; });
      reservations_.insert(after, {base, bytes, 0});
    } catch (const std::bad_alloc&) {
      ::munmap(p, bytes + gap_above_stacks());
      return false;
    }
    cursor_ = guarded_ = static_cast<char*>(p);
    end_ = cursor_ + bytes;
    return true;
  }
  return false;
}

void stack_pool::guard(char* slots, std::size_t count) noexcept {
  if (packed_ || guard_in_use() == guard_kind::none || too_many_for_valgrind(made_) ||
      protect_many(slots, count, slot_size_))
    return;
  for (std::size_t i = 0; i != count; ++i) {
    if (protect(slots + i * slot_size_)) continue;
    std::fprintf(stderr,
                 "heddle: no guard page for fiber stacks any more after %zu stacks (limit: vm.max_map_count); "
                 "an overflow from here on is not caught\n",
                 made_);
    known_guard.store(guard_kind::none, std::memory_order_relaxed);
    return;
  }
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
  if (cursor_ == guarded_) {
    const std::size_t n =
        std::min(packed_ ? packed_batch : batch, static_cast<std::size_t>(end_ - cursor_) / slot_size_);
    guard(cursor_, n);
    guarded_ += n * slot_size_;
  }
  char* const slot = cursor_;
  cursor_ += slot_size_;
  ++made_;
  return slot;
}

/// The header of a new stack in a slot that has its guard; touches its highest page.
stack* stack_pool::build(char* slot) noexcept {
  char* const header = header_of(slot);
  stack* s = ::new (header) stack;
  s->bottom = slot + (packed_ ? 0 : guard_size);
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
  {
    const thread_lock hold(lock_);
    std::size_t got = 0;
    for (; got != n && free_.head != nullptr; ++got) out.push(free_.pop());
    least_free_ = std::min(least_free_, free_.count);
    if (got != 0) return true;
    const char* const before = guarded_;
    slot = take_slot();
    if (guarded_ != before) fresh_end = guarded_;
  }
  if (slot == nullptr) return false;
  if (packed_ && fresh_end != nullptr) populate(slot, fresh_end);
  // Only one at a time, since its header touches a page; and without the lock, since that is a page fault.
  out.push(build(slot));
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
    if (r.base + r.bytes == end_) cursor_ = end_ = guarded_ = nullptr;  // the newest: the next slot begins another
  }
  return gone;
}

/// Slots of the reservation that have been handed out ever.
std::size_t stack_pool::cut(const reservation& r) const noexcept {
  return static_cast<std::size_t>(r.base + r.bytes == end_ ? cursor_ - r.base : static_cast<std::ptrdiff_t>(r.bytes)) /
         slot_size_;
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
    if (!within(gone, slot)) emptied.push_back(slot);
  }
  drop(emptied);
  for (const reservation& r : gone) unmap(r.base, r.bytes + gap_above_stacks());
  const thread_lock hold(lock_);
  for (char* slot : emptied) {
    empty_.push_back(slot);
    ++holder(slot).empty;
  }
  return more;
}

/// Gives the memory of emptied slots back: of packed ones, that of the pages that only such slots have a part in.
void stack_pool::drop(std::vector<char*>& slots) noexcept {
  if (!packed_) {
    for (char* slot : slots) {
      HEDDLE_UNPOISON(slot + guard_size, slot_size_ - guard_size);
      ::madvise(slot + guard_size, slot_size_ - guard_size, MADV_DONTNEED);
    }
    return;
  }
  std::sort(slots.begin(), slots.end());
  const auto up = [](char* at) { return at + (page - reinterpret_cast<std::uintptr_t>(at) % page) % page; };
  for (std::size_t i = 0; i != slots.size();) {
    char* const first = slots[i];
    char* end = first;
    for (; i != slots.size() && slots[i] == end; ++i) end += slot_size_;
    char* const begin = up(first);
    end -= reinterpret_cast<std::uintptr_t>(end) % page;
    if (begin < end) ::madvise(begin, static_cast<std::size_t>(end - begin), MADV_DONTNEED);
  }
}

/// Reads what fibers may be writing: only whether it was ever other than zero matters.
[[gnu::no_sanitize_address, gnu::no_sanitize_thread]] std::size_t stack_pool::deepest() noexcept {
  if (packed_) return 0;  // they have ended where they were full, and went on elsewhere
  const thread_lock hold(lock_);
  std::vector<unsigned char> resident;
  try {
    resident.resize(slot_size_ / page);
  } catch (const std::bad_alloc&) {
    return 0;
  }
  std::size_t most = 0;
  for (const reservation& r : reservations_) {
    const char* const end = r.base + r.bytes == end_ ? cursor_ : r.base + r.bytes;
    for (char* slot = r.base; slot != end; slot += slot_size_) {
      if (::mincore(slot, slot_size_, resident.data()) != 0) continue;
      const char* const top = header_of(slot);
      const char* at = slot + page;
      while (at < top && (resident[static_cast<std::size_t>(at - slot) / page] & 1) == 0) at += page;
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
  s.valgrind_id = VALGRIND_STACK_REGISTER(s.bottom, s.bottom + s.size);
}

void announce_home_stack(stack& s) noexcept { s.valgrind_id = VALGRIND_STACK_REGISTER(s.bottom, s.bottom + s.size); }
void retire_home_stack(stack& s) noexcept { VALGRIND_STACK_DEREGISTER(s.valgrind_id); }

void retire_stack(stack& s) noexcept {
#ifdef HEDDLE_TSAN
  __tsan_destroy_fiber(s.tsan_fiber);
#endif
  VALGRIND_STACK_DEREGISTER(s.valgrind_id);
}

}  // namespace heddle::detail
