// SPDX-License-Identifier: BSL-1.0
//
// What the std::thread contenders share: a number of processors, and the channels that std does not have.
#pragma once

#include <sched.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "common/arguments.hpp"

namespace perf {

/// The default of --most where a problem asks for more threads than anyone wants to wait for: each takes some
/// 50 us.
inline constexpr std::uint64_t most_threads = 1'000;

/// Restricts the process to the last `count` processors that it may use: threads know no other way to be
/// told.
inline void use_processors(unsigned count) {
  cpu_set_t allowed;
  require(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "cannot read the processor affinity");
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&allowed) > static_cast<int>(count); ++cpu) {
    CPU_CLR(cpu, &allowed);
  }
  require(sched_setaffinity(0, sizeof allowed, &allowed) == 0, "cannot set the processor affinity");
}

/// Keeps the calling thread on one of the processors that it may use: the first for 0, and so on round.
inline void stay_on_processor(unsigned which) {
  cpu_set_t allowed;
  require(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "cannot read the processor affinity");
  which %= static_cast<unsigned>(CPU_COUNT(&allowed));
  std::size_t cpu = 0;
  while (!CPU_ISSET(cpu, &allowed) || which-- != 0) ++cpu;
  CPU_ZERO(&allowed);
  CPU_SET(cpu, &allowed);
  require(sched_setaffinity(0, sizeof allowed, &allowed) == 0, "cannot set the processor affinity");
}

/// A bounded queue between threads, closed by its producers.
template <class T>
class thread_channel {
 public:
  explicit thread_channel(std::size_t capacity) : capacity_(capacity) {}

  void send(T value) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return queue_.size() < capacity_; });
    queue_.push_back(std::move(value));
    lock.unlock();
    not_empty_.notify_one();
  }
  std::optional<T> receive() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return !queue_.empty() || closed_; });
    if (queue_.empty()) return std::nullopt;
    std::optional<T> value(std::move(queue_.front()));
    queue_.pop_front();
    lock.unlock();
    not_full_.notify_one();
    return value;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    not_empty_.notify_all();
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable not_empty_;
  std::condition_variable not_full_;
  std::deque<T> queue_;
  bool closed_ = false;
};

/// A rendezvous: send() returns once the value has been taken. One sender and one receiver.
template <class T>
class thread_rendezvous {
 public:
  void send(T value) {
    std::unique_lock lock(mutex_);
    slot_ = std::move(value);
    changed_.notify_one();
    changed_.wait(lock, [&] { return !slot_; });
  }
  T receive() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return slot_.has_value(); });
    T value = std::move(*slot_);
    slot_.reset();
    changed_.notify_one();
    return value;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<T> slot_;
};

}  // namespace perf
