// SPDX-License-Identifier: BSL-1.0
//
// What the options hardened, zero and junk add to every call.
#pragma once

#include <cstddef>

#include "options.hpp"

namespace heddle::detail::extras {

/// Whether calls go through here. Also while nobody has read the options yet: then the first call does.
inline bool wanted() noexcept { return the_extras() != call_extras::none; }

void* allocate(std::size_t alignment, std::size_t size) noexcept;
void* allocate_zeroed(std::size_t size) noexcept;
/// p is not null.
void* reallocate(void* p, std::size_t size) noexcept;
std::size_t usable_size(const void* p) noexcept;
void deallocate(void* p) noexcept;
/// p is not null. `alignment`, `size`: those with which it was made, as the caller says; 0 if he does not.
void deallocate_sized(void* p, std::size_t alignment, std::size_t size) noexcept;
void deallocate_within(void* p, std::size_t size) noexcept;

}  // namespace heddle::detail::extras
