// SPDX-License-Identifier: BSL-1.0
//
// The write barrier: a store of an address into an object tells the collector, while it marks, of the old and of the
// new value.
//
// A thread tests a byte of its own and then stores, with nothing around the two. The collector sets the bytes of all
// threads and executes a heavy barrier before it looks at anything. A thread may have read "not armed" just before, and
// store long afterwards. That is harmless in a program without data races: whoever has read the old value out of the
// slot did so before this thread's test, so before the collector looked at its stack; it is found there. Slots that
// threads change at the same time are gc::atomic's, whose functions exclude the collector meanwhile.
//
// Source: the hybrid barrier of Go 1.8 (A. Clements, R. Hudson, proposal 17503).
#pragma once

#include <atomic>
#include <cstdint>

#include "heddle/detail/config.hpp"

#if defined(__SANITIZE_THREAD__)
#define HEDDLE_GC_PLAIN_BARRIER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HEDDLE_GC_PLAIN_BARRIER 1
#endif
#endif

namespace heddle::gc::detail {

/// Tells the collector of p, which may be null, if it marks. Makes the calling thread known to it.
HEDDLE_EXPORT void shade(const void* p) noexcept;
/// The same for two.
HEDDLE_EXPORT void shade(const void* p, const void* q) noexcept;

/// Whether stores must be told of: the collector marks, or does not know the thread yet. Reads the first byte of the
/// thread-local variable heddle_gc_words (gc/src/barrier/words.hpp). In assembly, so that no compiler keeps the byte's
/// address while the fiber moves to another thread.
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

/// Stores into a slot that has a value. release: so that an object's contents are seen with its address; acquire half in
/// load().
inline void store(void** slot, void* value) noexcept {
  if (armed()) [[unlikely]]
    shade(__atomic_load_n(slot, __ATOMIC_RELAXED), value);
  __atomic_store_n(slot, value, __ATOMIC_RELEASE);
}
/// Stores into a slot that has no value yet: it is not read.
inline void store_first(void** slot, void* value) noexcept {
  if (value != nullptr && armed()) [[unlikely]]
    shade(value);
  __atomic_store_n(slot, value, __ATOMIC_RELEASE);
}
/// A slot's life ends. It keeps its bits.
inline void forget(void** slot) noexcept {
  if (armed()) [[unlikely]]
    shade(__atomic_load_n(slot, __ATOMIC_RELAXED));
}
/// acquire: see store(). On this processor a plain load.
inline void* load(void* const* slot) noexcept { return __atomic_load_n(slot, __ATOMIC_ACQUIRE); }

}  // namespace heddle::gc::detail
