// SPDX-License-Identifier: BSL-1.0
#include "descriptor_text.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace heddle::detail {
namespace {

using text = std::array<char, 160>;

union any_address {
  sockaddr base;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_un path;
};

/// False: the address says nothing.
bool print(const any_address& a, socklen_t size, text& out) noexcept {
  std::array<char, INET6_ADDRSTRLEN> host{};
  switch (a.base.sa_family) {
    case AF_INET:
      ::inet_ntop(AF_INET, &a.v4.sin_addr, host.data(), host.size());
      std::snprintf(out.data(), out.size(), "%s:%u", host.data(), ntohs(a.v4.sin_port));
      return true;
    case AF_INET6:
      ::inet_ntop(AF_INET6, &a.v6.sin6_addr, host.data(), host.size());
      std::snprintf(out.data(), out.size(), "[%s]:%u", host.data(), ntohs(a.v6.sin6_port));
      return true;
    case AF_UNIX: {
      const std::size_t before = offsetof(sockaddr_un, sun_path);
      if (size <= before) return false;
      const bool abstract = a.path.sun_path[0] == 0;  // a name, which the kernel does not end by a zero
      const int length = static_cast<int>(std::min<std::size_t>(size, sizeof a.path) - before) - (abstract ? 1 : 0);
      std::snprintf(out.data(), out.size(), "%s%.*s", abstract ? "@" : "", length,
                    a.path.sun_path + (abstract ? 1 : 0));
      return true;
    }
    default: return false;
  }
}

bool address_by(int (*ask)(int, sockaddr*, socklen_t*), int fd, text& out) noexcept {
  any_address a{};
  socklen_t size = sizeof a;
  return ask(fd, &a.base, &size) == 0 && print(a, size, out);
}

}  // namespace

const char* describe_descriptor(int fd, char* buffer, std::size_t size) noexcept {
  text own{}, peer{};
  // By a function each: with glibc the calls take their address as a union for C.
  const bool has_own = address_by([](int s, sockaddr* a, socklen_t* n) { return ::getsockname(s, a, n); }, fd, own);
  const bool has_peer = address_by([](int s, sockaddr* a, socklen_t* n) { return ::getpeername(s, a, n); }, fd, peer);
  if (has_own || has_peer) {
    std::snprintf(buffer, size, "%s%s%s", own.data(), has_peer ? " - " : "", peer.data());
    return buffer;
  }
  text path{};
  std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", fd);
  const ssize_t n = ::readlink(path.data(), buffer, size - 1);
  if (n < 0) return "not open";
  buffer[n] = 0;
  return buffer;
}

}  // namespace heddle::detail
