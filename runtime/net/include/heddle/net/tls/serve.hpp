// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <chrono>
#include <concepts>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "heddle/net/serve.hpp"
#include "heddle/net/tls/stream.hpp"

namespace heddle::net::tls {

/// Accepts the connections of another listener, which it refers to, as TLS streams. No handshake is done here, so that
/// a slow client holds up nobody: the stream's first call does it. For net::serve() and loops of one's own.
template <class Listener>
class listener {
 public:
  listener(Listener& lower, const context& c) noexcept : lower_(&lower), context_(c) {}

  /// Errors: those of the listener beneath, and ENOMEM.
  stream accept(const limits& l, std::error_code& ec) {
    auto connection = lower_->accept(l, ec);
    if (ec) return {};
    try {
      return stream(std::move(connection), context_);
    } catch (const std::bad_alloc&) {
      ec = std::error_code(ENOMEM, std::system_category());
      return {};
    }
  }
  stream accept(std::error_code& ec) { return accept({}, ec); }
  stream accept(const limits& l = {}) {
    std::error_code ec;
    stream s = accept(l, ec);
    if (ec) throw io::error(ec, "accept on " + name());
    return s;
  }

  std::string name() const { return lower_->name(); }
  bool is_open() const noexcept { return lower_->is_open(); }
  void close() noexcept { lower_->close(); }

 private:
  Listener* lower_;
  context context_;
};

struct serve_options {
  std::chrono::nanoseconds handshake_time = std::chrono::seconds(10);  ///< clients that take longer are dropped
  net::serve_options connections = {};
};

/// net::serve() for connections by TLS: handler(tls::stream&), or handler(tls::stream&, stop), is called after the
/// handshake, which goes on on the connection's fiber. When the handler returns the peer is told that this is the end;
/// when it throws the connection is aborted.
///
/// \code
/// tls::serve(listener, context, [](tls::stream& peer) { peer.write("hello\n"); }, stop);
/// \endcode
template <class Listener, class Handler>
void serve(Listener& lower, const context& c, Handler&& handler, const heddle::detail::stop_token& stop = {},
           const serve_options& o = {}) {
  listener<Listener> secure(lower, c);
  const auto talk = [&](stream& peer, const heddle::detail::stop_token& ending) {
    try {
      peer.handshake({std::chrono::steady_clock::now() + o.handshake_time, ending});
      if constexpr (std::invocable<Handler&, stream&, heddle::detail::stop_token>)
        handler(peer, ending);
      else
        handler(peer);
    } catch (...) {
      peer.abort();
      throw;
    }
  };
  net::serve(secure, talk, stop, o.connections);
}

}  // namespace heddle::net::tls
