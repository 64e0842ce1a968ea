// SPDX-License-Identifier: BSL-1.0
#include "request.hpp"

#include <stdexcept>

#include "framing.hpp"

namespace examples::http {
namespace {

/// The least that a body in chunks ends with, so that it does not matter to wait for it. Boost.Beast 1.81 asserts that
/// it sees so much at once, when it has seen the size 0 before.
constexpr std::size_t least_between_chunks = std::string_view("0\r\n\r\n").size();

constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

unsigned status_of(const boost::system::error_code& error) noexcept {
  if (error == beast::error::body_limit) return 413;
  if (error == beast::error::header_limit) return 431;
  if (error == beast::error::bad_version) return 505;
  return 400;
}

void request::check_expectation() {
  const auto expected = field(beast::field::expect);
  if (!expected || version() < 11) return;  // HTTP/1.0 has no such thing (RFC 9110, section 10.1.1)
  if (!same_text(*expected, "100-continue")) throw refusal{417};
  waits_for_continue_ = !parser_.is_done();
}

std::optional<std::string_view> request::field(beast::field name) const {
  const auto found = header().find(name);
  if (found == header().end()) return std::nullopt;
  return text_of(found->value());
}

std::optional<std::uint64_t> request::length() const {
  if (parser_.chunked()) return std::nullopt;
  const auto length = parser_.content_length();
  return length ? *length : 0;
}

std::size_t request::read_body(std::span<std::byte> into) {
  while (!parser_.is_done() && !into.empty()) {
    input_window& input = wire_.area().input;
    std::size_t stored = 0;
    if (input.unread().size() >= (between_chunks_ ? least_between_chunks : 1)) {
      boost::system::error_code error;
      const std::size_t used = parser_.put_body(input.unread(), into, stored, error);
      if (error) throw refusal{status_of(error)};
      between_chunks_ = used == 0;
      input.consume(used);
    }
    received_ += stored;
    if (stored > 0) return stored;
    if (!parser_.is_done()) read_more();
  }
  return 0;
}

void request::read_more() {
  if (wire_.area().input.room().empty()) throw refusal{400};  // a line between chunks that does not end
  if (waits_for_continue_ && answer_begun_)
    throw std::logic_error("http::request: the client waits to be asked for a body whose answer was begun");
  if (waits_for_continue_ && wire_.area().input.empty()) wire_.write(std::as_bytes(std::span(go_on)));
  waits_for_continue_ = false;
  if (body_began_ == time_point{}) body_began_ = std::chrono::steady_clock::now();
  try {
    if (wire_.read_before(body_began_ + wire_.time_for(received_)) == 0) throw refusal{400};
  } catch (const std::system_error& error) {
    if (is_timeout(error)) throw refusal{408};
    throw;
  }
}

std::string request::read_all() {
  std::string all;
  std::byte part[4'096];
  while (const std::size_t n = read_body(part)) all.append(reinterpret_cast<const char*>(part), n);
  return all;
}

}  // namespace examples::http
