// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <type_traits>

#include "heddle/gc/detail/core.hpp"
#include "heddle/gc/layout.hpp"
#include "heddle/gc/ptr.hpp"

namespace heddle::gc {

/// Refers to a collected object without keeping it.
///
///     gc::weak<session> last(current);
///     if (gc::ptr<session> s = last.lock()) s->touch();
///
/// It gives back the very address that it was made from, if that is inside of an object: a member, an element however
/// far from the start. It keeps the address in a small collected object of its own, its cell, which copies share; so it
/// may be where a gc::ptr may be (see there), and for a std container the program keeps an object with a gc::weak in it
/// by a root.
///
/// Unlike std::weak_ptr, it may be made from any pointer into an object; that nothing points to the object any more
/// shows when the collector has found out, not at once. Before its destructor runs, lock() gives null already, and one
/// that is made from the object while its destructor runs refers to nothing: nobody brings an object back to life.
///
/// As with gc::ptr, no two threads may use one weak at a time unless all only read. Different ones may refer to one
/// object. O(1). From fibers and plain threads.
template <class T>
class weak {
 public:
  using element_type = typename ptr<T>::element_type;

  /// Refers to nothing.
  constexpr weak() noexcept = default;
  constexpr weak(std::nullptr_t) noexcept {}
  /// p: null, or into a collected object. Throws std::bad_alloc.
  weak(element_type* p)
      : cell_(p == nullptr ? nullptr
                           : detail::make_weak(const_cast<const void*>(static_cast<const volatile void*>(p)))) {}
  template <class U>
  requires std::is_convertible_v < const ptr<U>
  &, ptr < T >> weak(const ptr<U>& p) : weak(ptr<T>(p).get()) {}
  /// From one to a derived class: a cell of its own, since the address may be another.
  template <class U>
  requires(!std::is_same_v<T, U> && std::is_convertible_v<const ptr<U>&, ptr<T>>) weak(const weak<U>& other)
      : weak(other.lock()) {}

  /// The object, if it lives: it is kept while the result is on a stack or stored.
  [[nodiscard]] ptr<T> lock() const noexcept {
    detail::weak_cell* const cell = cell_.get();
    return cell == nullptr ? nullptr : static_cast<element_type*>(detail::lock(*cell));
  }
  /// It refers to nothing, or the object has died. That false is true for long is known only of an object that is kept.
  [[nodiscard]] bool expired() const noexcept { return lock() == nullptr; }
  /// Refers to nothing from now on.
  void reset() noexcept { cell_ = nullptr; }

  void swap(weak& other) noexcept { cell_.swap(other.cell_); }
  friend void swap(weak& a, weak& b) noexcept { a.swap(b); }
  /// Whether one is a copy of the other, or both refer to nothing. It stays as it is when the object dies. Two that
  /// were made from the same object differ.
  friend bool operator==(const weak& a, const weak& b) noexcept { return a.cell_ == b.cell_; }

 private:
  friend struct std::hash<weak<T>>;

  ptr<detail::weak_cell> cell_;
};

template <class T>
weak(T*) -> weak<T>;
template <class T>
weak(ptr<T>) -> weak<T>;

template <class T>
struct trace<weak<T>> {
  using laid_out_as = detail::types<ptr<void>>;
  static constexpr bool silent = true;
};

}  // namespace heddle::gc

/// Equal for copies; stays as it is when the object dies.
template <class T>
struct std::hash<heddle::gc::weak<T>> {
  std::size_t operator()(const heddle::gc::weak<T>& w) const noexcept {
    return std::hash<const volatile void*>()(w.cell_.get());
  }
};
