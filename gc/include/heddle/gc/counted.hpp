// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "heddle/gc/detail/count_words.hpp"
#include "heddle/gc/layout.hpp"

namespace heddle::gc {

template <class T>
class counted;

namespace detail {

/// Throws std::invalid_argument: p is not in the object, or too far in it.
[[noreturn]] HEDDLE_EXPORT void refuse_alias(const count_header* h, const volatile void* p);
/// Ends the process: a base lies too far in its object.
[[noreturn]] HEDDLE_EXPORT void refuse_base() noexcept;
/// Whether p may be an alias of a pointer to the object.
HEDDLE_EXPORT bool is_alias(const count_header& h, const volatile void* p) noexcept;
HEDDLE_EXPORT long references_to(const count_header& h) noexcept;

/// The access that functions of this module have to a counted.
struct count_access {
  template <class T>
  static std::uintptr_t word(const counted<T>& p) noexcept {
    return p.slot_.load(std::memory_order_relaxed);
  }
  /// A pointer that takes over a reference.
  template <class T>
  static counted<T> adopt(std::uintptr_t word) noexcept {
    return counted<T>(typename counted<T>::adopted{word});
  }
  /// The word left; the pointer is null.
  template <class T>
  static std::uintptr_t release(counted<T>& p) noexcept {
    const std::uintptr_t w = word(p);
    p.slot_.store(0, std::memory_order_relaxed);
    return w;
  }
};

}  // namespace detail

/// A pointer that counts: the object is destroyed and its memory free as soon as the last one is gone. Objects are made
/// by make_counted(), and lie in the collector's heap, but the collector does not look at them.
///
///     struct node { gc::counted<node> next; int value = 0; };
///     gc::counted<node> list;
///     for (int i = 0; i < 10; ++i) list = gc::make_counted<node>(std::move(list), i);
///
/// The thread that has made an object counts it without locked instructions; others use the count that they share. A
/// fiber that has moved to another thread counts as that thread. A reference which another thread drops, and which the
/// maker has counted, waits for the maker: until it makes or destroys a counted object, ends, or 64 such wait. Then
/// they are seen to from outside. Until then the object lives.
///
/// Unlike std::shared_ptr it has the size of a pointer, costs 8 bytes an object, and frees cycles: an object that only
/// objects of its own cycle point to is found when enough candidates have come together, or by collect_cycles(). That
/// needs to know where objects have their pointers: see gc::layout. Types that hide them (private members without
/// trace(), std containers, std::optional) is counted right all the same, but cycles through it are leaks. Long chains
/// are destroyed one object after the other, without recursion.
///
/// Where it may be: anywhere. But a counted object has no gc::ptr as a member, and a collected object no gc::counted:
/// the compiler refuses it where it sees the members, make() by std::invalid_argument where trace() says it. Nor has a
/// counted object what holds a gc::ptr itself: gc::weak, gc::vector and the like; gc::root and gc::counted_weak are
/// allowed. A collected object may have a gc::counted_weak, and a std::unique_ptr to a gc::counted, but no cycle goes
/// through both: that would be a leak. Bases, private members without trace(), and what is in memory of their own are
/// not seen.
///
/// T may be incomplete, const, void, or an array of unknown bounds. No two threads may use one pointer at the same time
/// unless all only read it; different pointers to one object may be used at any time. There are 67,108,863 references
/// at most to one object that threads share; beyond that the process ends.
///
/// O(1) for all functions but the end of the last reference, which is O(objects that die). Destructors run where the
/// last reference ends, and those of one chain one after the other; in the time of a destructor all that has died waits
/// until it is over. From fibers and plain threads, not from signal handlers.
///
/// Source: J. Choi, T. Shull, J. Torrellas, "Biased Reference Counting", PACT 2018.
template <class T>
class counted {
 public:
  using element_type = std::remove_extent_t<T>;

