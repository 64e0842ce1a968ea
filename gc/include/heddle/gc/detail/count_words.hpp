// SPDX-License-Identifier: BSL-1.0
//
// The counts of a counted object, and their fast paths: what the thread does that counts the object without locked
// instructions, its owner. All else is in gc/src/count.
//
// Each object has two words before it. The *local* word names the owner and has the owner's count; only the owner, or
// a thread that keeps the owner out, writes it. The *shared* word has the count of all other threads, which may be
// below zero, since a reference that the owner has counted may end elsewhere. The object's references are the sum of
// the two. When the owner's count falls to zero, or somebody asks, the local count is added to the shared one: the
// object is *merged*, and from then on the shared word has all.
//
// A thread raises its byte `critical` around each change of a count and each move of a pointer. So a search for cycles
// (gc/src/count/search.hpp) can keep all threads out, and finds counts and pointers that belong together.
//
// Source: J. Choi, T. Shull, J. Torrellas, "Biased Reference Counting", PACT 2018; that the reference which would make
// the shared count negative is handed to a queue of the owner: CPython 3.13.
#pragma once

#include <cstddef>
#include <cstdint>

#include "heddle/detail/config.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/gc/detail/barrier.hpp"  // HEDDLE_GC_PLAIN_BARRIER

namespace heddle::gc::detail {

/// The local word: the owner's count, above it the number of the owner, and a bit at the top.
namespace local_bits {
inline constexpr std::uint32_t one = 1;
inline constexpr std::uint32_t count = (1u << 18) - 1;
inline constexpr unsigned owner_shift = 18;
inline constexpr std::uint32_t most_owners = (1u << 13) - 2;  ///< numbers from 1 to this
inline constexpr std::uint32_t owner = (most_owners + 1) << owner_shift;
inline constexpr std::uint32_t merged = owner;  ///< an object that has no owner any more
/// The object is among the candidates for a search already, or is of a type that cannot be in a cycle.
inline constexpr std::uint32_t noted = 1u << 31;
/// A local count does not go beyond it: the owner gives half of it to the shared count.
inline constexpr std::uint32_t most = 1u << 17;
}  // namespace local_bits

/// The shared word: five bits, and a signed count above them.
namespace shared_bits {
inline constexpr std::uint32_t merged = 1;  ///< the local count has been added; set once
inline constexpr std::uint32_t queued = 2;  ///< a reference waits in the owner's queue for the object to be merged
inline constexpr std::uint32_t noted = 4;   ///< as the local one, by a thread that is not the owner
inline constexpr std::uint32_t weak = 8;    ///< there are weak references
inline constexpr std::uint32_t dead = 16;   ///< nobody has a reference any more; the rest is a link
inline constexpr unsigned shift = 5;
inline constexpr std::uint32_t one = 1u << shift;
constexpr std::int32_t count(std::uint32_t word) noexcept { return static_cast<std::int32_t>(word) >> shift; }
}  // namespace shared_bits

/// Stands right before each counted object. Both zero: there is no object, or it is under construction.
struct count_header {
  heddle::detail::atomic<std::uint32_t> local;
  heddle::detail::atomic<std::uint32_t> shared;
};

/// A pointer as gc::counted has it: the address of the header in the lower 48 bits, above them how far from there it
/// points. So a pointer to a base or to a member finds the counts as fast.
using count_slot = heddle::detail::atomic<std::uintptr_t>;
inline constexpr unsigned distance_shift = 48;
inline constexpr std::uintptr_t farthest = 0xffff;  ///< from the header, in bytes

inline count_header* header_in(std::uintptr_t word) noexcept {
  return reinterpret_cast<count_header*>(word & ((std::uintptr_t{1} << distance_shift) - 1));
}
inline std::uintptr_t address_in(std::uintptr_t word) noexcept {
  return (word & ((std::uintptr_t{1} << distance_shift) - 1)) + (word >> distance_shift);
}
inline std::uintptr_t word_of(const volatile void* address, const count_header* h) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(h);
  return at | (reinterpret_cast<std::uintptr_t>(address) - at) << distance_shift;
}

/// Free blocks of one kind that a thread has at hand, each of which begins with the address of the next one.
struct count_shelf {
  void* free = nullptr;
  struct count_span* current = nullptr;  ///< the span that they come from
  struct count_span* spans = nullptr;    ///< others of the kind with free blocks
  std::size_t empty = 0;                 ///< how many of those have no block in use
};

