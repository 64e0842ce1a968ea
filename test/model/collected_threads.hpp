// SPDX-License-Identifier: BSL-1.0
//
// What stands for the thread-locals of gc, and for the ends of threads.
#pragma once

#include <utility>

#include "model/expect.hpp"

namespace collected {

/// What the C library does when the calling thread ends.
void end_thread() noexcept;
/// Whether that model thread is in a function of the collector, at this moment: nobody else acts before the caller's
/// next operation.
bool is_inside(unsigned thread) noexcept;

/// A model thread that may use the collected heap.
template <class F>
class thread {
 public:
  explicit thread(F f) : inner_(call{std::move(f)}) {}
  void join() { inner_.join(); }

 private:
  struct call {
    F f;
    void operator()() {
      f();
      end_thread();
    }
  };
  model::thread<call> inner_;
};

}  // namespace collected