  /// Null. Constant-initialised.
  constexpr counted() noexcept : slot_(0) {}
  constexpr counted(std::nullptr_t) noexcept : slot_(0) {}
  counted(const counted& other) noexcept : counted(copied{other.word()}) {}
  counted(counted&& other) noexcept : slot_(0) { detail::move(slot_, other.slot_); }
  /// From a pointer to a derived class, to const, or to anything for void. A base lies at most 65,527 bytes into its
  /// object; else the process ends.
  template <class U>
  requires(!std::is_same_v<T, U> && std::is_convertible_v<typename counted<U>::element_type*, element_type*>)
      counted(const counted<U>& other)
  noexcept : counted(copied{converted(other.word(), other.get())}) {}
  template <class U>
  requires(!std::is_same_v<T, U> && std::is_convertible_v<typename counted<U>::element_type*, element_type*>)
      counted(counted<U>&& other)
  noexcept : slot_(0) {
    const counted<U> taken(std::move(other));
    slot_.store(converted(taken.word(), taken.get()), std::memory_order_relaxed);
    detail::count_access::release(const_cast<counted<U>&>(taken));
  }
  /// Points to p, which lies in the object of `owner`: a member, an element. It keeps the whole object. p: null, which
  /// gives a null pointer; at most 65,527 bytes into the object. Throws std::invalid_argument if p is elsewhere.
  template <class U>
  counted(const counted<U>& owner, element_type* p) : slot_(0) {
    if (p == nullptr) return;
    const std::uintptr_t w = owner.word();
    if (w == 0 || !detail::is_alias(*detail::header_in(w), p))
      detail::refuse_alias(w == 0 ? nullptr : detail::header_in(w), p);
    slot_.store(detail::word_of(p, detail::header_in(w)), std::memory_order_relaxed);
    detail::add(word());
  }
  constexpr ~counted() {
    if (!std::is_constant_evaluated()) detail::drop(word());
  }

  counted& operator=(const counted& other) noexcept {
    const std::uintptr_t w = other.word();
    detail::add(w);
    detail::replace(slot_, w);
    return *this;
  }
  counted& operator=(counted&& other) noexcept {
    if (this != &other) detail::move_over(slot_, other.slot_);
    return *this;
  }
  counted& operator=(std::nullptr_t) noexcept {
    reset();
    return *this;
  }
  template <class U>
  requires(std::is_convertible_v<typename counted<U>::element_type*, element_type*>) counted& operator=(
      const counted<U>& other) noexcept {
    return *this = counted(other);
  }
  template <class U>
  requires(std::is_convertible_v<typename counted<U>::element_type*, element_type*>) counted& operator=(
      counted<U>&& other) noexcept {
    return *this = counted(std::move(other));
  }

  /// Null from now on.
  void reset() noexcept { detail::replace(slot_, 0); }

  element_type* get() const noexcept { return reinterpret_cast<element_type*>(detail::address_in(word())); }
  explicit operator bool() const noexcept { return word() != 0; }
  std::add_lvalue_reference_t<element_type> operator*() const noexcept
      requires(!std::is_void_v<T> && !std::is_array_v<T>) {
    return *get();
  }
  element_type* operator->() const noexcept requires(!std::is_array_v<T>) { return get(); }
  /// The i-th element of an array. i is not checked.
  template <class Index>
  requires(std::is_array_v<T>&& std::is_integral_v<Index>) std::add_lvalue_reference_t<element_type>
  operator[](Index i) const noexcept { return get()[i]; }

  /// How many references there are; 0: it is null. While other threads copy and drop, an estimate.
  long use_count() const noexcept { return word() == 0 ? 0 : detail::references_to(*detail::header_in(word())); }

  void swap(counted& other) noexcept { detail::exchange(slot_, other.slot_); }
  friend void swap(counted& a, counted& b) noexcept { a.swap(b); }

 private:
  template <class U>
  friend class counted;
  friend struct detail::count_access;

  struct adopted {
    std::uintptr_t word;
  };
  struct copied {
    std::uintptr_t word;
  };
  explicit counted(adopted a) noexcept : slot_(a.word) {}
  explicit counted(copied c) noexcept : slot_(c.word) { detail::add(c.word); }

