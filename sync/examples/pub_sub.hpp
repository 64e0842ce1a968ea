// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "heddle/channel.hpp"
#include "heddle/mutex.hpp"

namespace examples {

/// What is published goes to all who have subscribed by then. A publisher never waits: a subscriber that does not keep
/// up loses messages, and can ask how many.
///
///     examples::topic<std::string> news;
///     auto reader = news.subscribe(100);
///     heddle::go([&] { while (auto message = reader.receive()) print(**message); });   // until news is closed
///     news.publish("hello");
///
/// From fibers and plain threads. publish(): O(subscribers).
template <class Message>
class topic {
  struct mailbox {
    explicit mailbox(std::size_t backlog) : messages(backlog) {}
    heddle::channel<std::shared_ptr<const Message>> messages;
    std::atomic<std::uint64_t> lost{0};
  };

 public:
  /// Ends when it is destroyed. May outlive the topic.
  class subscription {
   public:
    /// The next message; blocks while there is none. Nothing: the topic has been closed, and all has been received.
    [[nodiscard]] std::optional<std::shared_ptr<const Message>> receive() { return box_->messages.receive(); }
    /// Messages that came while `backlog` others waited.
    [[nodiscard]] std::uint64_t lost() const noexcept { return box_->lost.load(std::memory_order_relaxed); }

   private:
    friend topic;
    explicit subscription(std::shared_ptr<mailbox> box) noexcept : box_(std::move(box)) {}
    std::shared_ptr<mailbox> box_;
  };

  topic() = default;
  topic(const topic&) = delete;
  topic& operator=(const topic&) = delete;
  ~topic() { close(); }

  /// Of all that is published from now on, until `backlog` messages wait.
  [[nodiscard]] subscription subscribe(std::size_t backlog) {
    auto box = std::make_shared<mailbox>(backlog);
    const std::lock_guard lock(mutex_);
    if (closed_)
      box->messages.close();
    else
      boxes_.push_back(box);
    return subscription(std::move(box));
  }

  /// Returns how many have got it. Nobody, once the topic is closed.
  std::size_t publish(Message message) {
    const auto shared = std::make_shared<const Message>(std::move(message));
    std::size_t delivered = 0;
    const std::lock_guard lock(mutex_);
    std::erase_if(boxes_, [&](const std::weak_ptr<mailbox>& b) {
      const auto box = b.lock();
      if (box == nullptr) return true;  // its subscription has ended
      if (box->messages.try_send(shared))
        ++delivered;
      else
        box->lost.fetch_add(1, std::memory_order_relaxed);
      return false;
    });
    return delivered;
  }

  /// Subscribers get what waits for them, and then nothing any more.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& b : boxes_)
      if (const auto box = b.lock()) box->messages.close();
    boxes_.clear();
  }

 private:
  heddle::mutex mutex_;  // held while publishing, so all subscribers see one order
  std::vector<std::weak_ptr<mailbox>> boxes_;
  bool closed_ = false;
};

}  // namespace examples
