// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/lockfree/queue.hpp>
#include <cstddef>

#include "barrier/mutator.hpp"
#include "heddle/detail/thread_mutex.hpp"

namespace heddle::gc::detail {

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL  // the explorer sees no other atomics than ours: all buffers go by the list
struct buffer_queue {
  static bool bounded_push(shade_buffer*) noexcept { return false; }
  static bool pop(shade_buffer*&) noexcept { return false; }
};
#else
using buffer_queue = boost::lockfree::queue<shade_buffer*, boost::lockfree::capacity<1000> >;
#endif

/// Buffers on their way. A buffer that finds no room goes to a list behind a lock: that is rare, and nothing is lost.
class buffer_exchange {
 public:
  void put(shade_buffer& b) noexcept {
    if (queue_.bounded_push(&b)) return;
    const heddle::detail::thread_lock hold(lock_);
    b.next = more_;
    more_ = &b;
  }
  shade_buffer* get() noexcept {
    shade_buffer* b = nullptr;
    if (queue_.pop(b)) return b;
    const heddle::detail::thread_lock hold(lock_);
    b = more_;
    if (b != nullptr) more_ = b->next;
    return b;
  }

 private:
  buffer_queue queue_;
  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::mcaches};
  shade_buffer* more_ HEDDLE_GUARDED_BY(lock_) = nullptr;
};

}  // namespace heddle::gc::detail
