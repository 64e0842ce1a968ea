// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <limits>
#include <new>
#include <type_traits>

#include "heddle/alloc.hpp"

namespace heddle::alloc {

/// heddle's allocator for the containers of std, by type: nothing is stored, and no call is virtual.
///
///     std::vector<order, heddle::alloc::allocator<order>> orders;
///     std::map<int, text, std::less<>, heddle::alloc::allocator<std::pair<const int, text>>> texts;
///
/// All of them are equal. Types aligned to more than 16 bytes get what they need. Throws std::bad_alloc, and
/// std::bad_array_new_length for a number of objects that no memory can hold. O(1). From any thread and from fibers.
template <class T>
class allocator {
 public:
  using value_type = T;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using propagate_on_container_move_assignment = std::true_type;
  using is_always_equal = std::true_type;

  /// As std::allocation_result of C++23.
  struct result {
    T* ptr;
    std::size_t count;
  };

  constexpr allocator() noexcept = default;
  template <class U>
  constexpr allocator(const allocator<U>&) noexcept {}

  /// Room for n objects.
  [[nodiscard]] T* allocate(std::size_t n) {
    if (n > std::numeric_limits<std::ptrdiff_t>::max() / sizeof(T)) [[unlikely]]
      throw std::bad_array_new_length();
    if constexpr (alignof(T) <= 16)
      return static_cast<T*>(alloc::allocate(n * sizeof(T)));
    else
      return static_cast<T*>(alloc::allocate(n * sizeof(T), std::align_val_t{alignof(T)}));
  }
  /// Room for n objects or more, as many as the block holds: for who grows by steps. deallocate() takes either number.
  [[nodiscard]] result allocate_at_least(std::size_t n) {
    T* const p = allocate(n);
    return {p, alloc::usable_size(p) / sizeof(T)};
  }
  /// n as it was asked for, or as allocate_at_least() has told; another number ends the process where it is seen.
  void deallocate(T* p, std::size_t n) noexcept {
    if constexpr (alignof(T) <= 16)
      alloc::deallocate(p, n * sizeof(T));
    else
      alloc::deallocate(p, n * sizeof(T), std::align_val_t{alignof(T)});
  }

  template <class U>
  friend constexpr bool operator==(const allocator&, const allocator<U>&) noexcept {
    return true;
  }
};

}  // namespace heddle::alloc
