// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/endpoint.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <array>
#include <charconv>
#include <cstring>
#include <stdexcept>

namespace heddle::net {
namespace {

std::optional<std::uint16_t> number_of_port(std::string_view text) noexcept {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return port;
}

/// The index of a zone: a number, or the name of an interface.
std::optional<std::uint32_t> zone_of(const char* text) noexcept {
  std::uint32_t index = 0;
  const char* const end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, index);
  if (error == std::errc() && at == end && at != text) return index;
  index = ::if_nametoindex(text);
  if (index == 0) return std::nullopt;
  return index;
}

}  // namespace

endpoint::endpoint() noexcept : address_{} { address_.any.sa_family = AF_INET; }

endpoint::endpoint(const sockaddr& address) noexcept : endpoint() {
  if (address.sa_family == AF_INET) std::memcpy(&address_.v4, &address, sizeof address_.v4);
  if (address.sa_family == AF_INET6) std::memcpy(&address_.v6, &address, sizeof address_.v6);
}

std::optional<endpoint> endpoint::try_parse(std::string_view text) noexcept {
  std::array<char, INET6_ADDRSTRLEN + IF_NAMESIZE + 1> host{};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = number_of_port(text.substr(colon + 1));
  std::string_view name = text.substr(0, colon);
  const bool bracketed = name.size() >= 2 && name.front() == '[' && name.back() == ']';
  if (bracketed) name = name.substr(1, name.size() - 2);
  if (!port || name.size() >= host.size() || name.find('\0') != std::string_view::npos) return std::nullopt;
  name.copy(host.data(), name.size());
  endpoint e;
  if (!bracketed) {
    if (::inet_pton(AF_INET, host.data(), &e.address_.v4.sin_addr) != 1) return std::nullopt;
  } else {
    e = any_v6(0);
    if (char* const zone = std::strchr(host.data(), '%'); zone != nullptr) {
      *zone = '\0';
      const auto index = zone_of(zone + 1);
      if (!index) return std::nullopt;
      e.address_.v6.sin6_scope_id = *index;
    }
    if (::inet_pton(AF_INET6, host.data(), &e.address_.v6.sin6_addr) != 1) return std::nullopt;
  }
  e.port(*port);
  return e;
}

endpoint endpoint::parse(std::string_view text) {
  if (const auto e = try_parse(text)) return *e;
  throw std::invalid_argument("heddle::net::endpoint: not an address and a port: \"" + std::string(text) +
                              "\"; it looks like 127.0.0.1:80 or [::1]:80");
}

endpoint endpoint::any_v4(std::uint16_t port) noexcept {
  endpoint e;
  e.port(port);
  return e;
}
endpoint endpoint::loopback_v4(std::uint16_t port) noexcept {
  endpoint e = any_v4(port);
  e.address_.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return e;
}
endpoint endpoint::any_v6(std::uint16_t port) noexcept {
  endpoint e;
  e.address_.v6 = {};
  e.address_.v6.sin6_family = AF_INET6;
  e.port(port);
  return e;
}
endpoint endpoint::loopback_v6(std::uint16_t port) noexcept {
  endpoint e = any_v6(port);
  e.address_.v6.sin6_addr = in6addr_loopback;
  return e;
}

std::uint16_t endpoint::port() const noexcept { return ntohs(is_v4() ? address_.v4.sin_port : address_.v6.sin6_port); }
void endpoint::port(std::uint16_t number) noexcept {
  (is_v4() ? address_.v4.sin_port : address_.v6.sin6_port) = htons(number);
}

std::string endpoint::address_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (is_v4()) return ::inet_ntop(AF_INET, &address_.v4.sin_addr, text.data(), text.size());
  const in6_addr& a = address_.v6.sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&a)) return ::inet_ntop(AF_INET, a.s6_addr + 12, text.data(), text.size());
  std::string s = ::inet_ntop(AF_INET6, &a, text.data(), text.size());
  if (const std::uint32_t zone = address_.v6.sin6_scope_id; zone != 0) {
    std::array<char, IF_NAMESIZE> name{};
    s += '%';
    s += ::if_indextoname(zone, name.data()) != nullptr ? name.data() : std::to_string(zone);
  }
  return s;
}

std::string endpoint::to_string() const {
  const bool plain = is_v4() || IN6_IS_ADDR_V4MAPPED(&address_.v6.sin6_addr);
  const std::string host = address_string();
  return (plain ? host : "[" + host + "]") + ":" + std::to_string(port());
}

std::strong_ordering operator<=>(const endpoint& a, const endpoint& b) noexcept {
  if (a.family() != b.family()) return a.family() <=> b.family();
  if (a.is_v4()) {
    const auto host = ntohl(a.address_.v4.sin_addr.s_addr) <=> ntohl(b.address_.v4.sin_addr.s_addr);
    return host != 0 ? host : a.port() <=> b.port();
  }
  const int host = std::memcmp(&a.address_.v6.sin6_addr, &b.address_.v6.sin6_addr, sizeof(in6_addr));
  if (host != 0) return host <=> 0;
  const auto zone = a.address_.v6.sin6_scope_id <=> b.address_.v6.sin6_scope_id;
  return zone != 0 ? zone : a.port() <=> b.port();
}
bool operator==(const endpoint& a, const endpoint& b) noexcept { return (a <=> b) == 0; }

}  // namespace heddle::net
