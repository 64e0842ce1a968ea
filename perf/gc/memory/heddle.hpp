// SPDX-License-Identifier: BSL-1.0
//
// heddle's collector; the workers are fibers.
#pragma once

#include <chrono>
#include <cstddef>
#include <heddle/gc.hpp>
#include <heddle/heddle.hpp>
#include <utility>

#include "common/heddle_options.hpp"

namespace perf::gc {

/// See manual_memory.
struct heddle_memory {
  static constexpr bool by_hand = false;
  static constexpr bool collects = true;
  template <class T>
  using link = heddle::gc::ptr<T>;
  template <class T>
  using back = heddle::gc::ptr<T>;
  template <class T>
  using hold = T*;
  template <class T>
  using array = T*;
  template <class T>
  using array_link = heddle::gc::ptr<T>;

  template <class T, class... A>
  static T* make(A&&... values) {
    return heddle::gc::make<T>(std::forward<A>(values)...);
  }
  template <class T>
  static T* make_array(std::size_t n) {
    return heddle::gc::make_array<T>(n);
  }
  template <class T>
  static T* at(const heddle::gc::ptr<T>& p) {
    return p.get();
  }
  template <class T>
  static T* at(T* p) {
    return p;
  }
  template <class T>
  static T* take(const heddle::gc::ptr<T>& from) {
    return from.get();
  }
  template <class T>
  static void release(T&&) {}
  template <class T>
  static void release_array(T&&) {}
  static void collect() { heddle::gc::collect(); }

  template <class F>
  static void run(const arguments& args, F&& f) {
    heddle::run(f, heddle_options(args));
  }

  template <class F>
  static void on_workers(unsigned count, F&& f) {
    if (count == 1) return f(0u);
    heddle::wait_group done;
    done.add(count);
    for (unsigned i = 0; i < count; ++i) {
      heddle::go([&, i] {
        f(i);
        done.done();
      });
    }
    done.wait();
  }

  static void sleep_until(double ns) {
    const std::chrono::duration<double, std::nano> since_start(ns);
    heddle::this_fiber::sleep_until(std::chrono::steady_clock::time_point(
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(since_start)));
  }
  static void yield() { heddle::this_fiber::yield(); }
};

}  // namespace perf::gc
