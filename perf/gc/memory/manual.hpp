// SPDX-License-Identifier: BSL-1.0
//
// malloc, and free by hand: what every collector is compared with. Which malloc, the driver says by what it preloads.
#pragma once

#include <cstddef>
#include <utility>

#include "alloc/common/preloaded.hpp"
#include "gc/memory/threads.hpp"

namespace perf::gc {

/// What a kind of memory has:
///   link         a member that keeps an object alive
///   back         a member that does not, where counts would make a cycle of it
///   hold         the same as link, on a stack
///   array, array_link    hold and link of what make_array() gives
///   at()         the address that one of these has
///   take()       what a link has that gets another value, or ends, next: it may be left empty
///   release()    of one object, whose links have been released: does nothing but where memory is freed by hand
///   by_hand      release() has to be called
///   collects     there is a collect(): a full collection, from begin to end
struct manual_memory : on_threads {
  static constexpr bool by_hand = true;
  static constexpr bool collects = false;
  template <class T>
  using link = T*;
  template <class T>
  using back = T*;
  template <class T>
  using hold = T*;
  template <class T>
  using array = T*;
  template <class T>
  using array_link = T*;

  template <class T, class... A>
  static T* make(A&&... values) {
    return new T{std::forward<A>(values)...};
  }
  /// Of zeros, or of empty links.
  template <class T>
  static T* make_array(std::size_t n) {
    return new T[n]();
  }
  template <class T>
  static T* at(T* p) {
    return p;
  }
  template <class T>
  static T* take(T* from) {
    return from;
  }
  template <class T>
  static void release(T* p) {
    delete p;
  }
  template <class T>
  static void release_array(T* p) {
    delete[] p;
  }

  template <class F>
  static void run(const arguments& args, F&& f) {
    require_allocator();
    on_threads::run(args, f);
  }
};

}  // namespace perf::gc
