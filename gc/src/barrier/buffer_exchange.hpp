// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/lockfree/queue.hpp>
#include <cstddef>
#include <utility>

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
    queued_.fetch_add(1, std::memory_order_relaxed);  // before, so that the count is never too low
    if (queue_.bounded_push(&b)) return;
    queued_.fetch_sub(1, std::memory_order_relaxed);
    const heddle::detail::thread_lock hold(lock_);
    b.next = more_;
    more_ = &b;
  }
  /// How many are in the queue, or are about to be.
  std::size_t queued() const noexcept { return queued_.load(std::memory_order_relaxed); }
  /// The one that has been in the queue for longest, or null.
  shade_buffer* get_queued() noexcept {
    shade_buffer* b = nullptr;
    if (!queue_.pop(b)) return nullptr;
    queued_.fetch_sub(1, std::memory_order_relaxed);
    return b;
  }
  /// All of the list, by their `next`.
  shade_buffer* get_listed() noexcept {
    const heddle::detail::thread_lock hold(lock_);
    return std::exchange(more_, nullptr);
  }
  shade_buffer* get() noexcept {
    if (shade_buffer* const queued = get_queued(); queued != nullptr) return queued;
    shade_buffer* b = nullptr;
    const heddle::detail::thread_lock hold(lock_);
    b = more_;
    if (b != nullptr) more_ = b->next;
    return b;
  }

 private:
  buffer_queue queue_;
  atomic<std::size_t> queued_{0};
  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::mcaches};
  shade_buffer* more_ HEDDLE_GUARDED_BY(lock_) = nullptr;
};

}  // namespace heddle::gc::detail
