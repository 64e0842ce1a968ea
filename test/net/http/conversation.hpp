// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <initializer_list>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "net/http/socket_stream.hpp"
#include "server.hpp"

namespace heddle::testing {

/// A server of one connection on a thread of its own, and its client, which is the test. Ends with the connection.
class conversation {
 public:
  explicit conversation(examples::http::handler handle, examples::http::server_options options = {})
      : options_(std::move(options)), handle_(std::move(handle)) {
    int ends[2];
    BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    client_ = ends[0];
    const timeval patience{20, 0};  // a test that waits for ever fails
    ::setsockopt(client_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    thread_ = std::thread([this, fd = ends[1]] {
      socket_stream stream(fd);
      examples::http::serve(stream, handle_, options_, stop_.get_token(), "tester");
      writes_ = stream.writes;
    });
  }
  ~conversation() {
    ::close(client_);
    if (thread_.joinable()) thread_.join();
    examples::http::work_area::free_rested();
  }
  conversation(const conversation&) = delete;
  conversation& operator=(const conversation&) = delete;

  void send(std::string_view text) {
    // A server that has refused us may be gone.
    static_cast<void>(::send(client_, text.data(), text.size(), MSG_NOSIGNAL));
  }
  void finish() { ::shutdown(client_, SHUT_WR); }

  /// All bytes up to the end of the connection, without fields Date, each of which must be a date.
  std::string rest() {
    while (receive()) {
    }
    return without_dates(std::move(received_));
  }
  /// The same up to this text and with it.
  std::string until(std::string_view text) {
    std::size_t at = 0;
    while ((at = received_.find(text)) == std::string::npos) BOOST_REQUIRE(receive());
    std::string part = received_.substr(0, at + text.size());
    received_.erase(0, at + text.size());
    return without_dates(std::move(part));
  }
  void request_stop() { stop_.request_stop(); }
  /// Calls of the server's stream that wrote; waits for its end.
  int writes() {
    thread_.join();
    return writes_;
  }

 private:
  bool receive() {
    char part[4'096];
    const ssize_t got = ::recv(client_, part, sizeof part, 0);
    BOOST_REQUIRE_MESSAGE(got >= 0 || errno == ECONNRESET, "no answer, after: " + received_);
    if (got > 0) received_.append(part, static_cast<std::size_t>(got));
    return got > 0;
  }
  static std::string without_dates(std::string text) {
    for (std::size_t at; (at = text.find("Date: ")) != std::string::npos;) {
      const std::size_t end = text.find("\r\n", at);
      BOOST_REQUIRE(end != std::string::npos);
      BOOST_TEST(end - at == std::string_view("Date: Sun, 06 Nov 1994 08:49:37 GMT").size());
      text.erase(at, end + 2 - at);
    }
    return text;
  }

  examples::http::server_options options_;
  examples::http::handler handle_;
  std::stop_source stop_;
  int client_ = -1;
  int writes_ = 0;
  std::string received_;
  std::thread thread_;
};

/// All parts in one: gcc 12 warns, wrongly, of "text" + std::to_string(n).
inline std::string joined(std::initializer_list<std::string_view> parts) {
  std::string all;
  for (const std::string_view part : parts) all += part;
  return all;
}

/// Says what it was asked for, and how long the body was.
inline void tell(examples::http::request& q, examples::http::response& a) {
  const std::string body = q.read_all();
  a.send(std::string(q.method_text()) + ' ' + std::string(q.target()) + ' ' + body + '\n');
}

/// All that a server says to `sent`, after which the client sends no more.
inline std::string answers_to(std::string_view sent, examples::http::handler handle = tell,
                              examples::http::server_options options = {}) {
  conversation c(std::move(handle), std::move(options));
  c.send(sent);
  c.finish();
  return c.rest();
}

/// The status of the last answer, which must end the connection.
inline std::string refusal_of(std::string_view sent) {
  conversation c(tell);
  c.send(sent);
  const std::string answer = c.rest();  // the server ends it, though we have not
  return answer.substr(0, answer.find("\r\n"));
}

}  // namespace heddle::testing
