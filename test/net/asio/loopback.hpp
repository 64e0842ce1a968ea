// SPDX-License-Identifier: BSL-1.0
//
// Two connected sockets of a reactor, and operations that do what a test tells them to.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "heddle/asio/use_fiber.hpp"

namespace heddle::testing {

namespace net = boost::asio;
using net::ip::tcp;

inline tcp::endpoint free_loopback_port() { return {net::ip::address_v4::loopback(), 0}; }

struct connection {
  tcp::socket client;
  tcp::socket server;
  explicit connection(heddle::asio::reactor& r) : client(r.get_executor()), server(r.get_executor()) {
    tcp::acceptor listener(r.get_executor(), free_loopback_port());
    client.connect(listener.local_endpoint());
    server = listener.accept();
  }
};

/// Begins an operation by begin(handler), for an object with this executor.
template <class Begin>
struct made_initiation {
  using executor_type = heddle::asio::reactor::executor_type;
  executor_type executor;
  Begin begin;
  executor_type get_executor() const noexcept { return executor; }
  template <class Handler>
  void operator()(Handler&& handler) {
    begin(std::forward<Handler>(handler));
  }
};
template <class Signature, class Token, class Begin>
auto async_made(heddle::asio::reactor& r, Begin begin, Token&& token) {
  return net::async_initiate<Token, Signature>(made_initiation<Begin>{r.get_executor(), std::move(begin)}, token);
}
/// Begins one that completes soon, on the reactor, with these values.
template <class Signature, class Token, class... V>
auto async_values(heddle::asio::reactor& r, Token&& token, V... values) {
  return async_made<Signature>(
      r,
      [... v = std::move(values)](auto handler) mutable {
        const auto executor = net::get_associated_executor(handler);
        net::post(executor,
                  [h = std::move(handler), ... v = std::move(v)]() mutable { std::move(h)(std::move(v)...); });
      },
      std::forward<Token>(token));
}

}  // namespace heddle::testing
