// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "heddle/gc/detail/describe.hpp"
#include "heddle/gc/ptr.hpp"

namespace heddle::gc {

namespace detail {

inline constexpr std::size_t largest_array = std::size_t{1} << 40;  ///< bytes

// An aggregate may be made from fewer values than it has members; the caller of make() needs no warning.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
template <class T, class... Args>
T* construct(void* memory, Args&&... args) {
  if constexpr (std::is_constructible_v<T, Args...>) {
    return ::new (memory) T(std::forward<Args>(args)...);
  } else {
    return ::new (memory) T{std::forward<Args>(args)...};
  }
}
#pragma GCC diagnostic pop

template <class T>
void* allocate_elements(std::size_t n) {
  if (n > largest_array / sizeof(T)) throw std::bad_array_new_length();
  return allocate_array(handle_of<T>(), n);
}

}  // namespace detail

/// Makes a collected object from the arguments, as `new T(arguments)` would, or `new T{arguments}` for an aggregate.
///
///     struct node { gc::ptr<node> next; std::string name; };
///     auto n = gc::make<node>(nullptr, "first");
///
/// It lives while something points to it: see gc::ptr. When it has died, its destructor runs once, on a fiber, if it
/// has to (needs_destructor): some time later, in any order with others, at the end of the program not at all.
///
/// Throws std::bad_alloc if there is no memory even after a full collection, and what the constructor throws: then the
/// destructor never runs, and the memory is garbage. std::invalid_argument if T's trace() declares a gc::counted. T:
/// not const, no array, aligned to at most 16.
///
/// O(1) but for the collector's work that the caller takes over (a fiber may be parked for it). From fibers and plain
/// threads, and from destructors that the collector calls; not from signal handlers.
template <class T, class... Args>
ptr<T> make(Args&&... args) {
  T* const object = detail::construct<T>(detail::allocate(detail::handle_of<T>()), std::forward<Args>(args)...);
  if constexpr (needs_destructor<T>) detail::constructed(object);
  return object;
}

/// Makes n elements in a row, each value-initialised: zero for numbers, null for pointers. n may be 0.
///
///     auto squares = gc::make_array<long>(100);
///     for (int i = 0; i < 100; ++i) squares[i] = i * i;
///
/// The array does not know how many it has, as with std::unique_ptr<T[]>; gc::vector does. An address of any element
/// keeps all of them. Elements whose destructors have to run are destroyed the last one first.
///
/// Throws std::bad_alloc (std::bad_array_new_length: more than 2^40 bytes), and what a constructor throws, after the
/// elements made so far have been destroyed. O(n). Else as make().
template <class T>
ptr<T[]> make_array(std::size_t n) {
  T* const first = static_cast<T*>(detail::allocate_elements<T>(n));
  std::uninitialized_value_construct_n(first, n);
  if constexpr (needs_destructor<T>) detail::constructed(first);
  return first;
}
/// Each a copy of `value`.
template <class T>
ptr<T[]> make_array(std::size_t n, const T& value) {
  T* const first = static_cast<T*>(detail::allocate_elements<T>(n));
  std::uninitialized_fill_n(first, n, value);
  if constexpr (needs_destructor<T>) detail::constructed(first);
  return first;
}
/// Elements that hold no address and are about to be written: with any contents. For buffers.
template <class T>
requires std::is_trivially_default_constructible_v<T> ptr<T[]> make_array_for_overwrite(std::size_t n) {
  return static_cast<T*>(detail::allocate_elements<T>(n));
}

}  // namespace heddle::gc
