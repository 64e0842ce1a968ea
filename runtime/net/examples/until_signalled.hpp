// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <stop_token>

#include "heddle/fiber.hpp"
#include "signal_channel.hpp"

namespace examples {

/// A stop that is requested by a signal, for as long as a server runs.
///
///     examples::signal_channel asked({SIGINT, SIGTERM});  // before the runtime starts
///     heddle::run([&] {
///       examples::until_signalled over(asked);
///       server.run(over.token());
///     });
class until_signalled {
 public:
  explicit until_signalled(signal_channel& signals) : signals_(signals) {
    signals_.watch();
    waiter_ = heddle::spawn([this] {
      const std::stop_token ended = stop_.get_token();
      (void)signals_.received().receive(ended);
      stop_.request_stop();
    });
  }
  until_signalled(const until_signalled&) = delete;
  until_signalled& operator=(const until_signalled&) = delete;
  ~until_signalled() {
    stop_.request_stop();
    signals_.stop();
  }
  std::stop_token token() const noexcept { return stop_.get_token(); }

 private:
  signal_channel& signals_;
  std::stop_source stop_;
  heddle::join_handle<void> waiter_;  // last: ends first
};

}  // namespace examples
