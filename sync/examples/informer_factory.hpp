// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <typeindex>
#include <utility>

#include "heddle/condition_variable.hpp"
#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/wait_group.hpp"

namespace examples {

/// Keeps a copy of all objects of one type up to date.
class informer {
 public:
  informer() = default;
  informer(const informer&) = delete;
  informer& operator=(const informer&) = delete;
  virtual ~informer() = default;

  /// Lists and watches, until a stop is requested. Calls synced() when it has listed all there was. No exception may
  /// leave it.
  virtual void run(std::stop_token stop) = 0;

  [[nodiscard]] bool has_synced() const {
    const std::lock_guard lock(mutex_);
    return synced_;
  }
  /// Waits until it has; false: a stop was requested before.
  bool wait_until_synced(const std::stop_token& stop) const {
    std::unique_lock lock(mutex_);
    return changed_.wait(lock, stop, [this] { return synced_; });
  }

 protected:
  void synced() {
    {
      const std::lock_guard lock(mutex_);
      synced_ = true;
    }
    changed_.notify_all();
  }

 private:
  mutable heddle::mutex mutex_;
  mutable heddle::condition_variable changed_;
  bool synced_ = false;
};

/// One informer for each type, shared by all who ask, each started exactly once whoever calls start() and how often.
///
///     examples::informer_factory factory;
///     auto pods = factory.informer_for<pod_informer>(client);
///     factory.start(stop);                                     // starts those that have not been started
///     for (auto [type, synced] : factory.wait_for_cache_sync(stop)) assert(synced);
///     ...
///     source.request_stop();
///     factory.shutdown();                                      // waits for all
///
/// From fibers and plain threads. Source: client-go's SharedInformerFactory, whose sync.Mutex is a heddle::mutex here.
class informer_factory {
 public:
  informer_factory() = default;
  informer_factory(const informer_factory&) = delete;
  informer_factory& operator=(const informer_factory&) = delete;
  /// Those that were started must have been asked to stop.
  ~informer_factory() { shutdown(); }

  /// The one informer of type I; the first call makes it of the arguments.
  template <std::derived_from<informer> I, class... A>
  std::shared_ptr<I> informer_for(A&&... arguments) {
    const std::lock_guard lock(mutex_);
    const auto known = informers_.find(typeid(I));
    if (known != informers_.end()) return std::static_pointer_cast<I>(known->second.shared);
    auto made = std::make_shared<I>(std::forward<A>(arguments)...);
    informers_.emplace(typeid(I), member{made});
    return made;
  }

  /// Starts those that have not been started; each runs on a fiber of its own until `stop`. Nothing after shutdown().
  void start(const std::stop_token& stop) {
    const std::lock_guard lock(mutex_);
    if (shut_down_) return;
    for (auto& [type, m] : informers_) {
      if (m.started) continue;
      running_.add();
      try {
        heddle::go([this, stop, shared = m.shared] {
          shared->run(stop);
          running_.done();
        });
      } catch (...) {
        running_.done();
        throw;
      }
      m.started = true;
    }
  }

  /// Waits until those that have been started have synced, or until a stop is requested: says of each whether it has.
  std::map<std::type_index, bool> wait_for_cache_sync(const std::stop_token& stop) const {
    std::map<std::type_index, std::shared_ptr<informer>> started;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [type, m] : informers_)
        if (m.started) started.emplace(type, m.shared);
    }
    std::map<std::type_index, bool> synced;
    for (const auto& [type, i] : started) synced.emplace(type, i->wait_until_synced(stop));
    return synced;
  }

  /// Lets nobody start any more, and waits for all that run; they must have been asked to stop.
  void shutdown() {
    {
      const std::lock_guard lock(mutex_);
      shut_down_ = true;
    }
    running_.wait();
  }

 private:
  struct member {
    std::shared_ptr<informer> shared;
    bool started = false;
  };
  mutable heddle::mutex mutex_;
  std::map<std::type_index, member> informers_;
  bool shut_down_ = false;
  heddle::wait_group running_;
};

}  // namespace examples
