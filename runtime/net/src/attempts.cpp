// SPDX-License-Identifier: BSL-1.0
#include "attempts.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "heddle/blocking.hpp"
#include "heddle/io/owned_descriptor.hpp"
#include "outcome.hpp"
#include "pipe_signal.hpp"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x8
#endif

namespace heddle::io::detail {
namespace {

/// RWF_NOSIGNAL of Linux 6.18, which the headers of older systems do not have.
constexpr int no_signal = 0x100;

bool has_no_signal() noexcept {
  static const bool has = [] {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return false;
    const owned_descriptor reader(ends[0]), writer(ends[1]);
    char c = 0;
    const iovec one{&c, 1};
    return ::pwritev2(writer.get(), &one, 1, -1, no_signal) == 1;
  }();
  return has;
}

bool is_unknown(int error) noexcept { return error == EOPNOTSUPP || error == EINVAL || error == ENOSYS; }

/// writev() without SIGPIPE. The descriptor is in non-blocking mode, or `flags` says that it must not wait.
std::ptrdiff_t write_quietly(int fd, const iovec* parts, std::size_t n, int flags) noexcept {
  const auto count = static_cast<int>(n);
  if (has_no_signal()) {
    const ssize_t written = ::pwritev2(fd, parts, count, -1, flags | no_signal);
    // Some descriptors, such as those of /proc, know no flags at all.
    if (written >= 0 || errno != EOPNOTSUPP || flags != 0) return written;
  }
  const pipe_signal_held_back held;
  return flags == 0 ? ::writev(fd, parts, count) : ::pwritev2(fd, parts, count, -1, flags);
}

/// With the number of the error instead of errno.
[[gnu::noinline]] std::ptrdiff_t read_blocking(int fd, const iovec* parts, std::size_t n) noexcept {
  return blocking([&]() -> std::ptrdiff_t {
    const ssize_t got = ::readv(fd, parts, static_cast<int>(n));
    return got >= 0 ? got : -errno;
  });
}
[[gnu::noinline]] std::ptrdiff_t write_blocking(int fd, const iovec* parts, std::size_t n) noexcept {
  return blocking([&]() -> std::ptrdiff_t {
    const std::ptrdiff_t written = write_quietly(fd, parts, n, 0);
    return written >= 0 ? written : -errno;
  });
}

/// Whether an attempt with RWF_NOWAIT has told nothing, so that another must be made.
bool must_block(access_kind kind, int error) noexcept {
  return is_unknown(error) || (error == EAGAIN && kind == access_kind::unwaitable);
}

std::ptrdiff_t read_shared(access_kind kind, int fd, const iovec* parts, std::size_t n) noexcept {
  const ssize_t got = ::preadv2(fd, parts, static_cast<int>(n), -1, RWF_NOWAIT);
  if (got >= 0 || !must_block(kind, errno)) return got;
  if (kind == access_kind::shared && !is_ready(fd, poll_side::read)) return with_errno(-EAGAIN);
  return with_errno(read_blocking(fd, parts, n));
}

/// How much is taken without waiting by a descriptor that can be written, unless others write too. A pipe has a page. A
/// terminal, such as the master of a pair, says that it can be written while it may have one more buffer of half a
/// page: what goes beyond that would wait until somebody reads.
std::size_t sure_room(int fd) noexcept {
  constexpr std::size_t of_terminal = 1024;
  return ::isatty(fd) != 0 ? of_terminal : std::size_t{PIPE_BUF};
}

std::ptrdiff_t write_shared(access_kind kind, int fd, const iovec* parts, std::size_t n) noexcept {
  const std::ptrdiff_t written = write_quietly(fd, parts, n, RWF_NOWAIT);
  if (written >= 0 || !must_block(kind, errno)) return written;
  if (kind == access_kind::unwaitable) return with_errno(write_blocking(fd, parts, n));
  if (!is_ready(fd, poll_side::write)) return with_errno(-EAGAIN);
  const iovec first{parts->iov_base, std::min(parts->iov_len, sure_room(fd))};
  return with_errno(write_blocking(fd, &first, 1));
}

msghdr message_of(const iovec* parts, std::size_t n) noexcept {
  msghdr m{};
  m.msg_iov = const_cast<iovec*>(parts);
  m.msg_iovlen = n;
  return m;
}

}  // namespace

std::ptrdiff_t with_errno(std::ptrdiff_t result) noexcept {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

bool is_ready(int fd, poll_side side) noexcept {
  pollfd one{fd, static_cast<short>(side == poll_side::read ? POLLIN | POLLRDHUP : POLLOUT), 0};
  return ::poll(&one, 1, 0) != 0;
}

bool is_waitable(int fd) noexcept {
  const owned_descriptor events(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event e{};
  return ::epoll_ctl(events.get(), EPOLL_CTL_ADD, fd, &e) == 0 || errno != EPERM;
}

std::ptrdiff_t read_parts(access_kind kind, int fd, const iovec* parts, std::size_t n) noexcept {
  switch (kind) {
    case access_kind::socket:
    case access_kind::own: return ::readv(fd, parts, static_cast<int>(n));
    case access_kind::shared_socket: {
      msghdr m = message_of(parts, n);
      return ::recvmsg(fd, &m, MSG_DONTWAIT);
    }
    case access_kind::shared:
    case access_kind::unwaitable: break;
  }
  return read_shared(kind, fd, parts, n);
}

std::ptrdiff_t write_parts(access_kind kind, int fd, iovec* parts, std::size_t n) noexcept {
  msghdr m = message_of(parts, n);
  switch (kind) {
    case access_kind::socket: return ::sendmsg(fd, &m, MSG_NOSIGNAL);
    case access_kind::shared_socket: return ::sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    case access_kind::own: return write_quietly(fd, parts, n, 0);
    case access_kind::shared:
    case access_kind::unwaitable: break;
  }
  return write_shared(kind, fd, parts, n);
}

}  // namespace heddle::io::detail
