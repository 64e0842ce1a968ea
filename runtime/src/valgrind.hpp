// SPDX-License-Identifier: BSL-1.0
//
// Facts that Valgrind has to be told, and limits of it to be kept.
#pragma once

#include <sys/mman.h>

#include <cstddef>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(at, bytes) static_cast<void>(0)
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id) (void)(id)
#define RUNNING_ON_VALGRIND 0
#endif

namespace heddle::detail {

/// So many fiber stacks have guards. Valgrind has room for 30,000 mappings and ends the program at the next one; a
/// guard makes two. Guards may not be markers either: 3.27 ends the program at the 501st.
inline constexpr std::size_t most_guards_under_valgrind = 8192;

inline bool under_valgrind() noexcept { return RUNNING_ON_VALGRIND != 0; }

/// Bytes that follow the mapping for stacks: under Valgrind a page that nobody may touch, else nothing. Valgrind takes
/// for the stack of a thread all memory that can be written below it without a gap. Since glibc 2.42 a thread's guard
/// page makes no gap, so the thread above our stacks would have them as well. Then Valgrind sees no switch between the
/// thread and a fiber, and takes the memory between them for frames that are new or gone. It also takes a signal
/// handler's stack for that of the thread.
inline std::size_t gap_above_stacks() noexcept { return under_valgrind() ? 4096 : 0; }

/// Makes the gap above `bytes` that were mapped along with it: from the next page on.
inline void close_gap_above(void* at, std::size_t bytes) noexcept {
  if (under_valgrind()) ::mprotect(static_cast<char*>(at) + (bytes + 4095) / 4096 * 4096, 4096, PROT_NONE);
}

}  // namespace heddle::detail
