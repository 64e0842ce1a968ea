// SPDX-License-Identifier: BSL-1.0
//
// Calls that give bytes. An attempt at a stream may give some of them; then the fiber lends its processor, and gives
// the rest blocking, so that its caller sees one call. If the rest fails the result is what has been given, as it is in
// the kernel. write() at a socket is send() without flags.
#include <sys/socket.h>
#include <sys/stat.h>

#include <climits>

#include "calls.hpp"
#include "served.hpp"
#include "vectors.hpp"

namespace heddle::blocking_calls {
namespace {

constinit next_function next_write{"write", &::write};
constinit next_function next_writev{"writev", &::writev};
constinit next_function next_send{"send", &::send};
constinit next_function next_sendto{"sendto", &::sendto};
constinit next_function next_sendmsg{"sendmsg", &::sendmsg};

/// Not to be split, or not the same with MSG_DONTWAIT.
constexpr int whole_only = MSG_ZEROCOPY | MSG_FASTOPEN;

bool would_block(long result) noexcept {
  return result == -EAGAIN || result == -EINPROGRESS || result == -EALREADY;  // two of TCP_FASTOPEN_CONNECT
}

template <class Real>
ssize_t lending(const blocked_calls& runtime, Real real) {
  const lent_processor lent(runtime);
  return real();
}

/// `given`: of an attempt to give `bytes`. rest() goes on after these, and says how many it has given, or -1.
template <class Real, class Rest>
ssize_t complete(const blocked_calls& runtime, int fd, long given, std::size_t bytes, Real real, Rest rest) {
  const bool over = given < 0 ? !would_block(given) : static_cast<std::size_t>(given) >= bytes;
  if (over || !is_blocking(fd)) return tell(given);
  if (given < 0) return lending(runtime, real);
  const int error = errno;
  const ssize_t more = lending(runtime, rest);
  errno = error;
  return given + (more > 0 ? more : 0);
}

/// MSG_NOSIGNAL: the bytes before have been given, so this call does not fail; the next one will.
ssize_t send_rest(int fd, const void* from, std::size_t n, int flags) {
  return next_send.get()(fd, from, n, flags | MSG_NOSIGNAL);
}

ssize_t send_rest(int fd, const iovec* parts, std::size_t n, std::size_t given, int flags) {
  rest_of_parts rest(parts, n, given);
  ssize_t sum = 0;
  for (;;) {
    std::size_t bytes = 0;
    msghdr message{};  // control data went with the first byte
    message.msg_iovlen = rest.take(bytes);
    message.msg_iov = rest.parts();
    if (message.msg_iovlen == 0) return sum;
    const ssize_t more = next_sendmsg.get()(fd, &message, flags | MSG_NOSIGNAL);
    if (more > 0) sum += more;
    if (more < 0 || static_cast<std::size_t>(more) < bytes) return sum;
  }
}

/// To what is no socket. A pipe that is ready takes PIPE_BUF bytes at once, but not all of more.
template <class Real>
ssize_t write_file(const blocked_calls& runtime, int fd, std::size_t bytes, Real real) {
  if (bytes <= PIPE_BUF) return when_ready(runtime, fd, POLLOUT, real);
  struct stat what {};
  if (::fstat(fd, &what) != 0 || S_ISREG(what.st_mode) || S_ISBLK(what.st_mode) || !is_blocking(fd)) return real();
  return lending(runtime, real);
}

}  // namespace

void find_send_functions() noexcept {
  next_write.find();
  next_writev.find();
  next_send.find();
  next_sendto.find();
  next_sendmsg.find();
}

}  // namespace heddle::blocking_calls

using namespace heddle::blocking_calls;

HEDDLE_CALL ssize_t write(int fd, const void* from, std::size_t n) {
  auto* const next = next_write.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || n == 0) return next(fd, from, n);
  const auto real = [=] { return next(fd, from, n); };
  const long given = attempt(SYS_sendto, fd, from, n, MSG_DONTWAIT, nullptr, 0);
  if (given == -ENOTSOCK) return write_file(*runtime, fd, n, real);
  return complete(*runtime, fd, given, n, real,
                  [=] { return send_rest(fd, static_cast<const char*>(from) + given, n - given, 0); });
}

HEDDLE_CALL ssize_t writev(int fd, const iovec* parts, int n) {
  auto* const next = next_writev.get();
  const blocked_calls* const runtime = fibers_runtime();
  std::size_t bytes = 0;
  if (runtime == nullptr || n <= 0 || !count_bytes(parts, static_cast<std::size_t>(n), bytes) || bytes == 0)
    return next(fd, parts, n);
  const auto real = [=] { return next(fd, parts, n); };
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(n);
  const long given = attempt(SYS_sendmsg, fd, &message, MSG_DONTWAIT);
  if (given == -ENOTSOCK) return write_file(*runtime, fd, bytes, real);
  return complete(*runtime, fd, given, bytes, real, [=] {
    return send_rest(fd, parts, static_cast<std::size_t>(n), static_cast<std::size_t>(given), 0);
  });
}

HEDDLE_CALL ssize_t send(int fd, const void* from, std::size_t n, int flags) {
  auto* const next = next_send.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || (flags & MSG_DONTWAIT) != 0) return next(fd, from, n, flags);
  const auto real = [=] { return next(fd, from, n, flags); };
  if ((flags & whole_only) != 0) return is_blocking(fd) ? lending(*runtime, real) : real();
  const long given = attempt(SYS_sendto, fd, from, n, flags | MSG_DONTWAIT, nullptr, 0);
  return complete(*runtime, fd, given, n, real,
                  [=] { return send_rest(fd, static_cast<const char*>(from) + given, n - given, flags); });
}

HEDDLE_CALL ssize_t sendto(int fd, const void* from, std::size_t n, int flags, const sockaddr* to, socklen_t size) {
  auto* const next = next_sendto.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || (flags & MSG_DONTWAIT) != 0) return next(fd, from, n, flags, to, size);
  const auto real = [=] { return next(fd, from, n, flags, to, size); };
  if ((flags & whole_only) != 0) return is_blocking(fd) ? lending(*runtime, real) : real();
  const long given = attempt(SYS_sendto, fd, from, n, flags | MSG_DONTWAIT, to, size);
  return complete(*runtime, fd, given, n, real,
                  [=] { return send_rest(fd, static_cast<const char*>(from) + given, n - given, flags); });
}

HEDDLE_CALL ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  auto* const next = next_sendmsg.get();
  const blocked_calls* const runtime = fibers_runtime();
  std::size_t bytes = 0;
  if (runtime == nullptr || (flags & MSG_DONTWAIT) != 0 || !count_bytes(message->msg_iov, message->msg_iovlen, bytes))
    return next(fd, message, flags);
  const auto real = [=] { return next(fd, message, flags); };
  if ((flags & whole_only) != 0) return is_blocking(fd) ? lending(*runtime, real) : real();
  const long given = attempt(SYS_sendmsg, fd, message, flags | MSG_DONTWAIT);
  return complete(*runtime, fd, given, bytes, real, [=] {
    return send_rest(fd, message->msg_iov, message->msg_iovlen, static_cast<std::size_t>(given), flags);
  });
}
