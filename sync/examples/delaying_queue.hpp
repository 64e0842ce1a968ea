// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

#include "heddle/condition_variable.hpp"
#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "saturated.hpp"
#include "work_queue.hpp"

namespace examples {

/// A work queue to which a key may be added later: for a controller that wants to look again in a while.
///
///     queue.add_after("pod-1", std::chrono::seconds(10));
///
/// A key that is to come already comes at the earlier of the two times, once. Those that have not come when the queue
/// is shut down are dropped. One fiber waits for all of them.
///
/// add_after(): O(log n) for n keys to come. Source: client-go's delaying queue.
template <class Key, class Metrics = no_queue_metrics, class Hash = std::hash<Key>>
class delaying_queue : public work_queue<Key, Metrics, Hash> {
  using base = work_queue<Key, Metrics, Hash>;
  using clock = std::chrono::steady_clock;

 public:
  delaying_queue() : adder_(heddle::spawn([this] { add_those_due(); })) {}
  ~delaying_queue() { shut_down(); }

  /// add(), after `delay`; at once if that is not positive.
  template <class Rep, class Period>
  void add_after(const Key& key, std::chrono::duration<Rep, Period> after) {
    const std::chrono::nanoseconds delay = saturated(after);
    if (delay == delay.zero()) return static_cast<void>(this->add(key));
    const clock::time_point now = clock::now();
    const clock::time_point due = delay < clock::time_point::max() - now ? now + delay : clock::time_point::max();
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      if (over_) return;
      const auto [known, is_new] = due_.try_emplace(key, due);
      if (!is_new && known->second <= due) return;
      first = coming_.empty() || due < coming_.top().first;
      coming_.emplace(due, key);
      known->second = due;  // what stands in coming_ with another time has been superseded
    }
    if (first) changed_.notify_one();
  }

  void shut_down() {
    end_adder();
    base::shut_down();
  }
  void shut_down_with_drain() {
    end_adder();
    base::shut_down_with_drain();
  }

  /// How many keys are to come.
  [[nodiscard]] std::size_t coming() const {
    const std::lock_guard lock(mutex_);
    return due_.size();
  }

 private:
  using arrival = std::pair<clock::time_point, Key>;
  struct later {
    bool operator()(const arrival& a, const arrival& b) const noexcept { return a.first > b.first; }
  };

  void end_adder() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_one();
  }

  void add_those_due() {
    std::unique_lock lock(mutex_);
    while (!over_) {
      if (coming_.empty()) {
        changed_.wait(lock);
      } else if (const clock::time_point due = coming_.top().first; due > clock::now()) {
        changed_.wait_until(lock, due);
      } else {
        const Key key = coming_.top().second;
        coming_.pop();
        const auto known = due_.find(key);
        if (known == due_.end() || known->second != due) continue;  // superseded
        due_.erase(known);
        lock.unlock();
        this->add(key);
        lock.lock();
      }
    }
  }

  mutable heddle::mutex mutex_;
  heddle::condition_variable changed_;  // the first to come is another, or all is over
  std::priority_queue<arrival, std::vector<arrival>, later> coming_;
  std::unordered_map<Key, clock::time_point, Hash> due_;  // of each key to come, the time that counts
  bool over_ = false;
  heddle::join_handle<void> adder_;  // last: ends first
};

}  // namespace examples
