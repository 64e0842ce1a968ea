// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include "heddle/gc/counted.hpp"

namespace heddle::gc {

namespace detail {

/// A cell that all weak references to one object share: a counted object.
struct weak_count_cell;
/// The cell of an object that the caller has a reference to; the result has a reference to the cell. Throws
/// std::bad_alloc.
HEDDLE_EXPORT counted<weak_count_cell> cell_of(count_header& h);
/// The object with one more reference; null: it has died.
HEDDLE_EXPORT count_header* lock(weak_count_cell& c) noexcept;
HEDDLE_EXPORT bool has_died(const weak_count_cell& c) noexcept;

}  // namespace detail

/// A reference to a counted object that does not keep it.
///
///     gc::counted_weak<node> parent = p;               // p: gc::counted<node>
///     if (gc::counted<node> q = parent.lock()) use(*q);    // it lives, and is kept by q
///
/// Like std::weak_ptr, but the memory of a dead object is free although there are weak references: those to one object
/// share a small cell, made with the first one. An object that a search for cycles has found dead gives null from then
/// on, before its destructor runs.
///
/// As with gc::counted, no two threads may use one counted_weak at a time unless all only read. Different ones may
/// refer to one object. O(1), under a lock that others of the same object share. From fibers and plain threads.
template <class T>
class counted_weak {
 public:
  using element_type = typename counted<T>::element_type;

  /// Refers to nothing.
  constexpr counted_weak() noexcept = default;
  constexpr counted_weak(std::nullptr_t) noexcept {}
  /// Throws std::bad_alloc.
  template <class U>
  requires(std::is_convertible_v<typename counted<U>::element_type*, element_type*>) counted_weak(const counted<U>& p) {
    const counted<T> as_mine = p;
    word_ = detail::count_access::word(as_mine);
    if (word_ != 0) cell_ = detail::cell_of(*detail::header_in(word_));
  }
  template <class U>
  requires(!std::is_same_v<T, U> && std::is_convertible_v<typename counted<U>::element_type*, element_type*>)
      counted_weak(const counted_weak<U>& other)
      : counted_weak(other.lock()) {}
  counted_weak(const counted_weak&) noexcept = default;
  counted_weak(counted_weak&& other) noexcept : cell_(std::move(other.cell_)), word_(std::exchange(other.word_, 0)) {}
  counted_weak& operator=(const counted_weak&) noexcept = default;
  counted_weak& operator=(counted_weak&& other) noexcept {
    if (this != &other) counted_weak(std::move(other)).swap(*this);
    return *this;
  }

  /// The object, if it lives.
  [[nodiscard]] counted<T> lock() const noexcept {
    if (cell_ == nullptr || detail::lock(*cell_) == nullptr) return {};
    return detail::count_access::adopt<T>(word_);
  }
  /// It refers to nothing, or the object has died. False may be out of date at once.
  [[nodiscard]] bool expired() const noexcept { return cell_ == nullptr || detail::has_died(*cell_); }
  /// Refers to nothing from now on.
  void reset() noexcept { *this = counted_weak(); }

  void swap(counted_weak& other) noexcept {
    cell_.swap(other.cell_);
    std::swap(word_, other.word_);
  }
  friend void swap(counted_weak& a, counted_weak& b) noexcept { a.swap(b); }
  /// Whether both refer to the same address in the same object, or to nothing. It stays as it is when the object dies.
  friend bool operator==(const counted_weak& a, const counted_weak& b) noexcept {
    return a.cell_ == b.cell_ && a.word_ == b.word_;
  }

 private:
  counted<detail::weak_count_cell> cell_;
  std::uintptr_t word_ = 0;  // of the object: nothing is read there before it has been locked
};

template <class T>
counted_weak(counted<T>) -> counted_weak<T>;

template <class T>
struct trace<counted_weak<T>> {
  static constexpr bool noscan = true;  // its cell leads nowhere
};

}  // namespace heddle::gc
