// SPDX-License-Identifier: BSL-1.0
#include "http_driver.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <random>
#include <span>

#include "require.hpp"
#include "server.hpp"

namespace heddle::testing {
namespace {

namespace http = examples::http;

/// A connection whose client has sent everything, and hangs up.
class recorded_stream {
 public:
  recorded_stream(std::string_view input, std::uint32_t seed) : input_(input), random_(seed), whole_(seed == 0) {}

  std::size_t read_some(std::span<std::byte> into) {
    require(!into.empty(), "there is room where something is read to");
    const std::size_t most = std::min(into.size(), input_.size());
    const std::size_t n = whole_ ? most : std::min<std::size_t>(most, 1 + random_() % 9);
    if (n > 0) std::memcpy(into.data(), input_.data(), n);
    input_.remove_prefix(n);
    return n;
  }
  void wait_readable() {}
  void write(std::span<const std::byte> bytes) {
    require(!ended_, "nothing is written behind the end");
    output.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void write(std::span<const iovec> pieces) {
    for (const iovec& piece : pieces) write({static_cast<const std::byte*>(piece.iov_base), piece.iov_len});
  }
  void send_file(int, off_t, std::size_t) { require(false, "there are no files"); }
  void set_read_deadline(http::time_point) {}
  void set_write_deadline(http::time_point) {}
  void shutdown_write() { ended_ = true; }

  std::string output;

 private:
  std::string_view input_;
  std::minstd_rand random_;
  const bool whole_;
  bool ended_ = false;
};

/// Takes answers apart.
class answers {
 public:
  explicit answers(std::string_view text) : text_(text) {}

  /// What is left when the fields Date are taken out; each answer must be one.
  std::string without_dates() {
    std::string all;
    while (!text_.empty()) take_answer(all);
    return all;
  }

 private:
  void take_answer(std::string& all) {
    require(text_.starts_with("HTTP/1.1 "), "an answer begins with its status");
    const bool interim = text_.starts_with("HTTP/1.1 100 ");
    const bool head = text_.find("\r\nX-Head: 1\r\n") < text_.find("\r\n\r\n");
    std::size_t length = 0;
    for (std::string_view line = take_line(); !line.empty(); line = take_line()) {
      static constexpr std::string_view field = "Content-Length: ";
      if (line.starts_with(field)) std::from_chars(line.data() + field.size(), line.data() + line.size(), length);
      if (!line.starts_with("Date: ")) all.append(line).append("\n");
    }
    if (interim || head) return;
    require(text_.size() >= length, "an answer is as long as it says");
    all.append(text_.substr(0, length)).append("\n");
    text_.remove_prefix(length);
  }
  std::string_view take_line() {
    const std::size_t end = text_.find("\r\n");
    require(end != std::string_view::npos, "a header has an end");
    const std::string_view line = text_.substr(0, end);
    text_.remove_prefix(end + 2);
    return line;
  }

  std::string_view text_;
};

}  // namespace

http_outcome serve_bytes(std::string_view input, std::uint32_t seed) {
  http_outcome outcome;
  http::server_options options;
  options.limits.body_size = 2'000;
  options.limits.discarded = 100;
  options.limits.fields = 20;
  const http::handler handle = [&](http::request& q, http::response& a) {
    std::string body = q.target().starts_with("/skip") ? "unread" : q.read_all();
    outcome.requests.append(q.method_text()).append(" ").append(q.target()).append(" ").append(body).append("\n");
    if (q.is_head()) a.add("X-Head", "1");
    a.send(body);
  };
  recorded_stream stream(input, seed);
  http::serve(stream, handle, options);
  outcome.answers = answers(stream.output).without_dates();
  return outcome;
}

std::size_t serve_cut(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const http_outcome whole = serve_bytes(input, 0);
  for (const std::uint32_t seed : {1U, 2U}) {
    const http_outcome cut = serve_bytes(input, seed);
    require(cut.requests == whole.requests, "the same requests are seen, however the bytes come");
  }
  return static_cast<std::size_t>(std::count(whole.requests.begin(), whole.requests.end(), '\n'));
}

}  // namespace heddle::testing
