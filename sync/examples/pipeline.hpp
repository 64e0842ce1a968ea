// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

#include "heddle/channel.hpp"
#include "heddle/group.hpp"

namespace examples {

/// Stages that run at the same time and hand values on through channels. The first exception in any of them, a deadline
/// or a stop ends them all: nobody is left blocked on a neighbour that is gone.
///
///     examples::pipeline p({.timeout = std::chrono::minutes(1)});
///     auto paths = p.source<std::string>([&](auto emit) { for (auto& f : files) if (!emit(f.path())) return; });
///     auto sums  = p.stage(paths, [](std::string path) { return sha256(path); }, 8);   // on eight fibers
///     p.sink(sums, [&](digest d) { print(d); });
///     p.wait();   // all values are through; or throws what a stage threw, or heddle::deadline_exceeded
///
/// Values keep their order where a stage runs on one fiber. Source: "Go Concurrency Patterns: Pipelines and
/// cancellation", with a group for its done channel.
class pipeline {
 public:
  template <class T>
  using flow = std::shared_ptr<heddle::channel<T>>;

  /// `buffer` values may wait between two stages.
  explicit pipeline(const heddle::group_options& o = {}, std::size_t buffer = 16) : buffer_(buffer), stages_(o) {}

  /// produce(emit) makes the values: emit(value) blocks while the next stage is behind; false: it is to end.
  template <class T, class Produce>
  flow<T> source(Produce produce) {
    auto out = make_output<T>(1);
    start(out, [=](const heddle::detail::stop_token& stop) mutable {
      produce([&](T value) { return out->channel.send(std::move(value), stop); });
    });
    return flow<T>(out, &out->channel);
  }

  /// f(value) for each, on `fibers` fibers: a flow of what it returns.
  template <class T, class F>
  auto stage(const flow<T>& in, F f, std::size_t fibers = 1) -> flow<std::invoke_result_t<F&, T>> {
    using result = std::invoke_result_t<F&, T>;
    auto out = make_output<result>(fibers);
    for (std::size_t i = 0; i != fibers; ++i)
      start(out, [=](const heddle::detail::stop_token& stop) mutable {
        for (auto value = in->receive(stop); value; value = in->receive(stop))
          if (!out->channel.send(f(std::move(*value)), stop)) return;
      });
    return flow<result>(out, &out->channel);
  }

  /// f(value) for each, on one fiber.
  template <class T, class F>
  void sink(const flow<T>& in, F f) {
    stages_.spawn([=](heddle::detail::stop_token stop) mutable {
      for (auto value = in->receive(stop); value && !stop.stop_requested(); value = in->receive(stop))
        f(std::move(*value));
    });
  }

  void wait() { stages_.wait(); }
  bool request_stop() noexcept { return stages_.request_stop(); }

 private:
  /// A channel that the last of its senders closes.
  template <class T>
  struct output {
    output(std::size_t capacity, std::size_t fibers) : channel(capacity), senders(fibers) {}
    heddle::channel<T> channel;
    std::atomic<std::size_t> senders;
  };
  template <class T>
  std::shared_ptr<output<T>> make_output(std::size_t fibers) {
    return std::make_shared<output<T>>(buffer_, fibers);
  }

  template <class T, class F>
  void start(const std::shared_ptr<output<T>>& out, F f) {
    struct sender {
      std::shared_ptr<output<T>> out;
      ~sender() {
        if (out != nullptr && out->senders.fetch_sub(1) == 1) out->channel.close();
      }
      sender(std::shared_ptr<output<T>> o) : out(std::move(o)) {}  // NOLINT(google-explicit-constructor)
      sender(sender&&) noexcept = default;
    };
    // However it ends, and also if it is not started any more, it is no longer among the senders.
    stages_.spawn([f = std::move(f), s = sender(out)](heddle::detail::stop_token stop) mutable { f(stop); });
  }

  std::size_t buffer_;
  heddle::group stages_;  // last: ends first
};

}  // namespace examples
