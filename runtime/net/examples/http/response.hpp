// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/beast/http/status.hpp>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>

#include "request.hpp"

namespace examples::http {

/// The answer to a request: status and fields first, then either all of the body by one of the send() calls, or its
/// parts between begin() and end(). Date, Content-Length and what keeps the connection are set here. The answer to HEAD
/// is as that to GET, but its body is not sent. Used by the handler alone.
///
///     a.add(beast::field::content_type, "text/plain");
///     a.send("hello\n");
class response {
 public:
  response(wire& w, request& q, bool keep_alive);

  void status(unsigned code) noexcept { status_ = code; }
  unsigned status() const noexcept { return status_; }
  /// One field more, whether there is one of that name or not. Throws std::invalid_argument if the name is no token or
  /// the value would end its line, or is one of the fields that are set here.
  void add(beast::field name, std::string_view value);
  void add(std::string_view name, std::string_view value);
  void close_after() noexcept { keep_alive_ = false; }

  /// The whole answer. With what fits into 4 KiB it is one system call.
  void send(std::string_view body = {});
  void send_file(int file, off_t offset, std::size_t size);

  /// The header, and the promise of a body of `length` bytes, or of one whose length is known at its end: in chunks,
  /// or, for HTTP/1.0, up to the end of the connection.
  void begin(std::uint64_t length);
  void begin();
  void write(std::string_view part);
  void write_file(int file, off_t offset, std::size_t size);
  /// Ends a body that was begun; nothing happens without, or for the second time. A body that is shorter than it
  /// promised costs the connection.
  void end();

  /// An empty answer of that status instead of what was set; the connection ends. Nothing was begun.
  void fail(unsigned code);

  bool begun() const noexcept { return state_ != state::open; }
  bool keep_alive() const noexcept { return keep_alive_; }
  std::uint64_t body_bytes() const noexcept { return sent_; }  ///< that were sent

 private:
  enum class state : std::uint8_t {
    open,     // nothing was sent
    counted,  // a body of a promised length is under way
    chunked,  // one in chunks is
    to_end,   // one up to the end of the connection is
    ended,
  };

  bool bodiless() const noexcept;
  void begin_counted(std::uint64_t length, std::string_view body);
  void begin_as(state s, std::string_view first);
  std::size_t write_header(char* to);
  void account(std::size_t size);

  wire& wire_;
  request& request_;
  const bool head_;      // the request was HEAD
  const bool http_1_1_;  // its client knows chunks
  bool keep_alive_;
  state state_ = state::open;
  unsigned status_ = 200;
  std::uint64_t left_ = 0;  // of what was promised
  std::uint64_t sent_ = 0;
  std::pmr::string fields_;  // as they are sent
};

}  // namespace examples::http
