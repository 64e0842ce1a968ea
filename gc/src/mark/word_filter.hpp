// SPDX-License-Identifier: BSL-1.0
//
// Most words of a stack or of globals are no addresses of the heap: they are told apart many at a time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle::gc::detail {

/// So many words are looked at in one call at most.
inline constexpr std::size_t filtered_at_once = 64;

/// Of the `count` words at `from`, aligned to 8, writes those that lie in [least, least + extent) to `to`, in their
/// order, and returns how many. Others may change the words meanwhile: each is read once, as a whole. `to` has room for
/// `count`, which is at most filtered_at_once.
using word_filter = std::size_t (*)(const char* from, std::size_t count, std::uintptr_t least, std::uintptr_t extent,
                                    std::uintptr_t* to) noexcept;

/// The one that suits the processor: eight words at a time with AVX-512, four with AVX2, or one.
word_filter best_word_filter() noexcept;
/// Each that the processor can execute, the best first; returns how many there are. For tests.
std::size_t word_filters(word_filter (&all)[3]) noexcept;

}  // namespace heddle::gc::detail
