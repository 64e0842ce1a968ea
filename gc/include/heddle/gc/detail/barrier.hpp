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
// Source: the hybrid barrier of Go 1.8 (A. Clements, R. Hudson, proposal 17503).
#pragma once

#include <atomic>
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
bool inserts() noexcept;
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
#endif

/// Stores into a slot that has a value. release: so that an object's contents are seen with its address; acquire half
/// in load().
template <void (*Told)(void**, void*) noexcept = store_told>
inline void store(void** slot, void* value) noexcept {
  if (armed()) [[unlikely]]
    return Told(slot, value);
  __atomic_store_n(slot, value, __ATOMIC_RELEASE);
  if (armed() && !HEDDLE_PLANTED(gc_tests_before_only)) [[unlikely]]
    shade(value);
}
/// Stores into a slot that has no value yet: it is not read. So it is enough to test once, afterwards: until then the
/// value is on the thread's stack.
inline void store_first(void** slot, void* value) noexcept {
  __atomic_store_n(slot, value, __ATOMIC_RELEASE);
  if (value != nullptr && inserts()) [[unlikely]]
    store_first_told(slot, value);
}
/// A slot's life ends. It keeps its bits.
inline void forget(void** slot) noexcept {
  if (armed()) [[unlikely]]
    forget_told(slot);
}
/// acquire: see store(). On this processor a plain load.
inline void* load(void* const* slot) noexcept { return __atomic_load_n(slot, __ATOMIC_ACQUIRE); }

}  // namespace heddle::gc::detail