// --- what is not fast
// -------------------------------------------------------------------------------------------------

/// One more reference; the caller has one.
HEDDLE_EXPORT void add_slowly(count_header& h) noexcept;
/// One less. It may run destructors, and free the object.
HEDDLE_EXPORT void drop_slowly(count_header& h) noexcept;
/// to gets the word of `from`, which becomes zero.
HEDDLE_EXPORT void move_slowly(count_slot& to, count_slot& from) noexcept;
/// The same, for a place that may have had a reference, which ends.
HEDDLE_EXPORT void move_over_slowly(count_slot& to, count_slot& from) noexcept;
/// to gets the word. The reference that it had ends.
HEDDLE_EXPORT void replace_slowly(count_slot& to, std::uintptr_t word) noexcept;
HEDDLE_EXPORT void exchange_slowly(count_slot& a, count_slot& b) noexcept;

// --- the thread's own words
// -------------------------------------------------------------------------------------------

/// The thread's words while it changes a count. Nothing in such a call may suspend the fiber or call code of the
/// program.
///
/// The thread-local variable heddle_gc_words (gc/src/barrier/words.hpp) has the byte `critical` at 3; at 4 the thread's
/// *base*, the local word of an object of its own that has been noted and has one reference, or 0 while the thread is
/// kept out or not known; and at 8 its shelves. They are read in assembly, so that no compiler keeps their address
/// while the fiber moves to another thread.
#if defined(HEDDLE_GC_PLAIN_BARRIER) || (defined(HEDDLE_MODEL) && HEDDLE_MODEL)
// ThreadSanitizer does not see into assembly; threads of the explorer are all of one kernel thread.
HEDDLE_EXPORT void begin_count() noexcept;
HEDDLE_EXPORT void end_count() noexcept;
HEDDLE_EXPORT std::uint32_t count_base_here() noexcept;
HEDDLE_EXPORT count_shelf* shelves_here() noexcept;

class count_call {
 public:
  count_call() noexcept { begin_count(); }
  std::uint32_t base() const noexcept { return count_base_here(); }
  std::uint32_t minus_base(std::uint32_t w) const noexcept { return w - base(); }
  bool is_out() const noexcept { return base() == 0; }
  count_shelf* shelves() const noexcept { return shelves_here(); }
  void end() const noexcept { end_count(); }
};
#else
class count_call {
 public:
  count_call() noexcept {
    asm("movq heddle_gc_words@gottpoff(%%rip), %0" : "=r"(at_));
    asm volatile("movb $1, %%fs:3(%0)" : : "r"(at_) : "memory");
  }
  std::uint32_t base() const noexcept {
    std::uint32_t b = 0;
    asm volatile("movl %%fs:4(%1), %0" : "=r"(b) : "r"(at_) : "memory");
    return b;
  }
  std::uint32_t minus_base(std::uint32_t w) const noexcept {
    asm volatile("subl %%fs:4(%1), %0" : "+r"(w) : "r"(at_) : "memory", "cc");
    return w;
  }
  bool is_out() const noexcept {
    bool is = false;
    asm volatile("cmpl $0, %%fs:4(%1)" : "=@cce"(is) : "r"(at_) : "memory");
    return is;
  }
  count_shelf* shelves() const noexcept {
    count_shelf* p = nullptr;
    asm volatile("movq %%fs:8(%1), %0" : "=r"(p) : "r"(at_) : "memory");
    return p;
  }
  void end() const noexcept { asm volatile("movb $0, %%fs:3(%0)" : : "r"(at_) : "memory"); }

 private:
  std::uintptr_t at_;  // from the thread pointer: the same for all threads
};
#endif

// --- what is fast
// -----------------------------------------------------------------------------------------------------

