// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace heddle::testing {

/// A name server (RFC 1035) on a thread of its own, over UDP and TCP at an address of loopback. What it says of a name
/// ending in .test is in the name's first word:
///
///     missing   there is no such name                 refused  it does not answer such questions
///     fails     it has failed                         empty    the name is there, but has no address
///     silent    it says nothing                       slow     it says nothing until answer_slow()
///     four, six addresses of one version only         large    forty addresses, by TCP; by UDP that they do not fit
///     alias     another name, with its addresses      others   an address of each version
///
/// Names that end otherwise are missing.
class name_server {
 public:
  static constexpr std::uint16_t a = 1, aaaa = 28;
  static constexpr std::size_t many = 40;

  /// Answers end in `last`: 192.0.2.last, 2001:db8::last. At the port if it is not 0, else at one that is free.
  explicit name_server(const char* address = "127.0.0.1", std::uint16_t port = 0, std::uint8_t last = 1) : last_(last) {
    for (int i = 0; i < 20 && !listen(address, port); ++i) {
    }
    BOOST_REQUIRE(udp_ >= 0);
    thread_ = std::thread([this] { serve(); });
  }
  name_server(const name_server&) = delete;
  name_server& operator=(const name_server&) = delete;
  ~name_server() {
    ::eventfd_write(end_, 1);
    thread_.join();
    for (const int fd : {udp_, tcp_, end_}) ::close(fd);
  }

  std::uint16_t port() const { return port_; }
  /// How many questions of that kind came for a name.
  std::size_t asked(const std::string& name, std::uint16_t kind) {
    const std::lock_guard hold(lock_);
    const auto at = asked_.find({name, kind});
    return at != asked_.end() ? at->second : 0;
  }
  /// How many names somebody has asked for.
  std::size_t names() {
    const std::lock_guard hold(lock_);
    std::set<std::string> all;
    for (const auto& [question, n] : asked_) all.insert(question.first);
    return all.size();
  }
  std::size_t connections() {
    const std::lock_guard hold(lock_);
    return connections_;
  }
  void answer_slow() {
    const std::lock_guard hold(lock_);
    for (const held& h : held_) send(h.question, h.from);
    held_.clear();
  }

 private:
  using bytes = std::vector<std::uint8_t>;
  struct held {
    bytes question;
    sockaddr_in from;
  };

  bool listen(const char* address, std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    ::inet_pton(AF_INET, address, &at.sin_addr);
    auto* const where = reinterpret_cast<sockaddr*>(&at);
    socklen_t size = sizeof at;
    const int yes = 1;
    tcp_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    udp_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ::setsockopt(tcp_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(tcp_, where, size) == 0 && ::listen(tcp_, 64) == 0 && ::getsockname(tcp_, where, &size) == 0 &&
        ::bind(udp_, where, size) == 0) {
      port_ = ntohs(at.sin_port);
      return true;
    }
    ::close(tcp_);
    ::close(udp_);
    udp_ = -1;
    return false;
  }

  void serve() {
    for (;;) {
      std::array<pollfd, 3> looks{{{end_, POLLIN, 0}, {udp_, POLLIN, 0}, {tcp_, POLLIN, 0}}};
      ::poll(looks.data(), looks.size(), -1);
      if (looks[0].revents != 0) return;
      if (looks[1].revents != 0) answer_datagram();
      if (looks[2].revents != 0) answer_connection();
    }
  }

