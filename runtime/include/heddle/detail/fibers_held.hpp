// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <memory>

#include "heddle/detail/fiber_roots.hpp"

namespace heddle::detail {

/// Keeps every fiber from being resumed, for a collector that has stopped all threads that run any: a mode for
/// debugging. While it lives, the collector
///   1. stops the threads that for_each_at_work() names, until there is no other;
///   2. calls hold(): false, if a fiber has begun to run since; then it lets the threads go and begins anew;
///   3. may scan().
/// Made and destroyed while no thread is stopped; between, nothing here takes a lock or allocates. A thread that makes
/// a fiber and runs none itself waits until the end of it.
class HEDDLE_EXPORT fibers_held {
 public:
  /// Throws std::bad_alloc.
  fibers_held();
  ~fibers_held();
  fibers_held(const fibers_held&) = delete;
  fibers_held& operator=(const fibers_held&) = delete;

  /// Calls f(argument, thread) for each kernel thread that may run a fiber.
  void for_each_at_work(void (*f)(void* argument, int thread), void* argument) noexcept;
  /// Holds all fibers. True if of all threads that may run one, is_stopped(argument, thread) says that they are
  /// stopped.
  bool hold(bool (*is_stopped)(void* argument, int thread), void* argument) noexcept;
  /// Scans all fibers but those that run on the stopped threads.
  void scan(word_visitor& v) noexcept;

 private:
  struct blocks;
  template <class F>
  void for_each(F f) noexcept;
  std::unique_ptr<blocks> blocks_;
};

}  // namespace heddle::detail
