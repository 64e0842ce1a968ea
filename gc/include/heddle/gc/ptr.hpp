// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

#include "heddle/gc/detail/core.hpp"

namespace heddle::gc {

template <class T>
class root;

/// A pointer to a collected object, or to something inside of one: a member, an element of an array, a base.
///
///     struct node { gc::ptr<node> next; int value = 0; };
///     gc::ptr<node> list;                                   // null
///     for (int i = 0; i < 10; ++i) list = gc::make<node>(list, i);
///     int sum = 0;
///     for (node* n = list; n != nullptr; n = n->next) sum += n->value;
///
/// Members of collected objects are gc::ptr: the collector finds them, and learns of each change while it marks. On a
/// stack, in a parameter or a result a plain `T*` or `T&` keeps an object just as well and costs nothing; a gc::ptr
/// converts to one and back. A `T*` as a member is found too, but changes of it are not told of: it may point only to
/// what something else keeps, or must not change once the object can be reached from others.
///
/// Where it may be: in collected objects, on the stacks of fibers and of threads, in globals and thread-locals. Memory
/// from malloc is not scanned: what std containers and std::function hold is kept by gc::root.
///
/// Unlike std::shared_ptr it counts nothing: cycles are no leaks, a copy costs a few instructions, and the time of an
/// object's end is not known. Moving it leaves null. T may be incomplete, const, void, or an array of unknown bounds
/// (make_array()), for which it has `[]`.
///
/// As with a plain pointer, no two threads may use one gc::ptr at the same time unless all of them only read:
/// gc::atomic<gc::ptr<T>> is for that.
///
/// Complexity: O(1) for all functions; none throws or blocks. From fibers and plain threads.
///
/// Source: the barrier is Go's (see detail/barrier.hpp).
template <class T>
class ptr {
 public:
  using element_type = std::remove_extent_t<T>;

  /// Null. Constant-initialised, so that a global needs no code at the start.
  constexpr ptr() noexcept : slot_(nullptr) {}
  constexpr ptr(std::nullptr_t) noexcept : slot_(nullptr) {}
  /// p: null, or into a collected object. Memory of another kind does no harm, and is not kept.
  ptr(element_type* p) noexcept { detail::store_first(&slot_, erase(p)); }
  ptr(const ptr& other) noexcept { detail::store_first(&slot_, detail::load(&other.slot_)); }
  ptr(ptr&& other) noexcept { detail::store_first(&slot_, other.take()); }
  /// From a pointer to a derived class, or to what is less const.
  template <class U>
  requires(!std::is_same_v<U, T> && std::is_array_v<U> == std::is_array_v<T> && std::is_convertible_v<U*, T*>)
      ptr(const ptr<U>& other)
  noexcept : ptr(static_cast<element_type*>(other.get())) {}
  template <class U>
  requires(std::is_convertible_v<ptr<U>, ptr>) ptr(const root<U>& other)
  noexcept : ptr(ptr<U>(other.get())) {}
  /// An object's slot ends with it. constexpr: so that is_silent() in layout.hpp can tell it from destructors that do
  /// something.
  constexpr ~ptr() {
    if (!std::is_constant_evaluated()) detail::forget(&slot_);
  }

  ptr& operator=(const ptr& other) noexcept { return set(detail::load(&other.slot_)); }
  ptr& operator=(ptr&& other) noexcept { return set(other.take()); }
  ptr& operator=(element_type* p) noexcept { return set(erase(p)); }
  ptr& operator=(std::nullptr_t) noexcept { return set(nullptr); }
  template <class U>
  requires(std::is_convertible_v<ptr<U>, ptr>) ptr& operator=(const root<U>& other) noexcept {
    return *this = ptr(other);
  }

  /// The address; null if there is none. What it points to is kept while the caller has the result on its stack.
  element_type* get() const noexcept { return static_cast<element_type*>(detail::load(&slot_)); }
  operator element_type*() const noexcept { return get(); }
  explicit operator bool() const noexcept { return get() != nullptr; }

  std::add_lvalue_reference_t<element_type> operator*() const noexcept
      requires(!std::is_void_v<T> && !std::is_array_v<T>) {
    return *get();
  }
  element_type* operator->() const noexcept requires(!std::is_array_v<T>) { return get(); }
  /// The i-th element of an array. i is not checked.
  template <class Index>
  requires(std::is_array_v<T>&& std::is_integral_v<Index>) std::add_lvalue_reference_t<element_type>
  operator[](Index i) const noexcept { return get()[i]; }

  void swap(ptr& other) noexcept {
    void* const mine = detail::load(&slot_);
    set(detail::load(&other.slot_));
    other.set(mine);
  }
  friend void swap(ptr& a, ptr& b) noexcept { a.swap(b); }

 private:
  static void* erase(element_type* p) noexcept { return const_cast<void*>(static_cast<const volatile void*>(p)); }
  ptr& set(void* p) noexcept {
    detail::store(&slot_, p);
    return *this;
  }
  /// What it held; null is in it now.
  void* take() noexcept {
    void* const p = detail::load(&slot_);
    if (p != nullptr) detail::store(&slot_, nullptr);
    return p;
  }

  void* slot_;  ///< the address as it is
};

template <class T>
ptr(T*) -> ptr<T>;

template <class T, class U>
bool operator==(const ptr<T>& a, const ptr<U>& b) noexcept {
  return a.get() == b.get();
}
template <class T, class U>
bool operator==(const ptr<T>& a, U* b) noexcept {
  return a.get() == b;
}
template <class T>
bool operator==(const ptr<T>& a, std::nullptr_t) noexcept {
  return a.get() == nullptr;
}
/// By address, as std::less has it.
template <class T, class U>
std::strong_ordering operator<=>(const ptr<T>& a, const ptr<U>& b) noexcept {
  return std::compare_three_way()(a.get(), b.get());
}
template <class T, class U>
std::strong_ordering operator<=>(const ptr<T>& a, U* b) noexcept {
  return std::compare_three_way()(a.get(), b);
}

/// The casts of the language, and those that std has for its pointers. dynamic: null if the object is of another class.
template <class T, class U>
ptr<T> static_pointer_cast(const ptr<U>& p) noexcept {
  return static_cast<T*>(p.get());
}
template <class T, class U>
ptr<T> dynamic_pointer_cast(const ptr<U>& p) noexcept {
  return dynamic_cast<T*>(p.get());
}
template <class T, class U>
ptr<T> const_pointer_cast(const ptr<U>& p) noexcept {
  return const_cast<T*>(p.get());
}
template <class T, class U>
ptr<T> reinterpret_pointer_cast(const ptr<U>& p) noexcept {
  return reinterpret_cast<T*>(p.get());
}

}  // namespace heddle::gc

/// By address. The collector moves nothing, so it stays as it is.
template <class T>
struct std::hash<heddle::gc::ptr<T>> {
  std::size_t operator()(const heddle::gc::ptr<T>& p) const noexcept {
    return std::hash<const volatile void*>()(p.get());
  }
};
