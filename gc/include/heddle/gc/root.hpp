// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

#include "heddle/gc/detail/core.hpp"
#include "heddle/gc/layout.hpp"
#include "heddle/gc/ptr.hpp"

namespace heddle::gc {

/// Keeps a collected object from memory that the collector does not scan: from std containers, std::function, memory of
/// malloc, shared memory of other libraries.
///
///     std::map<std::string, gc::root<session>> sessions;
///     sessions["a"] = gc::make<session>();
///
/// It is a word in a list of all roots (32 bytes). A root that never held an object takes no lock and is in no list;
/// the first object puts it there, and its destructor takes it out. The two take 23 ns, so gc::ptr is the better choice
/// where it may be. In a collected object it works, but a cycle through it never dies.
///
/// Copies are roots of their own. Moving leaves null. T may be incomplete, const, void, or an array of unknown bounds.
/// As with gc::ptr, no two threads may use one root at a time unless all of them only read.
///
/// O(1); nothing throws or allocates. From fibers and plain threads.
template <class T>
class root {
 public:
  using element_type = typename ptr<T>::element_type;

  constexpr root() noexcept = default;
  constexpr root(std::nullptr_t) noexcept {}
  root(element_type* p) noexcept { set(erase(p)); }
  template <class U>
  requires std::is_convertible_v < const ptr<U>
  &, ptr < T >> root(const ptr<U>& p) noexcept : root(ptr<T>(p).get()) {}
  root(const root& other) noexcept { set(detail::load(&other.cell_.address)); }
  root(root&& other) noexcept { set(other.take()); }
  ~root() {
    if (!is_listed_) return;
    detail::forget(&cell_.address);
    detail::remove_root(cell_);
  }

  root& operator=(const root& other) noexcept { return set(detail::load(&other.cell_.address)); }
  root& operator=(root&& other) noexcept { return set(other.take()); }
  root& operator=(std::nullptr_t) noexcept { return set(nullptr); }

  /// The address, null if there is none.
  element_type* get() const noexcept { return static_cast<element_type*>(detail::load(&cell_.address)); }
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

  void swap(root& other) noexcept {
    void* const mine = take();
    set(other.take());
    other.set(mine);
  }
  friend void swap(root& a, root& b) noexcept { a.swap(b); }

 private:
  static void* erase(element_type* p) noexcept { return const_cast<void*>(static_cast<const volatile void*>(p)); }
  root& set(void* p) noexcept {
    detail::store<detail::store_root_told>(&cell_.address, p);
    if (p == nullptr || is_listed_) return *this;
    is_listed_ = true;
    detail::add_root(cell_);
    asm volatile("" : : "r"(p));  // until here the caller's stack or a register keeps it
    return *this;
  }
  void* take() noexcept {
    void* const p = detail::load(&cell_.address);
    if (p != nullptr) detail::store<detail::store_root_told>(&cell_.address, nullptr);
    return p;
  }

  detail::root_cell cell_;
  bool is_listed_ = false;  ///< the cell's links belong to the list
};

template <class T, class U>
bool operator==(const root<T>& a, const root<U>& b) noexcept {
  return a.get() == b.get();
}
template <class T, class U>
bool operator==(const root<T>& a, const ptr<U>& b) noexcept {
  return a.get() == b.get();
}
template <class T, class U>
bool operator==(const root<T>& a, U* b) noexcept {
  return a.get() == b;
}
template <class T>
bool operator==(const root<T>& a, std::nullptr_t) noexcept {
  return a.get() == nullptr;
}
/// By address, as std::less has it.
template <class T, class U>
std::strong_ordering operator<=>(const root<T>& a, const root<U>& b) noexcept {
  return std::compare_three_way()(a.get(), b.get());
}

template <class T>
root(T*) -> root<T>;
template <class T>
root(ptr<T>) -> root<T>;

template <class T>
struct trace<root<T>> {
  static constexpr bool noscan = true;  // it is scanned as a root
};

}  // namespace heddle::gc

/// By address.
template <class T>
struct std::hash<heddle::gc::root<T>> {
  std::size_t operator()(const heddle::gc::root<T>& p) const noexcept {
    return std::hash<const volatile void*>()(p.get());
  }
};
