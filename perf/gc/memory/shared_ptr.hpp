// SPDX-License-Identifier: BSL-1.0
//
// std::shared_ptr: counted, on the malloc that the driver preloads.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include "alloc/common/preloaded.hpp"
#include "gc/memory/threads.hpp"

namespace perf::gc {

/// See manual_memory. A back link is a plain pointer: std::weak_ptr would cost more, and nothing here outlives its
/// parent.
struct counted_memory : on_threads {
  static constexpr bool by_hand = false;
  static constexpr bool collects = false;
  template <class T>
  using link = std::shared_ptr<T>;
  template <class T>
  using back = T*;
  template <class T>
  using hold = std::shared_ptr<T>;
  template <class T>
  using array = std::shared_ptr<T[]>;
  template <class T>
  using array_link = std::shared_ptr<T[]>;

  template <class T, class... A>
  static std::shared_ptr<T> make(A&&... values) {
    return std::make_shared<T>(T{std::forward<A>(values)...});
  }
  template <class T>
  static std::shared_ptr<T[]> make_array(std::size_t n) {
    return std::make_shared<T[]>(n);
  }
  template <class T>
  static auto at(const std::shared_ptr<T>& p) {
    return p.get();
  }
  template <class T>
  static T* at(T* p) {
    return p;
  }
  template <class T>
  static std::shared_ptr<T> take(std::shared_ptr<T>& from) {
    return std::move(from);
  }
  template <class T>
  static void release(T&&) {}
  template <class T>
  static void release_array(T&&) {}

  template <class F>
  static void run(const arguments& args, F&& f) {
    require_allocator();
    on_threads::run(args, f);
  }
};

}  // namespace perf::gc
