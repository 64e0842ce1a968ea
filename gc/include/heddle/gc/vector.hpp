// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "heddle/gc/detail/elements.hpp"
#include "heddle/gc/layout.hpp"
#include "heddle/gc/make.hpp"
#include "heddle/gc/ptr.hpp"

namespace heddle::gc {

/// std::vector whose elements are in memory of the collector: so they may be gc::ptr, and hold such.
///
///     struct document { gc::vector<gc::ptr<document>> children; };
///     auto d = gc::make<document>();
///     d->children.push_back(gc::make<document>());
///
/// It may be where a gc::ptr may be (see there): in collected objects, on stacks, in globals; not in memory of malloc.
/// Functions that are not described here do what std's do, with its exceptions, guarantees and complexities.
///
/// Unlike std::vector:
/// - iterators are plain pointers, and an element's address keeps all elements. After a growth it points into the old
///   elements, which then are copies, or have been moved from: never into freed memory;
/// - what is erased leaves zeros behind, so that nothing is kept by what was;
/// - T needs no destructor (needs_destructor): a dead vector's elements are not visited. Hold gc::ptr to objects with
/// one.
///
/// In the destructor of an object that the collector has found dead it may be empty: the elements have died, too.
///
/// From fibers and plain threads; of several at a time all must only read.
template <class T>
class vector {
 public:
  using value_type = T;
  using size_type = std::size_t;
  using difference_type = std::ptrdiff_t;
  using reference = T&;
  using const_reference = const T&;
  using pointer = T*;
  using const_pointer = const T*;
  using iterator = T*;
  using const_iterator = const T*;
  using reverse_iterator = std::reverse_iterator<iterator>;
  using const_reverse_iterator = std::reverse_iterator<const_iterator>;

  constexpr vector() noexcept = default;
  explicit vector(size_type n) { resize(n); }
  vector(size_type n, const T& value) { resize(n, value); }
  template <std::input_iterator Iterator>
  vector(Iterator first, Iterator last) {
    append(first, last);
  }
  vector(std::initializer_list<T> values) : vector(values.begin(), values.end()) {}
  vector(const vector& other) : vector(other.begin(), other.end()) {}
  vector(vector&& other) noexcept { swap(other); }
  constexpr ~vector() = default;
  vector& operator=(const vector& other) { return replace(vector(other)); }
  vector& operator=(vector&& other) noexcept { return replace(vector(std::move(other))); }
  vector& operator=(std::initializer_list<T> values) { return replace(vector(values)); }

  iterator begin() noexcept { return data(); }
  iterator end() noexcept { return data() + size(); }
  const_iterator begin() const noexcept { return data(); }
  const_iterator end() const noexcept { return data() + size(); }
  const_iterator cbegin() const noexcept { return begin(); }
  const_iterator cend() const noexcept { return end(); }
  reverse_iterator rbegin() noexcept { return reverse_iterator(end()); }
  reverse_iterator rend() noexcept { return reverse_iterator(begin()); }
  const_reverse_iterator rbegin() const noexcept { return const_reverse_iterator(end()); }
  const_reverse_iterator rend() const noexcept { return const_reverse_iterator(begin()); }

  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  size_type size() const noexcept { return elements_ == nullptr ? 0 : size_; }
  size_type capacity() const noexcept { return capacity_; }
  static constexpr size_type max_size() noexcept { return detail::largest_array / sizeof(T); }

  T* data() noexcept { return elements_.get(); }
  const T* data() const noexcept { return elements_.get(); }
  T& operator[](size_type i) noexcept { return data()[i]; }
  const T& operator[](size_type i) const noexcept { return data()[i]; }
  T& at(size_type i) { return data()[checked(i)]; }
  const T& at(size_type i) const { return data()[checked(i)]; }
  T& front() noexcept { return *begin(); }
  const T& front() const noexcept { return *begin(); }
  T& back() noexcept { return end()[-1]; }
  const T& back() const noexcept { return end()[-1]; }

  void reserve(size_type n) {
    if (n > capacity_) reallocate(n);
  }
  void shrink_to_fit() {
    if (size_ != capacity_) reallocate(size_);
  }
  void resize(size_type n) {
    grow_to(n, [](T* from, T* to) { std::uninitialized_value_construct(from, to); });
  }
  void resize(size_type n, const T& value) {
    grow_to(n, [kept = value](T* from, T* to) { std::uninitialized_fill(from, to, kept); });
  }

