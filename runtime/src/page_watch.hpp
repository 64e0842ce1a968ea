// SPDX-License-Identifier: BSL-1.0
//
// Which pages of stacks have been written since a collector has protected them: the kernel says it, and no thread is
// held up but by a page fault of a microsecond at the first write to a page.
//
// 1. The kernel errs to one side only: a page that is not protected, for whatever reason, counts as written. A watch
//    that ends, a mapping that is made anew and a page that was given back are such reasons.
// 2. A page that was written must not be protected again before all has been read that somebody believes unchanged.
//
// By one thread at a time, the collector's.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle::detail::page_watch {

/// Whether there is such a watch: userfaultfd with asynchronous protection and PAGEMAP_SCAN (Linux 6.7), both of which
/// a sandbox may refuse. Not under Valgrind; nor with AddressSanitizer, which keeps variables outside of stacks. The
/// first call takes two descriptors, which stay open.
bool begin() noexcept;
/// Another number after a fork: what was watched before is not any more. Never 0.
std::uint32_t era() noexcept;
/// From now on [at, at + bytes), whole pages, may be protected. False: the kernel refuses.
bool watch(char* at, std::size_t bytes) noexcept;
/// From now on these watched pages count as unwritten until they are written. May fail silently: see 1.
void protect(const char* at, std::size_t bytes) noexcept;
/// Calls f(argument, from, to) for all pages between that have memory and have been written. False: nothing is known,
/// and nobody is watched any more.
bool for_each_written(const char* at, std::size_t bytes, void (*f)(void* argument, const char* from, const char* to),
                      void* argument) noexcept;
/// In a child: it has no watch, and the descriptors are the parent's.
void forget() noexcept;

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
/// For the explorer, before a store to p: as the kernel does it, which is told by the page fault.
void note_write(const void* p) noexcept;
#endif

}  // namespace heddle::detail::page_watch
