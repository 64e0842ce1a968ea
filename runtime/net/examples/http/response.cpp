// SPDX-License-Identifier: BSL-1.0
#include "response.hpp"

#include <charconv>
#include <cstring>
#include <stdexcept>

#include "framing.hpp"

namespace examples::http {
namespace {

iovec piece_of(std::span<const std::byte> bytes) noexcept {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};
}
iovec piece_of(std::string_view text) noexcept { return piece_of(std::as_bytes(std::span(text))); }

/// RFC 9110, section 5.6.2.
bool is_token(std::string_view text) noexcept {
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos) return false;
  }
  return !text.empty();
}

void require_value(std::string_view value) {
  for (const char c : value)
    if (c == '\r' || c == '\n' || c == '\0')
      throw std::invalid_argument("http::response: the value of a field may not contain CR, LF or NUL");
}

void require_name(std::string_view name) {
  if (!is_token(name)) throw std::invalid_argument("http::response: the name of a field must be a token");
  for (const char* ours : {"Date", "Content-Length", "Transfer-Encoding", "Connection"})
    if (same_text(name, ours))
      throw std::invalid_argument(std::string("http::response: ") + ours + " is set by the server");
}

/// Text behind text, in memory that is large enough.
class writer {
 public:
  explicit writer(char* to) noexcept : begin_(to), at_(to) {}
  writer& operator<<(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }
  writer& operator<<(std::uint64_t number) noexcept {
    at_ = std::to_chars(at_, at_ + 20, number).ptr;
    return *this;
  }
  std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

 private:
  char* const begin_;
  char* at_;
};

/// The most that write_header() writes beside fields.
constexpr std::size_t most_around_fields = 256;

}  // namespace

response::response(wire& w, request& q, bool keep_alive)
    : wire_(w),
      request_(q),
      head_(q.is_head()),
      http_1_1_(q.version() >= 11),
      keep_alive_(keep_alive && q.keep_alive()),
      fields_(&w.area().memory) {}

void response::add(beast::field name, std::string_view value) { add(text_of(beast::to_string(name)), value); }

void response::add(std::string_view name, std::string_view value) {
  require_name(name);
  require_value(value);
  fields_.reserve(std::max<std::size_t>(256, fields_.size() + name.size() + value.size() + 4));
  fields_.append(name).append(": ").append(value).append("\r\n");
}

bool response::bodiless() const noexcept { return head_ || status_ / 100 == 1 || status_ == 204 || status_ == 304; }

/// Returns how long it is.
std::size_t response::write_header(char* to) {
  writer out(to);
  out << "HTTP/1.1 " << status_ << " " << text_of(beast::obsolete_reason(static_cast<beast::status>(status_)))
      << "\r\n";
  out << "Date: " << wire_.area().date.now() << "\r\n" << fields_;
  if (state_ == state::counted && status_ / 100 != 1 && status_ != 204 && status_ != 304)
    out << "Content-Length: " << left_ << "\r\n";
  if (state_ == state::chunked) out << "Transfer-Encoding: chunked\r\n";
  if (!keep_alive_) {
    out << "Connection: close\r\n";
  } else if (!http_1_1_) {
    out << "Connection: keep-alive\r\n";
  }
  out << "\r\n";
  return out.size();
}

/// The header, and with it the first part of the body, or nothing of it.
void response::begin_as(state s, std::string_view first) {
  if (begun()) throw std::logic_error("http::response: an answer was begun twice");
  state_ = s;
  request_.answer_begins();
  if (s == state::to_end) keep_alive_ = false;
  const std::span<std::byte> room(wire_.area().output);
  std::string large;  // many fields
  auto* const at = reinterpret_cast<char*>(room.data());
  const std::size_t most = fields_.size() + most_around_fields;
  if (most > room.size()) large.resize(most);
  const std::size_t size = write_header(large.empty() ? at : large.data());
  if (large.empty() && first.size() <= room.size() - size) {
    if (!first.empty()) std::memcpy(at + size, first.data(), first.size());
    wire_.write(room.first(size + first.size()));
  } else {
    const iovec pieces[] = {{large.empty() ? at : large.data(), size}, piece_of(first)};
    wire_.write(pieces);
  }
}

void response::send(std::string_view body) {
  begin_counted(body.size(), bodiless() ? std::string_view() : body);
  account(body.size());
  if (!bodiless()) sent_ += body.size();
  end();
}

void response::fail(unsigned code) {
  fields_.clear();
  status_ = code;
  keep_alive_ = false;
  send();
}

void response::send_file(int file, off_t offset, std::size_t size) {
  begin(size);
  write_file(file, offset, size);
  end();
}

void response::begin(std::uint64_t length) { begin_counted(length, {}); }

void response::begin_counted(std::uint64_t length, std::string_view body) {
  left_ = length;
  begin_as(state::counted, body);
}

void response::begin() { begin_as(http_1_1_ ? state::chunked : state::to_end, {}); }

/// So much of the body is sent, or would be, if it were wanted.
void response::account(std::size_t size) {
  if (state_ != state::counted) return;
  if (size > left_) throw std::logic_error("http::response: a body is longer than its Content-Length");
  left_ -= size;
}

void response::write(std::string_view part) {
  if (part.empty()) return;  // an empty chunk would be the last
  if (!begun() || state_ == state::ended) throw std::logic_error("http::response: there is no body to write to");
  account(part.size());
  if (bodiless()) return;
  sent_ += part.size();
  if (state_ != state::chunked) return wire_.write(std::as_bytes(std::span(part)));
  char size[24];
  char* const end = std::to_chars(size, size + sizeof size, part.size(), 16).ptr;
  end[0] = '\r';
  end[1] = '\n';
  const std::string_view head(size, static_cast<std::size_t>(end + 2 - size));
  const iovec pieces[] = {piece_of(head), piece_of(part), piece_of(std::string_view("\r\n"))};
  wire_.write(pieces);
}

void response::write_file(int file, off_t offset, std::size_t size) {
  if (state_ != state::counted && state_ != state::to_end) throw std::logic_error("http::response: a file is no chunk");
  account(size);
  if (bodiless() || size == 0) return;
  wire_.send_file(file, offset, size);
  sent_ += size;
}

void response::end() {
  if (!begun() || state_ == state::ended) return;
  if (state_ == state::chunked && !bodiless()) wire_.write(std::as_bytes(std::span(std::string_view("0\r\n\r\n"))));
  if (state_ == state::counted && left_ > 0 && !bodiless()) keep_alive_ = false;
  state_ = state::ended;
}

}  // namespace examples::http