  void push_back(const T& value) { emplace_back(value); }
  void push_back(T&& value) { emplace_back(std::move(value)); }
  template <class... Args>
  T& emplace_back(Args&&... args) {
    if (size_ == capacity_) return emplace_back_in_new(std::forward<Args>(args)...);
    T* const made = detail::construct<T>(end(), std::forward<Args>(args)...);
    ++size_;
    return *made;
  }
  iterator insert(const_iterator at, const T& value) { return emplace(at, value); }
  iterator insert(const_iterator at, T&& value) { return emplace(at, std::move(value)); }
  template <class... Args>
  iterator emplace(const_iterator at, Args&&... args) {
    const difference_type index = at - begin();
    emplace_back(std::forward<Args>(args)...);
    std::rotate(begin() + index, end() - 1, end());
    return begin() + index;
  }
  template <std::forward_iterator Iterator>
  iterator insert(const_iterator at, Iterator first, Iterator last) {
    const difference_type index = at - begin();
    const size_type old_size = size_;
    append(first, last);
    std::rotate(begin() + index, begin() + old_size, end());
    return begin() + index;
  }

  void pop_back() noexcept { cut(size_ - 1); }
  void clear() noexcept { cut(0); }
  iterator erase(const_iterator at) { return erase(at, at + 1); }
  iterator erase(const_iterator first, const_iterator last) {
    const iterator from = begin() + (first - begin());
    if (first != last) cut(static_cast<size_type>(std::move(from + (last - first), end(), from) - begin()));
    return from;
  }

  void swap(vector& other) noexcept {
    elements_.swap(other.elements_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }
  friend void swap(vector& a, vector& b) noexcept { a.swap(b); }
  friend bool operator==(const vector& a, const vector& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }
  friend auto operator<=>(const vector& a, const vector& b) requires std::three_way_comparable<T> {
    return std::lexicographical_compare_three_way(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  static ptr<T[]> allocate(size_type n) {
    static_assert(!needs_destructor<T>,
                  "the elements of a gc::vector must need no destructor: hold gc::ptr to objects that have one");
    return static_cast<T*>(detail::allocate_elements<T>(n));
  }
  size_type checked(size_type i) const {
    if (i >= size_) throw std::out_of_range("heddle::gc::vector::at: no such element");
    return i;
  }
  size_type next_capacity() const noexcept { return std::max<size_type>(4, 2 * capacity_); }
  vector& replace(vector with) noexcept {
    swap(with);
    return *this;
  }
  void reallocate(size_type n) {
    const ptr<T[]> larger = allocate(n);
    detail::move_elements(begin(), end(), larger.get());
    elements_ = larger;
    capacity_ = n;
  }
  /// The new element first: it may be made from one of the old ones. What an exception leaves behind is garbage.
  template <class... Args>
  T& emplace_back_in_new(Args&&... args) {
    const size_type n = next_capacity();
    const ptr<T[]> larger = allocate(n);
    T* const made = detail::construct<T>(larger.get() + size_, std::forward<Args>(args)...);
    detail::move_elements(begin(), end(), larger.get());
    elements_ = larger;
    capacity_ = n;
    ++size_;
    return *made;
  }
  template <class Make>
  void grow_to(size_type n, Make make) {
    if (n <= size_) return cut(n);
    if (n > capacity_) reallocate(std::max(n, 2 * capacity_));
    make(end(), begin() + n);
    size_ = n;
  }
  template <class Iterator>
  void append(Iterator first, Iterator last) {
    if constexpr (std::forward_iterator<Iterator>) {
      const auto more = static_cast<size_type>(std::distance(first, last));
      if (more > capacity_ - size_) reserve(std::max(next_capacity(), size_ + more));
    }
    for (; first != last; ++first) emplace_back(*first);
  }
  void cut(size_type n) noexcept {
    detail::destroy_and_clear(begin() + n, end());
    size_ = n;
  }

  ptr<T[]> elements_;
  size_type size_ = 0;
  size_type capacity_ = 0;
};

/// Erases the elements that `matches` holds for, as std::erase_if does: how many they were.
template <class T, class Predicate>
std::size_t erase_if(vector<T>& v, Predicate matches) {
  T* const kept = std::remove_if(v.begin(), v.end(), std::move(matches));
  const auto gone = static_cast<std::size_t>(v.end() - kept);
  v.erase(kept, v.end());
  return gone;
}

template <class T>
struct trace<vector<T>> {
  using laid_out_as = detail::types<ptr<void>, std::size_t, std::size_t>;
  static constexpr bool silent = true;
};

}  // namespace heddle::gc
