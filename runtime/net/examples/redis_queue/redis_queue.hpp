// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <map>
#include <mutex>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "../redis/client.hpp"
#include "../redis/subscriber.hpp"
#include "heddle/condition_variable.hpp"
#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "scripts.hpp"

namespace examples {

/// The work_queue of sync/examples for the programs of many machines, which share it by a server of Redis. A program
/// that outgrows its machine changes one line:
///
///     examples::work_queue<std::string> queue;                     // this one
///     examples::redis_queue queue("redis.example:6379", "pods");   // to this one
///     heddle::go([&] {
///       while (auto item = queue.get()) reconcile(*item);
///     });
///     queue.add("pod-1");
///
/// Its promises:
/// 1. First come, first served.
/// 2. A key waits at most once: adding one that waits already does nothing.
/// 3. A key is processed by at most one worker at a time. One that is added meanwhile waits again once it is done.
/// 4. A key is gone only when its item is done. The key of a worker that died, or is cut off, comes to another one when
///    its lease is over; its workers renew it while they live. So a key may be processed twice, in part or as a whole.
///    An item whose lease was over, because its machine stood still, ends nothing: the key is the other worker's.
/// 5. After shut_down() of this object it adds nothing more, get() hands out what waits still, and then empty items.
///
/// An item that is destroyed by an exception is not done: its key comes again at once, to any worker.
///
/// The queue is a stream with a consumer group and a hash of states; each step is a script, which Redis runs as a
/// whole. Each step can be repeated when its answer is lost. add(), get(), the end of an item: one round trip, shared
/// with those of other fibers. Needs Redis 6.2. From fibers.
class redis_queue {
  using clock = std::chrono::steady_clock;
  struct ticket {
    std::string entry;     // of the stream
    std::string delivery;  // how often it has been given to a worker: this one's is the last
    std::string key;
  };

 public:
  /// The right to process one key, until it is destroyed or done() is called. Empty if the queue has been shut down.
  class [[nodiscard]] item {
   public:
    item() noexcept = default;
    item(item&& other) noexcept
        : of_(std::exchange(other.of_, nullptr)), ticket_(std::move(other.ticket_)), thrown_(other.thrown_) {}
    item& operator=(item&& other) noexcept {
      if (this != &other) {
        done();
        of_ = std::exchange(other.of_, nullptr);
        ticket_ = std::move(other.ticket_);
        thrown_ = other.thrown_;
      }
      return *this;
    }
    ~item() {
      if (std::uncaught_exceptions() > thrown_ && of_ != nullptr)
        std::exchange(of_, nullptr)->give_back(ticket_);
      else
        done();
    }

    explicit operator bool() const noexcept { return of_ != nullptr; }
    const std::string& operator*() const noexcept { return ticket_.key; }
    const std::string* operator->() const noexcept { return &ticket_.key; }
    /// How often the key has been given to a worker since it was last done: 1 unless somebody died of it, or threw.
    unsigned long attempts() const { return std::stoul(ticket_.delivery); }
    /// The key has been processed. If Redis cannot be told while the lease lasts, the key comes again.
    void done() noexcept {
      if (of_ != nullptr) std::exchange(of_, nullptr)->finish(ticket_);
    }

   private:
    friend redis_queue;
    item(redis_queue& of, ticket t) noexcept : of_(&of), ticket_(std::move(t)) {}
    redis_queue* of_ = nullptr;
    ticket ticket_;
    int thrown_ = std::uncaught_exceptions();
  };

  /// \param lease  how long the key of a worker that has died stays with it
  /// Throws redis::no_answer if there is no server.
  redis_queue(const std::string& server, const std::string& name,
              std::chrono::milliseconds lease = std::chrono::seconds(30))
      : stream_(name + ":line"),
        states_(name + ":keys"),
        channel_(name + ":added"),
        lease_(lease),
        client_({.server = server, .greeting = {}, .timeout = std::chrono::seconds(2)}),
        news_({.server = server}) {
    news_.subscribe(channel_);
    hearer_ = heddle::spawn([this] { hear(); });
    keeper_ = heddle::spawn([this] { renew(); });
  }
  redis_queue(const redis_queue&) = delete;
  redis_queue& operator=(const redis_queue&) = delete;
  /// Takes its name out of the group, which it waits for some seconds if Redis is gone. The name stays with what others
  /// are to take over; when they have done so, they take it out.
  ~redis_queue() {
    stop_.request_stop();
    try {
      if (keeper_.joinable()) keeper_.join();
      client_.command("EVAL", redis_queue_scripts::farewell, "2", stream_, states_, consumer_);
    } catch (const std::exception&) {
      // As if it had died.
    }
  }

  /// Makes sure that `key` will be processed from now on once more at least. False: the queue has been shut down.
  /// Throws redis::no_answer if Redis has not said so within a lease.
  bool add(const std::string& key) {
    if (shutting_down()) return false;
    run(redis_queue_scripts::add, clock::now() + lease_, key, channel_);
    return true;
  }

