// SPDX-License-Identifier: BSL-1.0
#include <sys/stat.h>
#include <unistd.h>

#include "heddle/net/unix.hpp"
#include "outcome.hpp"

namespace heddle::net {

using io::detail::last_error;
using io::detail::poll_outcome;
using io::detail::poll_side;

namespace {

/// Null-terminated, since sun_path is.
const char* path_of(const unix_endpoint& e) noexcept { return e.name().data(); }

/// Whether the path is a socket on which nobody listens.
bool is_stale(const unix_endpoint& e) noexcept {
  struct ::stat file {};
  if (::lstat(path_of(e), &file) != 0 || !S_ISSOCK(file.st_mode)) return false;
  const io::owned_descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return fd && ::connect(fd.get(), e.data(), e.size()) != 0 && errno == ECONNREFUSED;
}

bool bind_to(int fd, const unix_endpoint& on, const unix_listen_options& o) noexcept {
  if (::bind(fd, on.data(), on.size()) == 0) return true;
  if (errno != EADDRINUSE || !o.replace || on.is_abstract() || on.is_unnamed()) return false;
  const bool removed = is_stale(on) && ::unlink(path_of(on)) == 0;
  errno = EADDRINUSE;
  return removed && ::bind(fd, on.data(), on.size()) == 0;
}

}  // namespace

unix_listener& unix_listener::operator=(unix_listener&& other) noexcept {
  if (this == &other) return *this;
  close();
  descriptor_ = std::move(other.descriptor_);
  local_ = other.local_;
  device_ = std::exchange(other.device_, 0);
  inode_ = std::exchange(other.inode_, 0);
  return *this;
}

unix_listener unix_listener::listen(const unix_endpoint& on, const unix_listen_options& o, std::error_code& ec) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    ec = last_error();
    return {};
  }
  unix_listener l;
  l.descriptor_ = io::detail::polled(fd);
  l.local_ = on;
  // The file is made with the rights that the socket has, so nobody can connect before they are set.
  if (::fchmod(fd, o.mode) != 0 || !bind_to(fd, on, o)) {
    ec = last_error();
    return {};
  }
  struct ::stat file {};
  if (!on.is_abstract() && !on.is_unnamed() && !o.keep_file && ::lstat(path_of(on), &file) == 0) {
    l.device_ = file.st_dev;
    l.inode_ = file.st_ino;
  }
  ec = ::listen(fd, o.backlog) == 0 ? std::error_code() : last_error();
  return ec ? unix_listener() : std::move(l);
}

unix_listener unix_listener::listen(const unix_endpoint& on, const unix_listen_options& o) {
  std::error_code ec;
  unix_listener l = listen(on, o, ec);
  if (ec) throw io::error(ec, "listen on " + on.to_string());
  return l;
}

unix_stream unix_listener::accept(const limits& l, std::error_code& ec) {
  poll_outcome outcome = poll_outcome::ready;
  const auto attempt = [](int fd) -> std::ptrdiff_t {
    return ::accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  };
  const std::ptrdiff_t fd =
      io::detail::attempt_until_done(descriptor_, poll_side::read, l.bounds(), 0, outcome, attempt);
  ec = io::detail::error_of(outcome, fd);
  if (ec) return {};
  return unix_stream::take(static_cast<int>(fd), "a client of " + local_.to_string());
}

unix_stream unix_listener::accept(const limits& l) {
  std::error_code ec;
  unix_stream s = accept(l, ec);
  if (ec) throw io::error(ec, "accept on " + local_.to_string());
  return s;
}

void unix_listener::close() noexcept {
  struct ::stat file {};
  if (inode_ != 0 && descriptor_.is_open() && ::lstat(path_of(local_), &file) == 0 && file.st_dev == device_ &&
      file.st_ino == inode_)
    ::unlink(path_of(local_));
  descriptor_.close();
}

}  // namespace heddle::net
