// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/message.hpp>
#include <cstring>
#include <span>

#include "arena.hpp"

namespace examples::http {

namespace beast = boost::beast::http;

/// Boost.Beast's parser of one request. Its header is kept in an arena, its body goes to wherever the reader wants it.
/// Fields behind a chunked body are read and dropped: nobody could tell them from those in front, which were looked at.
class request_parser final : public beast::basic_parser<true> {
 public:
  using error_code = boost::system::error_code;

  request_parser(std::pmr::memory_resource& memory, std::size_t most_fields)
      : header_(fields(arena_allocator<char>(memory))), fields_left_(most_fields) {
    eager(false);  // put() ends behind the header
  }

  const beast::request_header<fields>& header() const noexcept { return header_; }

  /// Parses more of the body into `into`. Returns how much of `input` was used; `stored` is what arrived. An error is
  /// one of the message: that it goes on is none.
  std::size_t put_body(std::span<const std::byte> input, std::span<std::byte> into, std::size_t& stored,
                       error_code& error) {
    eager(true);
    body_ = into;
    const std::size_t used = put({input.data(), input.size()}, error);
    stored = into.size() - body_.size();
    if (error == beast::error::need_more || error == beast::error::need_buffer) error = {};
    return used;
  }

 private:
  using text = boost::beast::string_view;

  void on_request_impl(beast::verb verb, text name, text target, int version, error_code&) override {
    verb == beast::verb::unknown ? header_.method_string(name) : header_.method(verb);
    header_.target(target);
    header_.version(static_cast<unsigned>(version));
  }
  void on_response_impl(int, text, int, error_code&) override {}
  void on_field_impl(beast::field field, text name, text value, error_code& error) override {
    if (complete_) return;
    if (fields_left_-- == 0) {
      error = beast::error::header_limit;
      fields_left_ = 0;
      return;
    }
    header_.insert(field, name, value);
  }
  // Later versions tell the fields behind a body from those in front.
  virtual void on_trailer_field_impl(beast::field, text, text, error_code&) {}
  void on_header_impl(error_code&) override { complete_ = true; }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(text body, error_code& error) override { return store(body, error); }
  void on_chunk_header_impl(std::uint64_t, text, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, text body, error_code& error) override { return store(body, error); }
  void on_finish_impl(error_code&) override {}

  std::size_t store(text body, error_code& error) {
    const std::size_t n = std::min(body.size(), body_.size());
    if (n == 0 && !body.empty()) error = beast::error::need_buffer;
    if (n > 0) std::memcpy(body_.data(), body.data(), n);
    body_ = body_.subspan(n);
    return n;
  }

  beast::request_header<fields> header_;
  std::size_t fields_left_;
  bool complete_ = false;      // the header is
  std::span<std::byte> body_;  // the rest of where it goes
};

}  // namespace examples::http
