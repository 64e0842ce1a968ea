// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>

#include "asio_dial.hpp"
#include "heddle/asio/use_fiber.hpp"

namespace examples {

namespace http = boost::beast::http;

/// HTTP/1.1 by Boost.Beast, written as if it blocked: a session for asio_server. Keeps connections alive, and takes
/// requests that come before the last one is answered.
///
///     examples::asio_server server(reactor, endpoint, examples::http_session([](const auto& request) {
///       examples::http_session::response r(http::status::ok, 11);
///       r.body() = "you asked for " + std::string(request.target());
///       return r;
///     }));
class http_session {
 public:
  using request = http::request<http::string_body>;
  using response = http::response<http::string_body>;
  using handler = std::function<response(const request&)>;

  explicit http_session(handler h, std::chrono::nanoseconds patience = std::chrono::seconds(30))
      : answer_(std::move(h)), patience_(patience) {}

  void operator()(boost::asio::ip::tcp::socket peer, const std::stop_token& stop) const {
    boost::beast::tcp_stream stream(std::move(peer));
    boost::beast::flat_buffer buffer;
    while (serve_one(stream, buffer, stop)) {
    }
    boost::system::error_code ignored;
    stream.socket().shutdown(boost::asio::socket_base::shutdown_send, ignored);
  }

 private:
  /// False: the connection ends.
  bool serve_one(boost::beast::tcp_stream& stream, boost::beast::flat_buffer& buffer,
                 const std::stop_token& stop) const {
    using heddle::asio::use_fiber;
    http::request_parser<http::string_body> parser;
    parser.header_limit(8 << 10);
    parser.body_limit(64 << 10);
    boost::system::error_code e;
    http::async_read(stream, buffer, parser, use_fiber[e].within(patience_).stopped_by(stop));
    response out = e ? response(http::status::bad_request, 11) : answer_(parser.get());
    if (e && !is_bad_request(e)) return false;
    out.keep_alive(!e && parser.get().keep_alive() && !stop.stop_requested());
    out.prepare_payload();
    http::async_write(stream, out, use_fiber[e].within(patience_));
    return !e && out.keep_alive();
  }
  static bool is_bad_request(const boost::system::error_code& e) {
    return e.category() == http::make_error_code(http::error::end_of_stream).category() &&
           e != http::error::end_of_stream && e != http::error::partial_message;
  }

  const handler answer_;
  const std::chrono::nanoseconds patience_;
};

/// A connection to an HTTP server, for one fiber at a time.
///
///     examples::http_client client(reactor, "localhost", "8080");
///     std::string page = client.get("/").body();
class http_client {
 public:
  using response = http_session::response;

  http_client(heddle::asio::reactor& r, std::string host, const std::string& service,
              std::chrono::nanoseconds timeout = std::chrono::seconds(30))
      : host_(std::move(host)), timeout_(timeout), stream_(dial(r, host_, service, timeout)) {}

  /// Throws boost::system::system_error, also if it lasts longer than the timeout.
  response get(const std::string& target) {
    http_session::request q(http::verb::get, target, 11);
    return exchange(std::move(q));
  }
  response post(const std::string& target, std::string body) {
    http_session::request q(http::verb::post, target, 11, std::move(body));
    return exchange(std::move(q));
  }

 private:
  response exchange(http_session::request q) {
    q.set(http::field::host, host_);
    q.prepare_payload();
    const auto by_then = heddle::asio::use_fiber.within(timeout_);
    http::async_write(stream_, q, by_then);
    response r;
    http::async_read(stream_, buffer_, r, by_then);
    return r;
  }

  const std::string host_;
  const std::chrono::nanoseconds timeout_;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
};

}  // namespace examples
