// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include "heddle/channel.hpp"
#include "heddle/group.hpp"

namespace examples {

/// A fixed number of fibers that do what is handed to them: for work that must not run all at once because of what it
/// holds (connections, memory). Where only the number counts, a heddle::group with a limit is simpler.
///
///     examples::worker_pool pool(8, 100);
///     for (const auto& url : urls) pool.submit([&] { fetch(url); });
///     pool.finish();   // all done; rethrows the first exception
///
/// submit() blocks while `backlog` jobs wait. After the first exception what waits is dropped, and submit() says false.
class worker_pool {
 public:
  using job = std::function<void()>;

  explicit worker_pool(std::size_t workers, std::size_t backlog = 0) : jobs_(backlog) {
    for (std::size_t i = 0; i != workers; ++i)
      workers_.spawn([this](heddle::detail::stop_token stop) {
        for (auto next = jobs_.receive(stop); next && !stop.stop_requested(); next = jobs_.receive(stop)) (*next)();
      });
  }
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;
  /// Waits for what runs; what waits is dropped.
  ~worker_pool() = default;

  /// Has `f` done by one of the workers. False: one of them has failed, or finish() has been called.
  bool submit(job f) {
    try {
      return jobs_.send(std::move(f), workers_.get_token()) && !workers_.stop_requested();
    } catch (const heddle::channel_closed&) {
      return false;
    }
  }

  /// Waits until all is done. Rethrows the first exception that left a job. Of its owner alone.
  void finish() {
    if (!jobs_.closed()) jobs_.close();
    workers_.wait();
  }

 private:
  heddle::channel<job> jobs_;
  heddle::group workers_;  // last: ends first
};

}  // namespace examples
