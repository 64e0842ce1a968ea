// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <deque>
#include <exception>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "connection.hpp"
#include "heddle/condition_variable.hpp"
#include "heddle/fiber.hpp"
#include "heddle/future.hpp"
#include "heddle/group.hpp"
#include "heddle/mutex.hpp"

namespace examples::redis {

/// A client of Redis that any number of fibers share, over one connection.
///
///     examples::redis::client redis({.server = "127.0.0.1:6379"});
///     redis.command("SET", "answer", "42");
///     std::string answer(redis.command("GET", "answer").text());
///
/// 1. Commands go out in batches: while one batch is written the next one gathers. Replies come in the order of the
///    commands, and each goes to its own.
/// 2. A lost connection is made anew, with pauses that grow. Commands that wait for the connection go on waiting, until
///    their time is over. Those that were sent, or stood next in line, fail with no_answer, whose maybe_done() is true:
///    Redis may have carried them out or not. None is sent twice.
/// 3. A command whose time is over fails alone; its reply is dropped when it comes.
///
/// Commands that make Redis wait (BLPOP, WAIT) hold up all others, and SUBSCRIBE is for the class subscriber. Give
/// them, and MULTI, a client of their own. From fibers; it must outlive its callers.
class client {
 public:
  using clock = std::chrono::steady_clock;

  /// Returns at once: the first command waits for the connection.
  explicit client(options o) : options_(std::move(o)), runner_(heddle::spawn([this] { run(); })) {}
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  ~client() { stop_.request_stop(); }

  /// A command of words. Throws redis::error, what Redis says; no_answer; std::bad_alloc.
  template <std::convertible_to<std::string_view>... Words>
  reply command(const Words&... words) {
    return ask(std::array<std::string_view, sizeof...(words)>{words...}, clock::now() + options_.timeout);
  }
  /// The same with a deadline of its own.
  reply ask(std::span<const std::string_view> words, clock::time_point deadline) {
    std::string bytes;
    append_command(bytes, words);
    heddle::future<reply> answer = send(bytes, deadline);
    if (answer.wait_until(deadline) != heddle::future_status::ready)
      throw no_answer("redis at " + options_.server + ": no answer in time", true);
    reply r = answer.get();
    if (r.is_error()) throw error(std::string(r.text()));
    return r;
  }

 private:
  /// Waits for the connection, and for room.
  heddle::future<reply> send(const std::string& bytes, clock::time_point deadline) {
    std::unique_lock hold(lock_);
    const auto may_go = [this] { return connected_ && waiting_.size() < options_.most_in_flight; };
    if (!ready_.wait_until(hold, deadline, may_go))
      throw no_answer("redis at " + options_.server + ": not sent in time: " +
                          (connected_ ? "too many commands are on the way" : "no connection: " + why_not_),
                      false);
    outgoing_ += bytes;
    heddle::future<reply> answer = waiting_.emplace_back().get_future();
    hold.unlock();
    work_.notify_one();
    return answer;
  }

  void run() {
    keep_connected(
        options_, stop_.get_token(),
        [this](connection& c) {
          heddle::group both({.stop = stop_.get_token()});
          both.spawn([&](const std::stop_token& over) { write_all(c, over); });
          both.spawn([&](const std::stop_token& over) { read_all(c, over); });
          {
            const std::lock_guard hold(lock_);
            connected_ = true;
          }
          ready_.notify_all();
          both.wait();
        },
        [this](const char* why) { lost(why); });
  }

  void write_all(connection& c, const std::stop_token& over) {
    for (std::string batch;; batch.clear()) {
      {
        std::unique_lock hold(lock_);
        if (!work_.wait(hold, over, [this] { return !outgoing_.empty(); })) return;
      }
      heddle::this_fiber::yield();  // those that are about to send come along
      {
        const std::lock_guard hold(lock_);
        batch.swap(outgoing_);
      }
      c.write(batch, over);
    }
  }

  void read_all(connection& c, const std::stop_token& over) {
    for (;;) {
      reply r = c.read(over);
      if (!r.is_answer()) continue;
      std::unique_lock hold(lock_);
      if (waiting_.empty()) throw std::runtime_error("a reply to no command: " + std::string(r.text()));
      heddle::promise<reply> answer = std::move(waiting_.front());
      waiting_.pop_front();
      hold.unlock();
      ready_.notify_one();
      answer.set_value(std::move(r));
    }
  }

  /// All that was on the way fails.
  void lost(const char* why) {
    std::deque<heddle::promise<reply>> failed;
    {
      const std::lock_guard hold(lock_);
      connected_ = false;
      why_not_ = why;
      failed.swap(waiting_);
      outgoing_.clear();
    }
    const auto reason = std::make_exception_ptr(no_answer(
        "redis at " + options_.server + ": the connection is lost, the command may have been done: " + why, true));
    for (auto& answer : failed) answer.set_exception(reason);
  }

  const options options_;
  std::stop_source stop_;
  heddle::mutex lock_;
  heddle::condition_variable work_;             // something is to be written
  heddle::condition_variable ready_;            // there is a connection, or room
  std::string outgoing_;                        // commands to be written
  std::deque<heddle::promise<reply>> waiting_;  // of those, and of those that were written, in their order
  bool connected_ = false;
  std::string why_not_ = "none yet";
  heddle::join_handle<void> runner_;  // last: ends first
};

}  // namespace examples::redis
