// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <stop_token>
#include <utility>

#include "heddle/asio/use_fiber.hpp"
#include "heddle/group.hpp"
#include "heddle/this_fiber.hpp"

namespace examples {

/// Accepts TCP connections of Boost.Asio and gives each a fiber, `most` at a time; further ones wait in the kernel.
///
///     heddle::asio::reactor reactor;
///     examples::asio_server server(reactor, {tcp::v4(), 8080}, [](tcp::socket peer, std::stop_token stop) { ... });
///     ...
///     server.stop();   // sessions see the stop, and have ended when it returns
///
/// An exception that leaves a session stops the server, and comes out of stop().
class asio_server {
 public:
  using tcp = boost::asio::ip::tcp;
  using session = std::function<void(tcp::socket, std::stop_token)>;

  asio_server(heddle::asio::reactor& r, const tcp::endpoint& at, session s, std::size_t most = 1'000)
      : acceptor_(r.get_executor(), at), session_(std::move(s)), sessions_({.limit = most}) {
    accepting_.spawn([this](std::stop_token stop) { accept(stop); });
  }
  ~asio_server() { sessions_.request_stop(); }

  tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
  /// Accepts no more, asks the sessions to stop, and waits for them.
  void stop() {
    accepting_.request_stop();
    sessions_.request_stop();
    accepting_.wait();
    sessions_.wait();
  }

 private:
  void accept(const std::stop_token& stop) {
    using heddle::asio::use_fiber;
    while (!stop.stop_requested()) {
      boost::system::error_code e;
      tcp::socket peer = acceptor_.async_accept(use_fiber[e].stopped_by(stop));
      if (e) {  // no descriptors, for instance: others will end
        heddle::this_fiber::sleep_for(std::chrono::milliseconds(5), stop);
        continue;
      }
      const bool goes_on = sessions_.spawn(
          [this, p = std::move(peer)](std::stop_token s) mutable { session_(std::move(p), std::move(s)); });
      if (!goes_on) return;
    }
  }

  tcp::acceptor acceptor_;
  const session session_;
  heddle::group sessions_;
  heddle::group accepting_;  // the first to go
};

}  // namespace examples
