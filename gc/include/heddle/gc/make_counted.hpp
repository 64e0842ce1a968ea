// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "heddle/gc/counted.hpp"
#include "heddle/gc/counted_weak.hpp"
#include "heddle/gc/detail/count_types.hpp"
#include "heddle/gc/make.hpp"

namespace heddle::gc {

/// Makes a counted object from the arguments, as `new T(arguments)` would, or `new T{arguments}` for an aggregate.
///
///     struct node { gc::counted<node> next; std::string name; };
///     auto n = gc::make_counted<node>(nullptr, "first");
///
/// Throws std::bad_alloc, and what the constructor throws; std::invalid_argument if T's trace() declares a gc::ptr. T:
/// not const, aligned to at most 16, at most 1 GiB. O(1).
/// From fibers and plain threads; not from signal handlers.
template <class T, class... Args>
requires(!std::is_array_v<T>) counted<T> make_counted(Args&&... args) {
  detail::count_handle& type = detail::count_handle_of<T>();
  const detail::count_memory m = detail::allocate_counted<T>(type);
  if constexpr (std::is_nothrow_constructible_v<T, Args...>) {
    detail::construct<T>(m.at, std::forward<Args>(args)...);
  } else {
    detail::count_guard guard(m.at);
    detail::construct<T>(m.at, std::forward<Args>(args)...);
    guard.release();
  }
  return detail::count_access::adopt<T>(detail::publish<T>(m, type.description->of.slot_count != 0));
}

/// Makes an array of n elements in a row, each value-initialised; n may be 0. As with std::shared_ptr<T[]>, the pointer
/// does not know how many there are. When the last pointer to the array, or to an element of it, is gone, the elements
/// are destroyed, the last one first.
///
///     auto squares = gc::make_counted<long[]>(100);
///     for (int i = 0; i < 100; ++i) squares[i] = i * i;
///
/// Throws std::bad_alloc (std::bad_array_new_length: more than 2^40 bytes), and what a constructor throws, after the
/// elements made so far have been destroyed. O(n).
template <class T>
requires std::is_unbounded_array_v<T> counted<T> make_counted(std::size_t n) {
  using element = std::remove_extent_t<T>;
  if (n > detail::largest_array / sizeof(element)) throw std::bad_array_new_length();
  detail::count_handle& type = detail::count_handle_of<element>();
  const detail::count_memory m = detail::make_elements(type, n);
  detail::count_guard guard(m.at);
  std::uninitialized_value_construct_n(static_cast<element*>(m.at), n);
  guard.release();
  return detail::count_access::adopt<T>(detail::publish<element>(m, type.description->of.slot_count != 0));
}
/// Each a copy of `value`.
template <class T>
requires std::is_unbounded_array_v<T> counted<T> make_counted(std::size_t n, const std::remove_extent_t<T>& value) {
  using element = std::remove_extent_t<T>;
  if (n > detail::largest_array / sizeof(element)) throw std::bad_array_new_length();
  detail::count_handle& type = detail::count_handle_of<element>();
  const detail::count_memory m = detail::make_elements(type, n);
  detail::count_guard guard(m.at);
  std::uninitialized_fill_n(static_cast<element*>(m.at), n, value);
  guard.release();
  return detail::count_access::adopt<T>(detail::publish<element>(m, type.description->of.slot_count != 0));
}

namespace detail {

// As in construct().
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
template <class T, class F>
class finished {
 public:
  template <class... Args>
  explicit finished(F f, Args&&... args) : f_(std::move(f)), value_(make(std::forward<Args>(args)...)) {}
  finished(const finished&) = delete;
  finished& operator=(const finished&) = delete;
  ~finished() { f_(value_); }

  T& value() noexcept { return value_; }
  static void trace(layout<finished>& l) { l(&finished::value_, &finished::f_); }

 private:
  template <class... Args>
  static T make(Args&&... args) {
    if constexpr (std::is_constructible_v<T, Args...>) {
      return T(std::forward<Args>(args)...);
    } else {
      return T{std::forward<Args>(args)...};
    }
  }

  F f_;
  T value_;
};
#pragma GCC diagnostic pop

}  // namespace detail

/// Makes an object for which `finish(T&)` is called when it dies, before its destructor: what a deleter of
/// std::shared_ptr would do beside freeing the memory. `finish` is kept in the object; its call must not throw.
///
///     auto file = gc::make_counted_finished<int>([](int fd) { ::close(fd); }, ::open(path, O_RDONLY));
///
/// Else as make_counted(); what moving F throws, too.
template <class T, class F, class... Args>
requires(!std::is_array_v<T> && std::is_invocable_v<F&, T&>) counted<T> make_counted_finished(F finish,
                                                                                              Args&&... args) {
  auto whole = make_counted<detail::finished<T, F>>(std::move(finish), std::forward<Args>(args)...);
  return counted<T>(whole, &whole->value());
}

/// A base of classes whose objects need counted pointers to themselves, as std::enable_shared_from_this.
///
///     struct session : gc::enable_counted_from_this<session> {
///       void start() { heddle::go([self = counted_from_this()] { self->serve(); }); }
///       void serve();
///     };
///
/// It has no members: the object's counts are found by its address. O(1).
template <class T>
class enable_counted_from_this {
 public:
  /// One more pointer to this object. Throws std::bad_weak_ptr if it has not been made by make_counted(), while it is
  /// being constructed or destroyed, or if it is 64 KiB into the object.
  counted<T> counted_from_this() { return from(static_cast<T*>(this)); }
  counted<const T> counted_from_this() const { return from(static_cast<const T*>(this)); }
  /// A weak one. Throws the same, and std::bad_alloc.
  counted_weak<T> weak_from_this() { return counted_from_this(); }
  counted_weak<const T> weak_from_this() const { return counted_from_this(); }

 protected:
  constexpr enable_counted_from_this() noexcept = default;
  enable_counted_from_this(const enable_counted_from_this&) noexcept = default;
  enable_counted_from_this& operator=(const enable_counted_from_this&) noexcept = default;
  ~enable_counted_from_this() = default;

 private:
  template <class U>
  static counted<U> from(U* p) {
    const detail::count_header* const h = detail::header_around(p);
    if (h == nullptr || !detail::is_alias(*h, p)) throw std::bad_weak_ptr();
    const std::uintptr_t word = detail::word_of(p, h);
    detail::add(word);
    return detail::count_access::adopt<U>(word);
  }
};

}  // namespace heddle::gc
