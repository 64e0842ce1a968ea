// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <type_traits>

#include "heddle/gc/detail/core.hpp"
#include "heddle/gc/layout.hpp"
#include "heddle/gc/ptr.hpp"

namespace heddle::gc {

template <class T>
class atomic;

/// A gc::ptr that several fibers and threads change at the same time. It may be where a gc::ptr may be.
///
///     struct node { gc::ptr<node> next; int value = 0; };
///     gc::atomic<gc::ptr<node>> top;
///     void push(int value) {
///       gc::ptr<node> n = gc::make<node>(top.load(), value);
///       while (!top.compare_exchange_weak(n->next, n)) {}
///     }
///
/// A node that somebody still looks at is not used for another one, so there is no problem of "ABA", no hazard pointers
/// and no counters beside the address.
///
/// Unlike std::atomic every function is sequentially consistent: there is nothing to choose. load() is an ordinary load
/// on this processor; the others are one locked instruction, and exclude the collector for that long. O(1), lock-free,
/// throws nothing. From fibers and plain threads.
template <class T>
class atomic<ptr<T>> {
 public:
  using value_type = ptr<T>;
  using element_type = typename ptr<T>::element_type;
  static constexpr bool is_always_lock_free = true;

  constexpr atomic() noexcept : slot_(nullptr) {}
  constexpr explicit atomic(std::nullptr_t) noexcept : slot_(nullptr) {}
  atomic(const ptr<T>& p) noexcept { detail::store_first(&slot_, erase(p)); }
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;
  constexpr ~atomic() {
    if (!std::is_constant_evaluated()) detail::forget(&slot_);
  }

  [[nodiscard]] ptr<T> load() const noexcept { return restore(detail::load(&slot_)); }
  operator ptr<T>() const noexcept { return load(); }
  void store(const ptr<T>& p) noexcept { detail::exchange(&slot_, erase(p)); }
  ptr<T> operator=(const ptr<T>& p) noexcept {
    store(p);
    return p;
  }
  /// Stores p; what was there before.
  ptr<T> exchange(const ptr<T>& p) noexcept { return restore(detail::exchange(&slot_, erase(p))); }
  /// Stores `desired` if `expected` is there. False: `expected` says what is there. Does not fail without that.
  bool compare_exchange_strong(ptr<T>& expected, const ptr<T>& desired) noexcept {
    void* seen = erase(expected);
    if (detail::compare_exchange(&slot_, seen, erase(desired))) return true;
    expected = restore(seen);
    return false;
  }
  /// The same; never fails for no reason here.
  bool compare_exchange_weak(ptr<T>& expected, const ptr<T>& desired) noexcept {
    return compare_exchange_strong(expected, desired);
  }
  static constexpr bool is_lock_free() noexcept { return true; }

 private:
  static void* erase(const ptr<T>& p) noexcept { return const_cast<void*>(static_cast<const volatile void*>(p.get())); }
  static element_type* restore(void* p) noexcept { return static_cast<element_type*>(p); }

  void* slot_;
};

template <class T>
struct trace<atomic<ptr<T>>> {
  using laid_out_as = detail::types<ptr<void>>;
  static constexpr bool silent = true;
};

}  // namespace heddle::gc
