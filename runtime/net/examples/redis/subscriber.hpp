// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "connection.hpp"
#include "heddle/channel.hpp"
#include "heddle/condition_variable.hpp"
#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"

namespace examples::redis {

/// Hears what others publish, over a connection of its own.
///
///     examples::redis::subscriber news({.server = "127.0.0.1:6379"});
///     news.subscribe("weather");
///     while (auto m = news.messages().receive()) std::puts(m->text.c_str());
///
/// A lost connection is made anew, and all is subscribed to again. Messages that were published meanwhile are lost, as
/// Redis keeps nothing; connections() tells that it may have happened. A receiver that is slow makes the messages wait
/// in Redis, which ends a connection for which too many wait. From fibers.
class subscriber {
 public:
  using clock = std::chrono::steady_clock;
  struct message {
    std::string channel, text;
  };

  explicit subscriber(options o, std::size_t most_messages = 1000)
      : options_(std::move(o)), messages_(most_messages), runner_(heddle::spawn([this] { run(); })) {}
  subscriber(const subscriber&) = delete;
  subscriber& operator=(const subscriber&) = delete;
  ~subscriber() { stop_.request_stop(); }

  /// Returns when Redis has confirmed: what is published from now on is heard. Throws no_answer; the subscription is
  /// not forgotten then.
  void subscribe(const std::string& channel) {
    const auto deadline = clock::now() + options_.timeout;
    std::unique_lock hold(lock_);
    wanted_.insert(channel);
    tell("SUBSCRIBE", channel);
    if (!changed_.wait_until(hold, deadline, [&] { return confirmed_.contains(channel); }))
      throw no_answer("redis at " + options_.server + ": not subscribed to " + channel + " yet", true);
  }
  void unsubscribe(const std::string& channel) {
    const std::lock_guard hold(lock_);
    wanted_.erase(channel);
    confirmed_.erase(channel);
    tell("UNSUBSCRIBE", channel);
  }

  heddle::channel<message>& messages() noexcept { return messages_; }
  /// How many connections there have been.
  std::size_t connections() const {
    const std::lock_guard hold(lock_);
    return connections_;
  }

 private:
  void run() {
    keep_connected(
        options_, stop_.get_token(), [this](connection& c) { serve(c); }, [](const char*) {});
    messages_.close();
  }

  /// Nobody has the connection any more when it is destroyed.
  struct current_connection {
    current_connection(subscriber& s, connection& c) : s_(s) {
      const std::lock_guard hold(s_.lock_);
      s_.current_ = &c;
      ++s_.connections_;
      for (const std::string& channel : s_.wanted_) s_.tell("SUBSCRIBE", channel);
    }
    current_connection(const current_connection&) = delete;
    current_connection& operator=(const current_connection&) = delete;
    ~current_connection() {
      const std::lock_guard hold(s_.lock_);
      s_.current_ = nullptr;
      s_.confirmed_.clear();
    }
    subscriber& s_;
  };

  void serve(connection& c) {
    const current_connection current(*this, c);
    for (;;) {
      const reply r = c.read(stop_.get_token());
      if (r.is_error()) throw error(std::string(r.text()));
      if (r.size() == 3) heard(r);
    }
  }

  /// ["message", channel, text], ["subscribe", channel, how many]: an array, in RESP3 a push.
  void heard(const reply& r) {
    const std::string_view kind = r[0].text();
    const std::string channel(r[1].text());
    if (kind == "message") {
      (void)messages_.send(message{channel, std::string(r[2].text())}, stop_.get_token());
    } else if (kind == "subscribe") {
      const std::lock_guard hold(lock_);
      if (wanted_.contains(channel)) confirmed_.insert(channel);
      changed_.notify_all();
    }
  }

  /// With the lock, so that the connection stays. Words that cannot be written are said again to the next connection.
  void tell(std::string_view what, std::string_view channel) {
    if (current_ == nullptr) return;
    std::string bytes;
    append_command(bytes, std::array{what, channel});
    try {
      current_->write(bytes, options_.timeout);
    } catch (const heddle::io::error&) {
    }
  }

  const options options_;
  std::stop_source stop_;
  mutable heddle::mutex lock_;
  heddle::condition_variable changed_;  // one more is confirmed
  connection* current_ = nullptr;
  std::set<std::string> wanted_, confirmed_;
  std::size_t connections_ = 0;
  heddle::channel<message> messages_;
  heddle::join_handle<void> runner_;  // last: ends first
};

}  // namespace examples::redis
