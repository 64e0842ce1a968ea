// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "heddle/detail/polled.hpp"

namespace heddle::testing {

/// Two ends of a connection: the near one is waited for by the poller, the far one is a plain descriptor.
class connection {
 public:
  connection() {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    near = detail::polled(ends[0]);
    far = ends[1];
  }
  connection(int near_end, int far_end) : near(near_end), far(far_end) {}
  connection(connection&& other) noexcept : near(std::move(other.near)), far(std::exchange(other.far, -1)) {}
  ~connection() {
    if (far >= 0) ::close(far);
  }

  void write_far(std::string_view text) const { (void)!::send(far, text.data(), text.size(), MSG_NOSIGNAL); }

  /// Up to n bytes from the near end; nothing at its end, or if the read came to nothing.
  std::string receive(std::size_t n, const detail::wait_bounds& bounds = {}) const {
    std::string room(n, 0);
    detail::poll_outcome how{};
    const auto got = detail::attempt_until_done(near, detail::poll_side::read, bounds, n, how,
                                                [&](int fd) { return ::recv(fd, room.data(), n, 0); });
    room.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return room;
  }
  detail::poll_outcome receive_outcome(std::size_t n, const detail::wait_bounds& bounds = {}) const {
    std::string room(n, 0);
    detail::poll_outcome how{};
    detail::attempt_until_done(near, detail::poll_side::read, bounds, n, how,
                               [&](int fd) { return ::recv(fd, room.data(), n, 0); });
    return how;
  }
  /// Waits until there is something to read, which is known not to be there yet.
  detail::poll_outcome wait_readable(detail::nanoseconds_t deadline) const {
    detail::polled::use now(near);
    if (!now) return detail::poll_outcome::closed;
    if (const auto seen = now.readiness(detail::poll_side::read)) now.blocked(detail::poll_side::read, seen);
    return now.wait(detail::poll_side::read, {.deadline = deadline});
  }

  detail::polled near;
  int far = -1;
};

/// One over loopback.
inline connection tcp_connection() {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  auto* const address = reinterpret_cast<sockaddr*>(&at);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int far = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(listener, address, size) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, address, &size) != 0 || ::connect(far, address, size) != 0)
    std::abort();
  const int near = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  ::close(listener);
  return connection(near, far);
}

}  // namespace heddle::testing
