// SPDX-License-Identifier: BSL-1.0
//
// The queue between those who notice that something has changed and the controllers that see to it. Modelled on
// client-go's util/workqueue, with the condition variable that gives this example its point.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <utility>

#include "heddle/condition_variable.hpp"
#include "heddle/mutex.hpp"
#include "keyed_line.hpp"
#include "queue_metrics.hpp"

namespace examples {

/// A queue of keys to be processed, by any number of fibers and plain threads at both ends.
///
///     examples::work_queue<std::string> queue;
///     heddle::go([&] {
///       while (auto item = queue.get()) reconcile(*item);   // done when `item` goes; until queue is shut down
///     });
///     queue.add("pod-1");
///
/// What it promises:
/// 1. First come, first served.
/// 2. A key waits at most once: adding one that waits already does nothing.
/// 3. A key is processed by at most one at a time. One that is added while it is processed waits again once it is done.
/// 4. After shut_down() nothing more is added, get() hands out what waits still, and then empty items.
///
/// add(), get() and the end of an item: O(1), one lock each (get(std::move(item)): one for both), and one look-up of
/// the key in add() only. Its memory is at most that of twice the greatest number of keys which it held at once; a key
/// that is done stays there until another one needs its place.
///
/// Source: client-go's workqueue. An item stands for the call of Done() that one could forget, and one table of three
/// states for the two sets `dirty` and `processing`.
template <class Key, class Metrics = no_queue_metrics, class Hash = std::hash<Key>>
class work_queue {
  enum class state : unsigned char {
    waiting,     ///< stands in the line
    processing,  ///< somebody has its item
    again,       ///< the same, and was added since
  };
  struct payload {
    state is = state::waiting;
    [[no_unique_address]] typename Metrics::stamp times;
  };
  using line = keyed_line<Key, payload, Hash>;
  using entry = typename line::entry;

 public:
  /// The right to process one key, until it is destroyed or done() is called. Empty if the queue has been shut down.
  class [[nodiscard]] item {
   public:
    item() noexcept = default;
    item(item&& other) noexcept : of_(std::exchange(other.of_, nullptr)), entry_(other.entry_) {}
    item& operator=(item&& other) noexcept {
      if (this != &other) {
        done();
        of_ = std::exchange(other.of_, nullptr);
        entry_ = other.entry_;
      }
      return *this;
    }
    ~item() { done(); }

    explicit operator bool() const noexcept { return of_ != nullptr; }
    const Key& operator*() const noexcept { return *entry_->key; }
    const Key* operator->() const noexcept { return &*entry_->key; }
    /// The key has been processed. Its reference is invalid from now on.
    void done() noexcept {
      if (of_ != nullptr) std::exchange(of_, nullptr)->finish(*entry_);
    }

   private:
    friend work_queue;
    item(work_queue& of, entry& e) noexcept : of_(&of), entry_(&e) {}
    work_queue* of_ = nullptr;
    entry* entry_ = nullptr;
  };

  work_queue() = default;
  work_queue(const work_queue&) = delete;
  work_queue& operator=(const work_queue&) = delete;

  /// Makes sure that `key` will be processed from now on once more at least. False: the queue has been shut down.
  bool add(const Key& key) {
    std::unique_lock lock(mutex_);
    if (shut_down_) return false;
    const auto [e, is_new] = keys_.find_or_insert(key);
    if (!is_new) {
      if (e.is != state::processing) return true;
      e.is = state::again;
      metrics_.added(e.times);
      return true;
    }
    e.is = state::waiting;
    metrics_.added(e.times);
    keys_.push(e);
    call(std::move(lock));
    return true;
  }

  /// The key that has waited longest; blocks while none waits. Empty: the queue has been shut down, and no key is left.
  item get() {
    std::unique_lock lock(mutex_);
    return next(std::move(lock));
  }
  /// The same until a stop is requested: empty then, too.
  item get(const heddle::detail::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (keys_.line_empty() && !shut_down_) {
      if (stop.stop_requested()) return {};
      const idler waits(*this);
      // One round: each return of a waiter has to be noted.
      bool returned = false;
      work_.wait(lock, stop, [&returned] { return std::exchange(returned, true); });
    }
    return take(std::move(lock));
  }
  /// done() of `finished`, if it is not empty, and get(), with the lock taken once for both:
  ///
  ///     for (auto item = queue.get(); item; item = queue.get(std::move(item))) reconcile(*item);
  item get(item&& finished) {
    std::unique_lock lock(mutex_);
    if (finished.of_ != nullptr) {
      finished.of_ = nullptr;
      retire(*finished.entry_);
    }
    return next(std::move(lock));
  }