/// Inside: one more reference to an object of the thread's. False: it is another's, or the count is full, or the thread
/// is kept out.
inline bool add_here(count_header& h, const count_call& inside) noexcept {
  const std::uint32_t w = h.local.load(std::memory_order_relaxed);
  constexpr std::uint32_t others = local_bits::owner | local_bits::most;
  if ((inside.minus_base(w) & others) != 0) [[unlikely]]
    return false;
  h.local.store(w + local_bits::one, std::memory_order_relaxed);
  return true;
}
/// Inside: one less. False: the same, or it is the last one of the owner's, or the object is to be noted.
inline bool drop_here(count_header& h, const count_call& inside) noexcept {
  const std::uint32_t w = h.local.load(std::memory_order_relaxed) - local_bits::one;
  if (inside.minus_base(w) >= local_bits::most) [[unlikely]]
    return false;
  h.local.store(w, std::memory_order_relaxed);
  return true;
}

inline void add(std::uintptr_t word) noexcept {
  if (word == 0) return;
  count_header& h = *header_in(word);
  const count_call inside;
  const bool done = add_here(h, inside);
  inside.end();
  if (!done) [[unlikely]]
    add_slowly(h);
}
inline void drop(std::uintptr_t word) noexcept {
  if (word == 0) return;
  count_header& h = *header_in(word);
  const count_call inside;
  const bool done = drop_here(h, inside);
  inside.end();
  if (!done) [[unlikely]]
    drop_slowly(h);
}
/// The reference goes from one place to another, whose life begins.
inline void move(count_slot& to, count_slot& from) noexcept {
  if (from.load(std::memory_order_relaxed) == 0) return;
  const count_call inside;
  if (!inside.is_out() || HEDDLE_PLANTED(count_moves_uncounted)) [[likely]] {
    to.store(from.load(std::memory_order_relaxed), std::memory_order_relaxed);
    from.store(0, std::memory_order_relaxed);
    return inside.end();
  }
  inside.end();
  move_slowly(to, from);
}

/// Whether a reference that moves there may close a cycle which nothing else points to, and no count falls by that:
/// then the object is noted. Not if it has been noted, nor if the place is on the stack. (Above a fiber's stack are 64
/// bytes of its record, and above a thread's there is more, so no word of the heap is as near as this.) Nor where a
/// place's life begins: that is in no object which anything points to.
inline bool may_close_cycle(const count_slot& place, std::uintptr_t word) noexcept {
  if (word == 0 || (header_in(word)->local.load(std::memory_order_relaxed) & local_bits::noted) != 0) return false;
  std::uintptr_t stack = 0;
  asm("movq %%rsp, %0" : "=r"(stack));
  return reinterpret_cast<std::uintptr_t>(&place) - stack >= 64;
}
/// The reference goes from one place to another, which may have one that ends.
inline void move_over(count_slot& to, count_slot& from) noexcept {
  const count_call inside;
  const std::uintptr_t word = from.load(std::memory_order_relaxed);
  if (!inside.is_out() && !may_close_cycle(to, word)) [[likely]] {
    const std::uintptr_t old = to.load(std::memory_order_relaxed);
    to.store(word, std::memory_order_relaxed);
    from.store(0, std::memory_order_relaxed);
    const bool done = old == 0 || drop_here(*header_in(old), inside);
    inside.end();
    if (!done) [[unlikely]]
      drop_slowly(*header_in(old));
    return;
  }
  inside.end();
  move_over_slowly(to, from);
}
/// A place gets a reference for the one that it has had.
inline void replace(count_slot& to, std::uintptr_t word) noexcept {
  const count_call inside;
  if (!inside.is_out()) [[likely]] {
    const std::uintptr_t old = to.load(std::memory_order_relaxed);
    to.store(word, std::memory_order_relaxed);
    const bool done = old == 0 || drop_here(*header_in(old), inside);
    inside.end();
    if (!done) [[unlikely]]
      drop_slowly(*header_in(old));
    return;
  }
  inside.end();
  replace_slowly(to, word);
}

/// Two places exchange their references.
inline void exchange(count_slot& a, count_slot& b) noexcept {
  const count_call inside;
  if (!inside.is_out()) [[likely]] {
    const std::uintptr_t of_a = a.load(std::memory_order_relaxed), of_b = b.load(std::memory_order_relaxed);
    if (!may_close_cycle(a, of_b) && !may_close_cycle(b, of_a)) [[likely]] {
      a.store(of_b, std::memory_order_relaxed);
      b.store(of_a, std::memory_order_relaxed);
      return inside.end();
    }
  }
  inside.end();
  exchange_slowly(a, b);
}

}  // namespace heddle::gc::detail
