// SPDX-License-Identifier: BSL-1.0
//
// Clients that ask for the same page again and again. wrk measures the rate; these count requests, and rest.
#include <charconv>
#include <string>
#include <string_view>

#include "common/net/load_main.hpp"

namespace {

/// The first answer says how long all are, which have the same header fields.
class hello {
 public:
  std::span<const char> request(const perf::net::exchange&) const { return request_; }

  bool take(perf::net::exchange& e, std::span<const char> part) {
    if (e.got == 0) perf::require(std::string_view(part.data(), part.size()).starts_with("HTTP/1.1 200 "), "no 200");
    if (size_ == 0) return learn(e, part);
    e.got += part.size();
    perf::require(e.got <= size_, "an answer is longer than the first one");
    return e.got == size_;
  }

 private:
  bool learn(perf::net::exchange& e, std::span<const char> part) {
    first_.append(part.data(), part.size());
    e.got = first_.size();
    const std::size_t end = first_.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    static constexpr std::string_view field = "\r\nContent-Length: ";
    const std::size_t at = first_.find(field);
    perf::require(at < end, "an answer has no Content-Length");
    std::size_t body = 0;
    std::from_chars(first_.data() + at + field.size(), first_.data() + end, body);
    if (e.got < end + 4 + body) return false;
    size_ = end + 4 + body;
    perf::require(e.got == size_, "an answer is longer than it says");
    return true;
  }

  const std::string request_ = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
  std::string first_;
  std::size_t size_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return perf::net::load_main(perf::net::load_arguments(argc, argv), hello()); }
