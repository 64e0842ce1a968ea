// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "request_parser.hpp"
#include "wire.hpp"

namespace examples::http {

/// A client's request. Texts are valid until the handler returns. Used by the handler alone.
class request {
 public:
  /// `parser` has parsed the header.
  request(wire& w, request_parser& parser) : wire_(w), parser_(parser) {}

  /// Looks whether the client waits for "100 Continue". Throws refusal{417} if it expects something that we do not
  /// know. For the server, before the handler has its turn.
  void check_expectation();

  beast::verb method() const { return header().method(); }  ///< unknown: see method_text()
  std::string_view method_text() const { return text_of(header().method_string()); }
  std::string_view target() const { return text_of(header().target()); }
  bool is_head() const { return method() == beast::verb::head; }
  unsigned version() const { return header().version(); }  ///< 10 or 11
  const beast::request_header<fields>& header() const noexcept { return parser_.header(); }

  /// The first field of this name, of which there may be more: see header().
  std::optional<std::string_view> field(beast::field name) const;

  /// How long the body is; nothing: it is chunked.
  std::optional<std::uint64_t> length() const;

  /// Reads some of the body. 0: that was all of it. A client that waits for "100 Continue" is told so first, for which
  /// it is too late when the answer was begun: std::logic_error. Throws refusal if the body is broken (400), too long
  /// (413) or too slow (408), std::system_error if the connection is.
  std::size_t read_body(std::span<std::byte> into);

  /// All of the body, which limits::body_size bounds.
  std::string read_all();

  /// For the answer, which says that it was begun.
  void answer_begins() noexcept { answer_begun_ = true; }
  bool body_done() const { return parser_.is_done(); }
  /// The client waits for "100 Continue", which it was not told.
  bool withholds_body() const noexcept { return waits_for_continue_; }
  /// The client asks for more requests on this connection.
  bool keep_alive() const { return parser_.keep_alive(); }

 private:
  void read_more();

  wire& wire_;
  request_parser& parser_;
  bool waits_for_continue_ = false;
  bool answer_begun_ = false;
  bool between_chunks_ = false;  // the parser wants more of what stands there
  std::uint64_t received_ = 0;   // of the body
  time_point body_began_{};
};

/// The status of the answer to a request that the parser refuses.
unsigned status_of(const boost::system::error_code& error) noexcept;

}  // namespace examples::http
