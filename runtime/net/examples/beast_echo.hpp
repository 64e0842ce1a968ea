// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/websocket.hpp>
#include <chrono>
#include <cstddef>
#include <stop_token>
#include <utility>

#include "heddle/asio/use_fiber.hpp"
#include "heddle/group.hpp"
#include "heddle/this_fiber.hpp"

namespace examples {

/// A WebSocket that sends back each message, by Boost.Beast: a session for asio_server. Pings and the closing handshake
/// are Beast's.
///
/// A stop closes it with "going away". A read that was cancelled would leave no WebSocket to close, so a second fiber
/// closes it, and the read ends by that.
inline void echo_websocket(boost::asio::ip::tcp::socket peer, const std::stop_token& stop,
                           std::size_t longest_message = std::size_t{16} << 20) {
  namespace websocket = boost::beast::websocket;
  using heddle::asio::use_fiber;
  websocket::stream<boost::beast::tcp_stream> socket(std::move(peer));
  socket.set_option(websocket::stream_base::timeout::suggested(boost::beast::role_type::server));
  socket.read_message_max(longest_message);

  boost::system::error_code e;
  socket.async_accept(use_fiber[e].stopped_by(stop));
  if (e) return;
  heddle::group closing;
  closing.spawn([&socket](const std::stop_token& asked) {
    heddle::this_fiber::sleep_for(std::chrono::hours::max(), asked);
    boost::system::error_code is_closed;
    socket.async_close(websocket::close_code::going_away, use_fiber[is_closed]);
  });
  boost::beast::flat_buffer message;
  for (;;) {
    socket.async_read(message, use_fiber[e]);
    if (e) return;
    socket.text(socket.got_text());
    socket.async_write(message.data(), use_fiber[e]);
    message.clear();
  }
}

}  // namespace examples
