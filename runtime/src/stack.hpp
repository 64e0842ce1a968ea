// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "heddle/detail/thread_mutex.hpp"
#include "stack_memory.hpp"
#include "watched_stacks.hpp"

namespace heddle::detail {

/// One stack, or one segment of a stack: this header stands at its top, the frames grow down from it to `bottom`.
struct stack {
  stack* next = nullptr;   ///< in a free list; of a segment in use, the one that it goes on from
  char* bottom = nullptr;  ///< lowest usable byte; the guard, if any, lies below
  std::size_t size = 0;    ///< usable bytes, from bottom to this header
  char* limit = nullptr;   ///< lowest byte for frames of code compiled with -fsplit-stack; null: it does not grow
  class stack_pool* pool = nullptr;
  /// In a free list: where the next fiber starts; null if none ever ran. Of a segment in use: the frame of __morestack
  /// in the segment that it goes on from.
  void* context = nullptr;
  union {
    void* tsan_fiber = nullptr;  ///< ThreadSanitizer's idea of this stack
    void* fake_stack;            ///< AddressSanitizer's fake frames, see fake_frames.hpp; while none runs on it
    void* blocks;                ///< of a segment: its allocas that did not fit; no such under TSan
  };
  unsigned valgrind_id : 24 = 0;  ///< Valgrind's idea of it
  unsigned guard_log : 8 = 0;     ///< the guard below it has so many bytes, as a power of two
  std::uint32_t next_class = 0;   ///< the least growth class of the segment that would follow
};

/// A singly linked list of stacks with a count: a processor's warm cache, or a batch on its way.
struct stack_list {
  stack* head = nullptr;
  std::size_t count = 0;

  void push(stack* s) noexcept {
    s->next = head;
    head = s;
    ++count;
  }
  stack* pop() noexcept {
    stack* s = head;
    if (s != nullptr) {
      head = s->next;
      --count;
    }
    return s;
  }
};

/// All stacks of one size, cut from large reservations. Thread-safe; a processor comes here only when its own
/// cache is empty or too full.
///
/// 1. A slot is guard, usable bytes, header; slots of a reservation lie side by side, and have guards of one size.
/// 2. A cut slot is a stack in somebody's hands, a stack in `free_`, or an address in `empty_`: then it has its guard,
///    and no memory.
/// 3. A reservation all of whose slots are free or empty may be unmapped.
/// 4. Slots below a page, of stacks that grow, are packed: several to a page, without guard, with a canary at the
/// bottom.
class stack_pool {
 public:
  /// Of stacks that grow: the bytes kept below their limit, and the class of the segment that would follow.
  struct growing {
    std::size_t reserve;
    std::uint32_t next_class;
  };
  /// `size`: bytes of a slot, the least guard and header included; rounded up to pages, or to cache lines if the slot
  /// is below a page.
  explicit stack_pool(std::size_t size, growing g = {0, 0}) noexcept;
  ~stack_pool();
  stack_pool(const stack_pool&) = delete;
  stack_pool& operator=(const stack_pool&) = delete;

  std::size_t slot_size() const noexcept { return slot_size_; }
  /// Moves up to `batch` stacks into `out`; false if memory is exhausted and none could be had.
  bool get(stack_list& out, std::size_t batch) noexcept;
  /// Takes `n` stacks from `from`.
  void put(stack_list& from, std::size_t n) noexcept;
  /// Slots that are cut now: the high-water mark since memory was last given back.
  std::size_t made() noexcept {
    const thread_lock hold(lock_);
    return made_;
  }
  /// Whether p lies in a stack, or where one is to be.
  bool holds(const char* p) noexcept;
  /// Gives the memory of those stacks back to the system that have lain in the free list since the last call. True if
  /// some lie there still, for the next call. O(free stacks); system calls without the lock.
  bool give_back() noexcept;
  /// Bytes of the deepest stack that were ever written, among those that have memory. Of packed slots: of a whole one,
  /// if there are any. O(stacks).
  std::size_t deepest() noexcept;

  /// Has the kernel watch those reservations whose stacks lie close enough, if it does not yet, and lists what is used
  /// of them. Throws std::bad_alloc.
  void watch(std::vector<watched_range>& out);