  /// Lets workers end: nothing more is added, and who waits in get() gets what is left or an empty item.
  void shut_down() {
    {
      const std::lock_guard lock(mutex_);
      shut_down_ = true;
      drain_ = false;
    }
    work_.notify_all();
    drained_.notify_all();
  }
  /// The same, and waits until all keys have been processed; or until shut_down() is called. From a worker it would
  /// wait for itself.
  void shut_down_with_drain() {
    std::unique_lock lock(mutex_);
    shut_down_ = true;
    drain_ = true;
    work_.notify_all();
    drained_.wait(lock, [this] { return !drain_ || (processed_ == 0 && keys_.line_empty()); });
  }
  [[nodiscard]] bool shutting_down() const {
    const std::lock_guard lock(mutex_);
    return shut_down_;
  }
  /// How many keys wait.
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return keys_.line_length();
  }

  /// O(keys).
  [[nodiscard]] queue_figures metrics() const requires Metrics::enabled {
    const std::lock_guard lock(mutex_);
    queue_figures figures = metrics_.figures();
    figures.depth = keys_.line_length();
    const auto now = std::chrono::steady_clock::now();
    keys_.for_each([&](const entry& e) {
      if (e.is == state::waiting) return;
      figures.unfinished_work += now - e.times.started;
      figures.longest_running = std::max<std::chrono::nanoseconds>(figures.longest_running, now - e.times.started);
    });
    return figures;
  }

 protected:
  void count_retry() {
    if constexpr (Metrics::enabled) {
      const std::lock_guard lock(mutex_);
      metrics_.retried();
    }
  }

 private:
  using holder = std::unique_lock<heddle::mutex>;

  /// One that is about to wait for work. Whatever ends its wait, nobody is on the way any more then.
  struct idler {
    explicit idler(work_queue& q) noexcept : of(q) { ++of.idle_; }
    ~idler() {
      --of.idle_;
      of.called_ = false;
    }
    idler(const idler&) = delete;
    idler& operator=(const idler&) = delete;
    work_queue& of;
  };

  item next(holder held) {
    while (keys_.line_empty() && !shut_down_) {
      const idler waits(*this);
      work_.wait(held);
    }
    return take(std::move(held));
  }

  item take(holder held) noexcept {
    if (keys_.line_empty()) return {};
    entry& e = keys_.pop();
    e.is = state::processing;
    ++processed_;
    metrics_.got(e.times);
    call(std::move(held));
    return {*this, e};
  }

  /// Whether a worker has to be notified of the keys that wait. Not if one is on the way, which will see to the next:
  /// so many keys that are added one by one do not wake all workers to wait for one lock.
  bool must_call() noexcept {
    if (keys_.line_empty() || idle_ == 0 || called_) return false;
    called_ = true;
    return true;
  }
  void call(holder held) noexcept {
    if (!must_call()) return;
    held.unlock();
    work_.notify_one();
  }

  void finish(entry& e) noexcept {
    // All with the lock, since who waits for the end may destroy the queue next.
    const std::lock_guard hold(mutex_);
    retire(e);
    if (must_call()) work_.notify_one();
  }

  /// The key has been processed.
  void retire(entry& e) noexcept {
    metrics_.done(e.times);
    --processed_;
    if (e.is == state::again) {
      e.is = state::waiting;
      keys_.push(e);
    } else {
      keys_.release(e);
    }
    if (processed_ == 0 && keys_.line_empty()) drained_.notify_all();
  }

  mutable heddle::mutex mutex_;
  heddle::condition_variable work_;     // a key waits, or the queue has been shut down
  heddle::condition_variable drained_;  // no key is left
  line keys_;
  std::size_t processed_ = 0;  // keys with an item
  std::size_t idle_ = 0;       // workers that wait for a key
  bool called_ = false;        // one of those is on the way, or about to be notified
  bool shut_down_ = false;
  bool drain_ = false;  // somebody waits for the last
  [[no_unique_address]] Metrics metrics_;
};

}  // namespace examples
