// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <deque>
#include <mutex>
#include <optional>
#include <unordered_set>

namespace perf {

/// client-go's work queue as one would write it with std's containers: a line, a set of those that wait to be
/// processed, a set of those that are.
template <class Key, class Mutex, class Condition>
class client_go_queue {
 public:
  void add(const Key& key) {
    const std::lock_guard lock(mutex_);
    if (shut_down_ || !dirty_.insert(key).second || processing_.contains(key)) return;
    line_.push_back(key);
    changed_.notify_one();
  }
  std::optional<Key> get() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !line_.empty() || shut_down_; });
    if (line_.empty()) return std::nullopt;
    const Key key = line_.front();
    line_.pop_front();
    processing_.insert(key);
    dirty_.erase(key);
    return key;
  }
  void done(const Key& key) {
    const std::lock_guard lock(mutex_);
    processing_.erase(key);
    if (!dirty_.contains(key)) return;
    line_.push_back(key);
    changed_.notify_one();
  }
  void shut_down() {
    const std::lock_guard lock(mutex_);
    shut_down_ = true;
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  Condition changed_;
  std::deque<Key> line_;
  std::unordered_set<Key> dirty_, processing_;
  bool shut_down_ = false;
};

/// Waits until a number of things are done, as Go's sync.WaitGroup.
template <class Mutex, class Condition>
class counted_wait {
 public:
  void add(std::uint64_t n) {
    const std::lock_guard lock(mutex_);
    count_ += n;
  }
  void done() {
    const std::lock_guard lock(mutex_);
    if (--count_ == 0) changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  Mutex mutex_;
  Condition changed_;
  std::uint64_t count_ = 0;
};

}  // namespace perf
