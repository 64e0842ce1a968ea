// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/ssl.hpp>
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>

#include "asio_dial.hpp"
#include "heddle/asio/use_fiber.hpp"

namespace examples {

using tls_stream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket>;

/// A TLS connection, by Asio's streams over OpenSSL, to a server that proves to be `host` by a certificate that
/// `context` trusts.
///
///     boost::asio::ssl::context context(boost::asio::ssl::context::tls_client);
///     context.set_default_verify_paths();
///     examples::tls_stream peer = examples::dial_tls(reactor, context, "www.example.org", "443", 10s);
///
/// \throws boost::system::system_error: as dial(), and what is wrong with the certificate.
inline tls_stream dial_tls(heddle::asio::reactor& r, boost::asio::ssl::context& context, const std::string& host,
                           const std::string& service, std::chrono::nanoseconds timeout) {
  namespace ssl = boost::asio::ssl;
  const auto end = std::chrono::steady_clock::now() + timeout;
  tls_stream s(dial(r, host, service, timeout), context);
  s.set_verify_mode(ssl::verify_peer);
  s.set_verify_callback(ssl::host_name_verification(host));
  if (SSL_set_tlsext_host_name(s.native_handle(), host.c_str()) != 1)  // which of its certificates the server shows
    throw boost::system::system_error(static_cast<int>(::ERR_get_error()), boost::asio::error::get_ssl_category());
  s.async_handshake(ssl::stream_base::client, heddle::asio::use_fiber.until(end));
  return s;
}

/// The server's side: a session for asio_server. A peer has `patience` for its handshake, and to say that it has seen
/// the end.
class tls_session {
 public:
  using handler = std::function<void(tls_stream&, const std::stop_token&)>;

  tls_session(boost::asio::ssl::context& context, handler h, std::chrono::nanoseconds patience)
      : context_(&context), handle_(std::move(h)), patience_(patience) {}

  void operator()(boost::asio::ip::tcp::socket peer, const std::stop_token& stop) const {
    using heddle::asio::use_fiber;
    tls_stream s(std::move(peer), *context_);
    boost::system::error_code e;
    s.async_handshake(boost::asio::ssl::stream_base::server, use_fiber[e].within(patience_).stopped_by(stop));
    if (e) return;
    handle_(s, stop);
    // Tells the peer that this is the end, so that nobody else can make it believe so.
    s.async_shutdown(use_fiber[e].within(patience_));
  }

 private:
  boost::asio::ssl::context* context_;
  handler handle_;
  std::chrono::nanoseconds patience_;
};

}  // namespace examples
