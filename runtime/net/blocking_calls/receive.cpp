// SPDX-License-Identifier: BSL-1.0
//
// Calls that take bytes. read() at a socket is recv() without flags, but for a length of 0.
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "calls.hpp"
#include "served.hpp"
#include "vectors.hpp"

namespace heddle::blocking_calls {
namespace {

extern "C" {
using read_chk = ssize_t(int, void*, std::size_t, std::size_t);
using recv_chk = ssize_t(int, void*, std::size_t, std::size_t, int);
using recvfrom_chk = ssize_t(int, void*, std::size_t, std::size_t, int, sockaddr*, socklen_t*);
}

constinit next_function next_read{"read", &::read};
constinit next_function next_readv{"readv", &::readv};
constinit next_function next_recv{"recv", &::recv};
constinit next_function next_recvfrom{"recvfrom", &::recvfrom};
constinit next_function next_recvmsg{"recvmsg", &::recvmsg};
constinit next_function<read_chk> next_read_chk{"__read_chk"};
constinit next_function<recv_chk> next_recv_chk{"__recv_chk"};
constinit next_function<recvfrom_chk> next_recvfrom_chk{"__recvfrom_chk"};

/// Bytes that can be taken from a socket now.
std::size_t bytes_there(int fd) noexcept {
  int n = 0;
  return attempt(SYS_ioctl, fd, FIONREAD, &n) == 0 && n > 0 ? static_cast<std::size_t>(n) : 0;
}

/// After an attempt that found nothing to take.
template <class Real>
ssize_t receive_blocking(const blocked_calls& runtime, int fd, Real real) {
  if (!is_blocking(fd)) return tell(-EAGAIN);
  const lent_processor lent(runtime);
  return real();
}

/// now(): the call with MSG_DONTWAIT.
template <class Now, class Real>
ssize_t receive(const blocked_calls& runtime, int fd, int flags, Now now, Real real) {
  if ((flags & MSG_DONTWAIT) != 0) return real();
  const long taken = now();
  return taken != -EAGAIN ? tell(taken) : receive_blocking(runtime, fd, real);
}

/// With MSG_WAITALL an attempt would take the first bytes away from the call.
template <class Real>
ssize_t receive_all(const blocked_calls& runtime, int fd, int flags, std::size_t bytes, Real real) {
  if ((flags & MSG_DONTWAIT) != 0 || !is_blocking(fd) || bytes_there(fd) >= bytes) return real();
  const lent_processor lent(runtime);
  return real();
}

}  // namespace

void find_receive_functions() noexcept {
  next_read.find();
  next_readv.find();
  next_recv.find();
  next_recvfrom.find();
  next_recvmsg.find();
  next_read_chk.find();
  next_recv_chk.find();
  next_recvfrom_chk.find();
}

}  // namespace heddle::blocking_calls

using namespace heddle::blocking_calls;

HEDDLE_CALL ssize_t read(int fd, void* to, std::size_t n) {
  auto* const next = next_read.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || n == 0) return next(fd, to, n);
  const auto real = [=] { return next(fd, to, n); };
  const long taken = attempt(SYS_recvfrom, fd, to, n, MSG_DONTWAIT, nullptr, nullptr);
  if (taken == -ENOTSOCK) return when_ready(*runtime, fd, POLLIN, real);
  return taken != -EAGAIN ? tell(taken) : receive_blocking(*runtime, fd, real);
}

HEDDLE_CALL ssize_t readv(int fd, const iovec* parts, int n) {
  auto* const next = next_readv.get();
  const blocked_calls* const runtime = fibers_runtime();
  std::size_t bytes = 0;
  if (runtime == nullptr || n <= 0 || !count_bytes(parts, static_cast<std::size_t>(n), bytes) || bytes == 0)
    return next(fd, parts, n);
  const auto real = [=] { return next(fd, parts, n); };
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = static_cast<std::size_t>(n);
  const long taken = attempt(SYS_recvmsg, fd, &message, MSG_DONTWAIT);
  if (taken == -ENOTSOCK) return when_ready(*runtime, fd, POLLIN, real);
  return taken != -EAGAIN ? tell(taken) : receive_blocking(*runtime, fd, real);
}

HEDDLE_CALL ssize_t recv(int fd, void* to, std::size_t n, int flags) {
  auto* const next = next_recv.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr) return next(fd, to, n, flags);
  const auto real = [=] { return next(fd, to, n, flags); };
  if ((flags & MSG_WAITALL) != 0) return receive_all(*runtime, fd, flags, n, real);
  return receive(
      *runtime, fd, flags, [=] { return attempt(SYS_recvfrom, fd, to, n, flags | MSG_DONTWAIT, nullptr, nullptr); },
      real);
}

HEDDLE_CALL ssize_t recvfrom(int fd, void* to, std::size_t n, int flags, sockaddr* from, socklen_t* size) {
  auto* const next = next_recvfrom.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr) return next(fd, to, n, flags, from, size);
  const auto real = [=] { return next(fd, to, n, flags, from, size); };
  if ((flags & MSG_WAITALL) != 0) return receive_all(*runtime, fd, flags, n, real);
  return receive(
      *runtime, fd, flags, [=] { return attempt(SYS_recvfrom, fd, to, n, flags | MSG_DONTWAIT, from, size); }, real);
}

HEDDLE_CALL ssize_t recvmsg(int fd, msghdr* message, int flags) {
  auto* const next = next_recvmsg.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr) return next(fd, message, flags);
  const auto real = [=] { return next(fd, message, flags); };
  std::size_t bytes = 0;
  if ((flags & MSG_WAITALL) != 0 && count_bytes(message->msg_iov, message->msg_iovlen, bytes))
    return receive_all(*runtime, fd, flags, bytes, real);
  return receive(
      *runtime, fd, flags, [=] { return attempt(SYS_recvmsg, fd, message, flags | MSG_DONTWAIT); }, real);
}

// Code that is compiled with _FORTIFY_SOURCE calls these. If the buffer is too small, libc's own says so and aborts.
HEDDLE_CALL ssize_t __read_chk(int fd, void* to, std::size_t n, std::size_t room) {
  return n > room ? next_read_chk.get()(fd, to, n, room) : ::read(fd, to, n);
}
HEDDLE_CALL ssize_t __recv_chk(int fd, void* to, std::size_t n, std::size_t room, int flags) {
  return n > room ? next_recv_chk.get()(fd, to, n, room, flags) : ::recv(fd, to, n, flags);
}
HEDDLE_CALL ssize_t __recvfrom_chk(int fd, void* to, std::size_t n, std::size_t room, int flags, sockaddr* from,
                                   socklen_t* size) {
  return n > room ? next_recvfrom_chk.get()(fd, to, n, room, flags, from, size)
                  : ::recvfrom(fd, to, n, flags, from, size);
}