  /// The key that has waited longest; blocks while none waits. Empty: the queue has been shut down, and no key waits.
  item get() { return get(std::stop_token()); }
  /// The same until a stop is requested: empty then, too.
  item get(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      const std::size_t seen = heard();
      if (item i = take()) return i;
      std::unique_lock hold(lock_);
      if (shut_down_) break;
      // Not longer than that, since nobody says that a lease is over.
      changed_.wait_for(hold, stop, lease_ / 2, [&] { return shut_down_ || heard_ != seen; });
    }
    return {};
  }
  /// done() of `finished`, if it is not empty, and get().
  item get(item&& finished) {
    finished.done();
    return get();
  }

  /// Lets the workers of this object end.
  void shut_down() {
    {
      const std::lock_guard hold(lock_);
      shut_down_ = true;
    }
    changed_.notify_all();
  }
  [[nodiscard]] bool shutting_down() const {
    const std::lock_guard hold(lock_);
    return shut_down_;
  }
  /// How many keys wait, for all machines.
  [[nodiscard]] std::size_t size() {
    return static_cast<std::size_t>(run(redis_queue_scripts::size, clock::now() + lease_).integer());
  }

 private:
  /// Again and again until `deadline` if no answer comes.
  template <class... Words>
  redis::reply run(std::string_view script, clock::time_point deadline, const Words&... words) {
    for (;;) try {
        return client_.ask(
            std::array<std::string_view, 5 + sizeof...(words)>{"EVAL", script, "2", stream_, states_, words...},
            std::min(deadline, clock::now() + std::chrono::seconds(2)));
      } catch (const redis::no_answer&) {
        if (clock::now() >= deadline) throw;
      }
  }

  /// Empty if nothing waits, or Redis says nothing: then the loop of get() comes again. A key whose answer is lost
  /// comes when its lease is over.
  item take() {
    std::string from;
    {
      const std::lock_guard hold(lock_);
      from = look_on_;
    }
    try {
      const redis::reply r = client_.command("EVAL", redis_queue_scripts::take, "2", stream_, states_, consumer_,
                                             std::to_string(lease_.count()), from);
      const std::lock_guard hold(lock_);
      look_on_ = r[0].text();
      if (r.size() == 1) return {};
      ticket t{std::string(r[1].text()), std::to_string(r[2].integer()), std::string(r[3].text())};
      held_[t.entry] = t.delivery;
      return {*this, std::move(t)};
    } catch (const redis::no_answer&) {
      return {};
    }
  }

  void finish(const ticket& t) noexcept { leave(t, redis_queue_scripts::done, t.key); }
  void give_back(const ticket& t) noexcept { leave(t, redis_queue_scripts::age, std::to_string(lease_.count())); }
  void leave(const ticket& t, std::string_view script, const std::string& word) noexcept {
    try {
      run(script, clock::now() + lease_, consumer_, t.entry, t.delivery, word, channel_);
    } catch (const std::exception&) {
      // Redis is gone, or has forgotten the queue. The key comes again if it is still there.
    }
    const std::lock_guard hold(lock_);
    const auto held = held_.find(t.entry);
    if (held != held_.end() && held->second == t.delivery) held_.erase(held);
  }

  std::size_t heard() const {
    const std::lock_guard hold(lock_);
    return heard_;
  }
  void hear() {
    while (news_.messages().receive(stop_.get_token())) {
      {
        const std::lock_guard hold(lock_);
        ++heard_;
      }
      changed_.notify_one();
    }
  }

  void renew() {
    const std::stop_token stop = stop_.get_token();
    while (heddle::this_fiber::sleep_for(lease_ / 3, stop)) {
      std::map<std::string, std::string> held;
      {
        const std::lock_guard hold(lock_);
        held = held_;
      }
      try {
        for (const auto& [entry, delivery] : held)
          client_.command("EVAL", redis_queue_scripts::age, "2", stream_, states_, consumer_, entry, delivery, "0",
                          channel_);
        client_.command("EVAL", redis_queue_scripts::forget_the_dead, "2", stream_, states_,
                        std::to_string(2 * lease_.count()));
      } catch (const std::exception&) {
        // The next time, or the lease goes to others.
      }
    }
  }

  static std::string name_of_consumer() {
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    std::random_device random;
    return std::string(host.data()) + '-' + std::to_string(::getpid()) + '-' + std::to_string(random());
  }

  const std::string stream_, states_, channel_;
  const std::string consumer_ = name_of_consumer();
  const std::chrono::milliseconds lease_;
  std::stop_source stop_;
  mutable heddle::mutex lock_;
  heddle::condition_variable changed_;  // a key was added, or the queue has been shut down
  std::size_t heard_ = 0;               // how often one was added
  bool shut_down_ = false;
  std::string look_on_ = "0-0";              // in the search for keys whose lease is over
  std::map<std::string, std::string> held_;  // entries and deliveries of the items of this object
  redis::client client_;
  redis::subscriber news_;
  heddle::join_handle<void> hearer_, keeper_;  // last: end first
};

}  // namespace examples