  std::uintptr_t word() const noexcept { return slot_.load(std::memory_order_relaxed); }
  /// The word for the same object by another address.
  static std::uintptr_t converted(std::uintptr_t word, element_type* p) noexcept {
    if (word == 0 || detail::address_in(word) == reinterpret_cast<std::uintptr_t>(p)) return word;
    const detail::count_header* const h = detail::header_in(word);
    if (reinterpret_cast<std::uintptr_t>(p) - reinterpret_cast<std::uintptr_t>(h) > detail::farthest) [[unlikely]]
      detail::refuse_base();
    return detail::word_of(p, h);
  }

  detail::count_slot slot_;
};

template <class T, class U>
bool operator==(const counted<T>& a, const counted<U>& b) noexcept {
  return a.get() == b.get();
}
template <class T, class U>
bool operator==(const counted<T>& a, U* b) noexcept {
  return a.get() == b;
}
template <class T>
bool operator==(const counted<T>& a, std::nullptr_t) noexcept {
  return a.get() == nullptr;
}
/// By address, as std::less has it.
template <class T, class U>
std::strong_ordering operator<=>(const counted<T>& a, const counted<U>& b) noexcept {
  return std::compare_three_way()(a.get(), b.get());
}

namespace detail {

/// A copy of p that points to `to`, which lies in the same object.
template <class T, class U>
counted<T> recast(const counted<U>& p, typename counted<T>::element_type* to) noexcept {
  if (to == nullptr) return {};
  const count_header* const h = header_in(count_access::word(p));
  if (reinterpret_cast<std::uintptr_t>(to) - reinterpret_cast<std::uintptr_t>(h) > farthest) refuse_base();
  add(count_access::word(p));
  return count_access::adopt<T>(word_of(to, h));
}

}  // namespace detail

/// The casts of the language, and those that std has for its pointers. dynamic: null if the object is of another class.
template <class T, class U>
counted<T> static_pointer_cast(const counted<U>& p) noexcept {
  return detail::recast<T>(p, static_cast<typename counted<T>::element_type*>(p.get()));
}
template <class T, class U>
counted<T> dynamic_pointer_cast(const counted<U>& p) noexcept {
  return detail::recast<T>(p, dynamic_cast<typename counted<T>::element_type*>(p.get()));
}
template <class T, class U>
counted<T> const_pointer_cast(const counted<U>& p) noexcept {
  return detail::recast<T>(p, const_cast<typename counted<T>::element_type*>(p.get()));
}

/// Destroys the cycles of counted objects that are garbage now, and the objects whose last reference waits for the
/// thread that has made them. Returns how many objects were found in cycles. Their destructors have run when it
/// returns, but for those that a search in the background has found before. Counted objects that such an object points
/// to die as well, if nothing else points to them; they are not in the number.
///
/// A search keeps all threads from counting, for about 0.1 us for each object that candidates lead to. Without memory
/// for it nothing is found, all objects stay, and candidates are given up (counted_values::forgotten): a cycle among
/// them that is garbage stays until something in it loses a reference once more. O(objects that candidates lead to).
/// From fibers and plain threads, and from destructors.
HEDDLE_EXPORT std::size_t collect_cycles();

/// Numbers of counted objects, since the start of the process unless they say otherwise.
struct counted_values {
  std::uint64_t searches = 0;         ///< for cycles
  std::uint64_t objects_visited = 0;  ///< by all of them
  std::uint64_t objects_found = 0;    ///< in cycles that were garbage
  std::uint64_t forgotten = 0;        ///< candidates that were given up for want of memory: their cycles may be leaks
  std::uint64_t longest_ns = 0;       ///< that a search has kept threads from counting
  std::uint64_t heap_bytes = 0;       ///< now: of all spans of counted objects, free blocks included
  std::uint64_t candidates = 0;       ///< now: objects at which the next search will begin, some of them dead perhaps
};
/// O(threads). From fibers and plain threads.
HEDDLE_EXPORT counted_values counted_statistics() noexcept;

}  // namespace heddle::gc

/// By address.
template <class T>
struct std::hash<heddle::gc::counted<T>> {
  std::size_t operator()(const heddle::gc::counted<T>& p) const noexcept {
    return std::hash<const volatile void*>()(p.get());
  }
};
