// SPDX-License-Identifier: BSL-1.0
//
// What a program has done to its memory that cannot be right: said on stderr, and then the process ends by abort().
// Called without locks, but in few places: a handler of SIGABRT may want memory.
#pragma once

#include <cstddef>

#include "span.hpp"

namespace heddle::detail {

/// `what` was asked for p, and no block begins there. `s`: the span in whose pages it lies, or the record of all pages
/// that are in none; null if it is outside of the heap. `why`: if more is known.
[[noreturn, gnu::cold]] void misuse(const char* what, const void* p, const span* s, const char* why = nullptr) noexcept;
/// The same where a block outside of spans is the one that is meant; or null, 0.
[[noreturn, gnu::cold]] void misuse_outside(const char* what, const void* p, const char* why, const void* block,
                                            std::size_t size) noexcept;
/// A block of `known` bytes is given back as one of another size. `s`: its span, null if it has none.
[[noreturn, gnu::cold]] void wrong_size(const void* p, std::size_t size, std::size_t known, const span* s) noexcept;
/// A block is given back with an alignment that it does not have; or, if `known` is not 0, was not asked for with.
[[noreturn, gnu::cold]] void wrong_alignment(const void* p, std::size_t alignment, std::size_t known = 0) noexcept;
/// Something was found about the block at p.
[[noreturn, gnu::cold]] void damaged(const char* found, const void* p, const span* s) noexcept;
/// The link in a free block leads nowhere.
[[noreturn, gnu::cold]] void broken_link(const void* block, const span& s) noexcept;
/// In the block of `size` bytes at p, or behind it, the byte at `at` was written.
[[noreturn, gnu::cold]] void written(const char* found, const void* p, std::size_t size, const void* at,
                                     const span* s) noexcept;

}  // namespace heddle::detail
