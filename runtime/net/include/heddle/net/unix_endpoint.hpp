// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "heddle/detail/config.hpp"

namespace heddle::net {

/// An address of a Unix socket: a path, a name in the system's abstract namespace, or none.
class HEDDLE_EXPORT unix_endpoint {
 public:
  /// Bytes that a path, or an abstract name, may have.
  static constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;

  /// That of a socket without a name.
  unix_endpoint() noexcept : address_{}, size_(sizeof(sa_family_t)) { address_.sun_family = AF_UNIX; }
  /// Throws std::invalid_argument, which names the path and the limit, for one that is too long, empty, or has a zero
  /// byte.
  explicit unix_endpoint(std::string_view path);
  /// A name without a file, which goes with the socket. Any bytes. Every process of the network namespace may connect,
  /// whatever its user. Throws std::invalid_argument as above.
  static unix_endpoint abstract(std::string_view name);

  bool is_unnamed() const noexcept { return name().empty() && !is_abstract(); }
  bool is_abstract() const noexcept { return size_ > path_offset && address_.sun_path[0] == '\0'; }
  /// The path, or the abstract name.
  std::string_view name() const noexcept;
  /// The path; "@" and the abstract name; or "an unnamed socket".
  std::string to_string() const;

  const sockaddr* data() const noexcept { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t size() const noexcept { return size_; }

  friend bool operator==(const unix_endpoint& a, const unix_endpoint& b) noexcept {
    return a.is_abstract() == b.is_abstract() && a.name() == b.name();
  }

 private:
  static constexpr std::size_t path_offset = offsetof(sockaddr_un, sun_path);
  void assign(std::string_view text, std::size_t at);

  sockaddr_un address_;
  socklen_t size_;
};

}  // namespace heddle::net