  /// Whether its stacks are for code compiled with -fsplit-stack.
  bool grows() const noexcept { return growing_.reserve != 0; }
  /// Whether an access right below a stack faults, if guards can be had at all.
  bool guarded() const noexcept { return !packed_; }
  /// Whether the address lies in the guard of s.
  static bool in_guard(const stack& s, const char* address) noexcept {
    return s.pool->guarded() && address < s.bottom && address >= s.bottom - guard_of(s);
  }
  /// Ends the process with a message if a stack without guard has overflowed: the one below it is damaged.
  void check(const stack& s) const noexcept {
    if (packed_ && canary_of(s) != canary) [[unlikely]]
      report_damage(s);
  }

  static constexpr std::size_t batch = 32;
  static constexpr std::size_t packed_batch = 64;
  static constexpr std::size_t closed_batch = 8;  ///< with guards that cost a system call each
  /// The most that guard, header and colour take of a slot, when it has the least guard.
  static constexpr std::size_t overhead = page_size + 64 + 15 * 128;

 private:
  struct reservation {
    char* base;
    std::size_t bytes;
    std::size_t guard;          ///< below each stack
    std::size_t stride;         ///< from slot to slot
    bool locked;                ///< the process locked what it mapped
    std::size_t empty;          ///< slots in empty_
    std::uint32_t watched = 0;  ///< the era of page_watch in which the kernel watches it
  };
  std::size_t cut(const reservation& r) const noexcept HEDDLE_REQUIRES(lock_);
  bool reserve() noexcept HEDDLE_REQUIRES(lock_);
  bool reserve(std::size_t guard, std::size_t bytes) noexcept HEDDLE_REQUIRES(lock_);
  std::size_t stride_with(std::size_t guard) const noexcept;
  stack* build(char* slot, const reservation& r) noexcept;
  reservation& holder(const char* slot) noexcept HEDDLE_REQUIRES(lock_);
  std::vector<reservation> take_unused(const std::vector<stack*>& idle) HEDDLE_REQUIRES(lock_);
  static bool within(const std::vector<reservation>& by_address, const char* at) noexcept;
  char* take_slot() noexcept HEDDLE_REQUIRES(lock_);
  bool open_more() noexcept HEDDLE_REQUIRES(lock_);

  static std::uint64_t& canary_of(const stack& s) noexcept { return *reinterpret_cast<std::uint64_t*>(s.bottom); }
  [[noreturn]] static void report_damage(const stack& s) noexcept;
  static std::size_t guard_of(const stack& s) noexcept { return std::size_t{1} << s.guard_log; }
  char* header_of(char* slot, std::size_t stride) const noexcept;
  char* slot_of(const stack& s) const noexcept { return s.bottom - (packed_ ? 0 : guard_of(s)); }
  static void drop(const stack& s) noexcept;
  void drop_packed(std::vector<char*>& slots) noexcept;

  static constexpr std::uint64_t canary = 0x9E3779B97F4A7C15;
  const bool packed_;
  const std::size_t slot_size_;
  const growing growing_;
  thread_mutex lock_{lock_rank::pool};
  stack_list free_ HEDDLE_GUARDED_BY(lock_);
  std::size_t least_free_ HEDDLE_GUARDED_BY(lock_) = 0;             // since the last give_back()
  std::vector<reservation> reservations_ HEDDLE_GUARDED_BY(lock_);  // by address
  std::vector<char*> empty_ HEDDLE_GUARDED_BY(lock_);               // has room for all that are cut
  char* cursor_ HEDDLE_GUARDED_BY(lock_) = nullptr;                 // next slot of the newest reservation
  char* end_ HEDDLE_GUARDED_BY(lock_) = nullptr;
  char* open_ HEDDLE_GUARDED_BY(lock_) = nullptr;    // slots below this are open, but for their guards
  char* opened_ HEDDLE_GUARDED_BY(lock_) = nullptr;  // those below this, too, but have no guards yet
  std::size_t made_ HEDDLE_GUARDED_BY(lock_) = 0;
};

/// Tells ThreadSanitizer and Valgrind of a stack that begins or ends its life.
void announce_stack(stack& s) noexcept;
void retire_stack(stack& s) noexcept;
/// The same for a machine's own stack, which ThreadSanitizer knows already.
void announce_home_stack(stack& s) noexcept;
void retire_home_stack(stack& s) noexcept;

}  // namespace heddle::detail
