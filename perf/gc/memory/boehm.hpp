// SPDX-License-Identifier: BSL-1.0
//
// The conservative collector of Boehm, Demers and Weiser (libgc). It stops the world to mark, with a thread for each
// processor.
#pragma once

#define GC_THREADS
#include <gc.h>

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

#include "gc/memory/threads.hpp"

namespace perf::gc {

/// Types that hold no links say so: `using no_links = void`.
template <class T>
concept leaf = std::is_arithmetic_v<T> || requires {
  typename T::no_links;
};

/// See manual_memory.
struct boehm_memory : on_threads {
  static constexpr bool by_hand = false;
  static constexpr bool collects = true;
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
    return new (memory<T>(sizeof(T))) T{std::forward<A>(values)...};
  }
  template <class T>
  static T* make_array(std::size_t n) {
    return new (memory<T>(n * sizeof(T))) T[n]();
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
  static void release(T*) {}
  template <class T>
  static void release_array(T*) {}
  static void collect() { GC_gcollect(); }

  template <class F>
  static void run(const arguments& args, F&& f) {
    GC_set_markers_count(args.procs());
    GC_INIT();
    GC_allow_register_threads();
    on_threads::run(args, f);
  }

  template <class F>
  static void on_workers(unsigned count, F&& f) {
    if (count == 1) return f(0u);
    on_threads::on_workers(count, [&](unsigned i) {
      GC_stack_base base;
      require(GC_get_stack_base(&base) == GC_SUCCESS, "the collector cannot find a stack's begin");
      GC_register_my_thread(&base);
      f(i);
      GC_unregister_my_thread();
    });
  }

 private:
  template <class T>
  static void* memory(std::size_t bytes) {
    void* p = leaf<T> ? GC_MALLOC_ATOMIC(bytes) : GC_MALLOC(bytes);
    if (p == nullptr) throw std::bad_alloc();
    return p;
  }
};

}  // namespace perf::gc
