// SPDX-License-Identifier: BSL-1.0
//
// Elements in a collected array of which only some exist.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

#include "heddle/gc/detail/describe.hpp"

namespace heddle::gc::detail {

/// Ends the life of elements and leaves zeros, so that what they pointed to is not kept by what they were. Words are
/// written as such, since the collector may read them.
template <class T>
void destroy_and_clear(T* first, T* last) noexcept {
  std::destroy(first, last);
  if constexpr (!holds_nothing<T> && alignof(T) % alignof(void*) == 0) {
    auto* const words = reinterpret_cast<void**>(first);
    const std::size_t count = static_cast<std::size_t>(last - first) * sizeof(T) / sizeof(void*);
    for (std::size_t i = 0; i != count; ++i) __atomic_store_n(words + i, nullptr, __ATOMIC_RELAXED);
  }
}

/// Makes elements at `to` out of others, which stay where they are if they can be copied without an exception, or must
/// be kept for the case of one. Throws what a copy throws; then none has been made.
template <class T>
void move_elements(T* first, T* last, T* to) {
  if constexpr (std::is_copy_constructible_v<T> &&
                (std::is_nothrow_copy_constructible_v<T> || !std::is_nothrow_move_constructible_v<T>))
    std::uninitialized_copy(first, last, to);
  else
    std::uninitialized_move(first, last, to);
}

}  // namespace heddle::gc::detail
