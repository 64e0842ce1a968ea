// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/lockfree/queue.hpp>
#include <cstddef>
#include <utility>

#include "heddle/detail/platform.hpp"
#include "heddle/detail/thread_mutex.hpp"

namespace heddle::gc::detail {

// All goes by the list: the explorer sees no other atomics than ours, and ThreadSanitizer takes offence at Boost's
// nodes, which may be read while another thread makes them anew.
#if (defined(HEDDLE_MODEL) && HEDDLE_MODEL) || defined(HEDDLE_TSAN)
template <class T>
struct handover_queue {
  static bool bounded_push(T*) noexcept { return false; }
  static bool pop(T*&) noexcept { return false; }
};
#else
template <class T>
using handover_queue = boost::lockfree::queue<T*, boost::lockfree::capacity<1000> >;
#endif

/// Pieces of memory on their way between threads. A piece that finds no room in the queue goes to a list behind a lock,
/// by its `next`: that is rare, and nothing is lost.
template <class T>
class handover {
 public:
  void put(T& b) noexcept {
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
  T* get_queued() noexcept {
    T* b = nullptr;
    if (!queue_.pop(b)) return nullptr;
    queued_.fetch_sub(1, std::memory_order_relaxed);
    return b;
  }
  /// All of the list, by their `next`.
  T* get_listed() noexcept {
    const heddle::detail::thread_lock hold(lock_);
    return std::exchange(more_, nullptr);
  }
  T* get() noexcept {
    if (T* const queued = get_queued(); queued != nullptr) return queued;
    T* b = nullptr;
    const heddle::detail::thread_lock hold(lock_);
    b = more_;
    if (b != nullptr) more_ = b->next;
    return b;
  }

 private:
  handover_queue<T> queue_;
  heddle::detail::atomic<std::size_t> queued_{0};
  heddle::detail::thread_mutex lock_{heddle::detail::lock_rank::mcaches};
  T* more_ HEDDLE_GUARDED_BY(lock_) = nullptr;
};

}  // namespace heddle::gc::detail
