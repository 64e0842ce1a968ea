// SPDX-License-Identifier: BSL-1.0
//
// The write barrier: a store of an address into an object tells the collector, while it marks, of the old and of the
// new value.
//
// A thread tests a byte of its own and then stores, with nothing around the two. The collector sets the bytes of all
// threads and executes a heavy barrier before it looks at anything. A thread may have read "not armed" just before, and
// store long afterwards. What becomes of the two values then?
//
// The old one is found, in a program without data races: a thread that has read it out of the slot did so before this
// thread's test, so before the collector looked at its stack. Slots that threads change at the same time are
// gc::atomic's, whose functions exclude the collector meanwhile.
//
// The new one need not be: the collector may have gone through the slot, a global say, before the store, and the thread
// forgets the address before the collector looks at its stack. So it tests once more after the store. If it is not
// armed by then, the store came before the heavy barrier, and the collector sees it in the slot. A thread that is armed
// at the first test stores inside a function of the collector: no cycle ends or begins between what it tells of and the
// store.
//
// Where cycles are young ones (HEDDLE_GC=mode=generational), a store also writes a byte for the piece of memory that
// the slot lies in, its card: old objects are looked at again only where cards are written. The collector takes the
// written cards, so that they are clean, and executes the heavy barrier before it looks at the slots. A thread that has
// found its card written, and leaves it, has stored before the heavy barrier, and the collector sees the slot. One that
// finds it clean writes it for the next cycle; and for this one, which looks at cards that are written meanwhile,
// unless the second test finds the thread armed, and tells of the value.
//
// Source: the hybrid barrier of Go 1.8 (A. Clements, R. Hudson, proposal 17503).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "heddle/detail/config.hpp"
#include "heddle/detail/platform.hpp"

#if defined(__SANITIZE_THREAD__)
#define HEDDLE_GC_PLAIN_BARRIER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HEDDLE_GC_PLAIN_BARRIER 1
#endif
#endif

namespace heddle::gc::detail {

/// Not 0: something has been stored into that piece of memory since the collector looked at it.
using card = heddle::detail::atomic<std::uint8_t>;
inline constexpr std::uint8_t stored_into = 1;
inline constexpr unsigned card_shift = 11;
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
inline constexpr std::size_t card_count = std::size_t{1} << 8;
#else
inline constexpr std::size_t card_count = std::size_t{1} << 24;  // 32 GiB of addresses until they repeat
#endif
constexpr std::size_t card_of(std::uintptr_t p) noexcept { return p >> card_shift & (card_count - 1); }

}  // namespace heddle::gc::detail

/// The cards; null: none has ever been needed. From when a thread is told to write them it is not null.
extern "C" HEDDLE_EXPORT constinit std::atomic<heddle::gc::detail::card*> heddle_gc_cards;