  void answer_datagram() {
    bytes question(512);
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const ssize_t n = ::recvfrom(udp_, question.data(), question.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 13) return;
    question.resize(static_cast<std::size_t>(n));
    const std::string name = note(question), word = name.substr(0, name.find('.'));
    const std::lock_guard hold(lock_);
    if (word == "slow")
      held_.push_back({question, from});
    else if (word != "silent")
      send(question, from);
  }
  void send(const bytes& question, const sockaddr_in& to) {
    const bytes answer = answer_to(question, false);
    ::sendto(udp_, answer.data(), answer.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }

  /// One after the other: each client asks at once, and closes.
  void answer_connection() {
    const int c = ::accept4(tcp_, nullptr, nullptr, SOCK_CLOEXEC);
    const timeval patience{10, 0};
    ::setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    {
      const std::lock_guard hold(lock_);
      ++connections_;
    }
    std::array<std::uint8_t, 2> length{};
    while (::recv(c, length.data(), 2, MSG_WAITALL) == 2) {
      bytes question(static_cast<std::size_t>(length[0] << 8 | length[1]));
      if (::recv(c, question.data(), question.size(), MSG_WAITALL) != static_cast<ssize_t>(question.size())) break;
      note(question);
      bytes answer = answer_to(question, true);
      const auto n = answer.size();
      answer.insert(answer.begin(), {static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)});
      ::send(c, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
    ::close(c);
  }

  std::string note(const bytes& question) {
    std::string name;
    std::size_t end = 0;
    const std::uint16_t kind = parse(question, name, end);
    const std::lock_guard hold(lock_);
    ++asked_[{name, kind}];
    return name;
  }

  /// The name of a question, its kind, and where it ends.
  static std::uint16_t parse(const bytes& question, std::string& name, std::size_t& end) {
    std::size_t i = 12;
    for (; question.at(i) != 0; i += question.at(i) + 1u) {
      if (!name.empty()) name += '.';
      name.append(reinterpret_cast<const char*>(&question.at(i + 1)), question.at(i));
    }
    end = i + 5;
    return static_cast<std::uint16_t>(question.at(i + 1) << 8 | question.at(i + 2));
  }

  bytes answer_to(const bytes& question, bool by_tcp) const {
    std::string name;
    std::size_t end = 0;
    const std::uint16_t kind = parse(question, name, end);
    const std::string word = name.ends_with(".test") ? name.substr(0, name.find('.')) : "missing";
    bytes out(question.begin(), question.begin() + static_cast<std::ptrdiff_t>(end));
    const std::uint8_t code = word == "fails" ? 2 : word == "missing" ? 3 : word == "refused" ? 5 : 0;
    const bool cut = word == "large" && !by_tcp;
    out[2] = static_cast<std::uint8_t>(0x85 | (cut ? 2 : 0));  // an answer, of one who knows, recursion as desired
    out[3] = static_cast<std::uint8_t>(0x80 | code);
    std::size_t n = 0;
    const bool has = code == 0 && !cut && word != "empty" && (kind == a ? word != "six" : word != "four") &&
                     (kind == a || kind == aaaa);
    if (has && word == "alias") {
      append(out, 0xc00c, 5, {5, 'o', 't', 'h', 'e', 'r', 4, 't', 'e', 's', 't', 0});
      append(out, static_cast<std::uint16_t>(end + 12), kind, address(kind, 0));
      n = 2;
    } else if (has) {
      for (const std::size_t all = word == "large" ? many : 1; n != all; ++n)
        append(out, 0xc00c, kind, address(kind, n));
    }
    out[4] = out[6] = out[8] = out[9] = out[10] = out[11] = 0;
    out[5] = 1;
    out[7] = static_cast<std::uint8_t>(n);
    return out;
  }
  bytes address(std::uint16_t kind, std::size_t n) const {
    const auto end = static_cast<std::uint8_t>(last_ + n);
    if (kind == a) return {192, 0, 2, end};
    return {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end};
  }
  static void append(bytes& out, std::uint16_t name, std::uint16_t kind, const bytes& data) {
    const auto name_at = static_cast<std::uint16_t>(name | 0xc000);
    for (const std::uint16_t v : {name_at, kind, std::uint16_t{1}, std::uint16_t{0}, std::uint16_t{60},
                                  static_cast<std::uint16_t>(data.size())}) {
      out.push_back(static_cast<std::uint8_t>(v >> 8));
      out.push_back(static_cast<std::uint8_t>(v));
    }
    out.insert(out.end(), data.begin(), data.end());
  }

  const std::uint8_t last_;
  std::uint16_t port_ = 0;
  int udp_ = -1, tcp_ = -1, end_ = ::eventfd(0, EFD_CLOEXEC);
  std::mutex lock_;
  std::map<std::pair<std::string, std::uint16_t>, std::size_t> asked_;
  std::size_t connections_ = 0;
  std::vector<held> held_;
  std::thread thread_;
};

}  // namespace heddle::testing
