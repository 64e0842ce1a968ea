// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "heddle/detail/config.hpp"

namespace heddle::net {

/// An address of the Internet Protocol, version 4 or 6, and a port.
class HEDDLE_EXPORT endpoint {
 public:
  /// 0.0.0.0:0
  endpoint() noexcept;
  /// From what the system gives: AF_INET or AF_INET6, else the default.
  explicit endpoint(const sockaddr& address) noexcept;

  /// "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80". Numbers only; names are for resolve() and dial(). Throws
  /// std::invalid_argument that names the text.
  static endpoint parse(std::string_view text);
  /// The same, or nothing.
  static std::optional<endpoint> try_parse(std::string_view text) noexcept;
  static endpoint loopback_v4(std::uint16_t port) noexcept;
  static endpoint loopback_v6(std::uint16_t port) noexcept;
  /// Every address of this machine, for listen(): version 6, which takes connections of version 4 too where the system
  /// has both.
  static endpoint any_v4(std::uint16_t port) noexcept;
  static endpoint any_v6(std::uint16_t port) noexcept;

  bool is_v4() const noexcept { return family() == AF_INET; }
  bool is_v6() const noexcept { return family() == AF_INET6; }
  int family() const noexcept { return address_.any.sa_family; }
  std::uint16_t port() const noexcept;
  void port(std::uint16_t number) noexcept;
  /// As parse() takes it; an address of version 4 that is written as one of version 6 as the former.
  std::string to_string() const;
  /// Without the port: "127.0.0.1", "::1".
  std::string address_string() const;

  const sockaddr* data() const noexcept { return &address_.any; }
  sockaddr* data() noexcept { return &address_.any; }
  socklen_t size() const noexcept { return is_v4() ? sizeof address_.v4 : sizeof address_.v6; }
  static constexpr socklen_t capacity() noexcept { return sizeof(sockaddr_in6); }

  friend HEDDLE_EXPORT bool operator==(const endpoint& a, const endpoint& b) noexcept;
  friend HEDDLE_EXPORT std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept;

 private:
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  } address_;
};

}  // namespace heddle::net
