// SPDX-License-Identifier: BSL-1.0
//
// A program and heddle must be built alike where that changes what both see: the sanitizer, which must know of stacks
// and locks on both sides, and lock ranks, which change the layout of locks. So each program refers to two symbols with
// names that say how it was compiled, and heddle defines those that say how heddle was. If these differ, the program
// does not link, and the linker names what is missing:
//
//     undefined reference to `heddle_built_with_HEDDLE_SANITIZE_address'
//
// It means: this program was compiled with -fsanitize=address, but heddle was built without HEDDLE_SANITIZE=address.
// One pointer each in a program, whatever the number of its sources.
#pragma once

#if defined(__has_feature)
#define HEDDLE_HAS_FEATURE(x) __has_feature(x)
#else
#define HEDDLE_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || HEDDLE_HAS_FEATURE(address_sanitizer)
#define HEDDLE_BUILT_WITH_SANITIZER heddle_built_with_HEDDLE_SANITIZE_address
#elif defined(__SANITIZE_THREAD__) || HEDDLE_HAS_FEATURE(thread_sanitizer)
#define HEDDLE_BUILT_WITH_SANITIZER heddle_built_with_HEDDLE_SANITIZE_thread
#else
#define HEDDLE_BUILT_WITH_SANITIZER heddle_built_with_HEDDLE_SANITIZE_none
#endif
#undef HEDDLE_HAS_FEATURE

#if defined(HEDDLE_LOCK_RANKS) && HEDDLE_LOCK_RANKS
#define HEDDLE_BUILT_WITH_LOCK_RANKS heddle_built_with_HEDDLE_LOCK_RANKS_1
#else
#define HEDDLE_BUILT_WITH_LOCK_RANKS heddle_built_with_HEDDLE_LOCK_RANKS_0
#endif

extern "C" {
extern const char HEDDLE_BUILT_WITH_SANITIZER __attribute__((visibility("default")));
extern const char HEDDLE_BUILT_WITH_LOCK_RANKS __attribute__((visibility("default")));
}

namespace heddle::detail {
// `used`: nothing reads them, and the reference must be there all the same.
[[gnu::used]] inline const char* const same_sanitizer = &HEDDLE_BUILT_WITH_SANITIZER;
[[gnu::used]] inline const char* const same_lock_ranks = &HEDDLE_BUILT_WITH_LOCK_RANKS;
}  // namespace heddle::detail
