// SPDX-License-Identifier: BSL-1.0
#include "socket.hpp"

#include <fcntl.h>

#include "outcome.hpp"

namespace heddle::net {

using io::detail::last_error;

bool make_non_blocking(int fd) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ((flags & O_NONBLOCK) != 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
}

std::error_code set_flag(int fd, int level, int option, bool on) noexcept {
  return set_number(fd, level, option, on ? 1 : 0);
}

std::error_code set_number(int fd, int level, int option, int value) noexcept {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0 ? std::error_code() : last_error();
}

std::error_code shut_down(int fd, int how) noexcept {
  if (fd < 0) return io::errc::closed;
  return ::shutdown(fd, how) == 0 ? std::error_code() : last_error();
}

std::error_code pending_error(int fd) noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &size) != 0) return last_error();
  return {value, std::system_category()};
}

endpoint local_of(int fd) noexcept {
  endpoint e;
  socklen_t size = endpoint::capacity();
  if (::getsockname(fd, e.data(), &size) != 0) return {};
  return e;
}

}  // namespace heddle::net
