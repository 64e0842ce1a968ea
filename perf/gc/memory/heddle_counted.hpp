// SPDX-License-Identifier: BSL-1.0
//
// heddle's counted pointers; the workers are fibers.
#pragma once

#include "gc/memory/heddle.hpp"

namespace perf::gc {

/// See manual_memory. A back link is a plain pointer, as with std::shared_ptr.
struct heddle_counted_memory : heddle_memory {
  static constexpr bool by_hand = false;
  static constexpr bool collects = false;
  template <class T>
  using link = heddle::gc::counted<T>;
  template <class T>
  using back = T*;
  template <class T>
  using hold = heddle::gc::counted<T>;
  template <class T>
  using array = heddle::gc::counted<T[]>;
  template <class T>
  using array_link = heddle::gc::counted<T[]>;

  template <class T, class... A>
  static heddle::gc::counted<T> make(A&&... values) {
    return heddle::gc::make_counted<T>(std::forward<A>(values)...);
  }
  template <class T>
  static heddle::gc::counted<T[]> make_array(std::size_t n) {
    return heddle::gc::make_counted<T[]>(n);
  }
  template <class T>
  static auto at(const heddle::gc::counted<T>& p) {
    return p.get();
  }
  template <class T>
  static T* at(T* p) {
    return p;
  }
  template <class T>
  static heddle::gc::counted<T> take(heddle::gc::counted<T>& from) {
    return std::move(from);
  }
  template <class T>
  static void release(T&&) {}
  template <class T>
  static void release_array(T&&) {}
};

}  // namespace perf::gc