namespace heddle::gc::detail {

/// Writes the card of a slot, unless it is written already: threads that store into the same objects do not take its
/// line of the processor's cache from each other. relaxed, both: see above.
inline void note_store(void** slot) noexcept {
  card* const cards = heddle_gc_cards.load(std::memory_order_relaxed);
  if (cards == nullptr || HEDDLE_PLANTED(gc_card_not_written)) return;
  card& c = cards[card_of(reinterpret_cast<std::uintptr_t>(slot))];
  if (c.load(std::memory_order_relaxed) == 0) c.store(stored_into, std::memory_order_relaxed);
}

/// Tells the collector of p, which may be null, a value that has been stored, if it scans stacks. Makes the calling
/// thread known to it.
HEDDLE_EXPORT void shade(const void* p) noexcept;
/// store(), store_first() and forget() call these in an armed thread.
HEDDLE_EXPORT void store_told(void** slot, void* value) noexcept;
HEDDLE_EXPORT void store_first_told(void** slot, void* value) noexcept;
HEDDLE_EXPORT void forget_told(void** slot) noexcept;
/// As store_told(), of a gc::root: its slot may lie anywhere.
HEDDLE_EXPORT void store_root_told(void** slot, void* value) noexcept;

/// Whether stores must be told of: the collector marks, or does not know the thread yet. Reads the first byte of the
/// thread-local variable heddle_gc_words (gc/src/barrier/words.hpp). In assembly, so that no compiler keeps the byte's
/// address while the fiber moves to another thread.
#if defined(HEDDLE_MODEL) && HEDDLE_MODEL  // whose threads are all of one kernel thread
bool armed() noexcept;
bool armed_or_noting() noexcept;
bool inserts() noexcept;
bool inserts_or_noting() noexcept;
#else
inline bool armed() noexcept {
#if defined(HEDDLE_GC_PLAIN_BARRIER)
  return true;  // shade() looks: ThreadSanitizer does not see into assembly
#else
  bool is = false;
  std::uintptr_t at = 0;
  asm volatile(
      "movq heddle_gc_words@gottpoff(%%rip), %1\n\t"
      "cmpb $0, %%fs:(%1)"
      : "=@ccne"(is), "=&r"(at)
      :
      : "memory");
  return is;
#endif
}
/// The same, or the thread writes cards. The first two bytes.
inline bool armed_or_noting() noexcept {
#if defined(HEDDLE_GC_PLAIN_BARRIER)
  return true;
#else
  bool is = false;
  std::uintptr_t at = 0;
  asm volatile(
      "movq heddle_gc_words@gottpoff(%%rip), %1\n\t"
      "cmpw $0, %%fs:(%1)"
      : "=@ccne"(is), "=&r"(at)
      :
      : "memory");
  return is;
#endif
}
/// The same for values that are stored where nothing has been: only while stacks are being scanned, or by a thread that
/// the collector does not know. The third byte.
inline bool inserts() noexcept {
#if defined(HEDDLE_GC_PLAIN_BARRIER)
  return true;
#else
  bool is = false;
  std::uintptr_t at = 0;
  asm volatile(
      "movq heddle_gc_words@gottpoff(%%rip), %1\n\t"
      "cmpb $0, %%fs:2(%1)"
      : "=@ccne"(is), "=&r"(at)
      :
      : "memory");
  return is;
#endif
}
/// The same, or the thread writes cards. The second byte and the third.
inline bool inserts_or_noting() noexcept {
#if defined(HEDDLE_GC_PLAIN_BARRIER)
  return true;
#else
  bool is = false;
  std::uintptr_t at = 0;
  asm volatile(
      "movq heddle_gc_words@gottpoff(%%rip), %1\n\t"
      "cmpw $0, %%fs:1(%1)"
      : "=@ccne"(is), "=&r"(at)
      :
      : "memory");
  return is;
#endif
}
#endif

/// Stores into a slot that has a value. release: so that an object's contents are seen with its address; acquire half
/// in load().
template <void (*Told)(void**, void*) noexcept = store_told>
inline void store(void** slot, void* value) noexcept {
  if (armed()) [[unlikely]]
    return Told(slot, value);
  __atomic_store_n(slot, value, __ATOMIC_RELEASE);
  if (armed_or_noting()) [[unlikely]] {
    note_store(slot);
    if (armed() && !HEDDLE_PLANTED(gc_tests_before_only)) shade(value);
  }
}
/// Stores into a slot that has no value yet: it is not read. So it is enough to test once, afterwards: until then the
/// value is on the thread's stack.
inline void store_first(void** slot, void* value) noexcept {
  __atomic_store_n(slot, value, __ATOMIC_RELEASE);
  if (value != nullptr && inserts_or_noting()) [[unlikely]] {
    note_store(slot);
    if (inserts()) store_first_told(slot, value);
  }
}
/// A slot's life ends. It keeps its bits.
inline void forget(void** slot) noexcept {
  if (armed()) [[unlikely]]
    forget_told(slot);
}
/// acquire: see store(). On this processor a plain load.
inline void* load(void* const* slot) noexcept { return __atomic_load_n(slot, __ATOMIC_ACQUIRE); }

}  // namespace heddle::gc::detail
