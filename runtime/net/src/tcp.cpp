// SPDX-License-Identifier: BSL-1.0
//
// Entries that small stacks call, as those of stream.cpp: each looks for the room that it needs.
#include "heddle/net/tcp.hpp"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "heddle/detail/room.hpp"
#include "heddle/detail/trusted.hpp"
#include "outcome.hpp"
#include "socket.hpp"

namespace heddle::net {

using io::detail::last_error;
using io::detail::perform;
using io::detail::poll_outcome;
using io::detail::poll_side;
using io::detail::polled;
using io::detail::with_room;

namespace {
using io::detail::waiting_room;
/// For code that knows nothing of limits.
template <class F>
decltype(auto) roomy(F&& f) {
  return with_room(io::detail::foreign_room, std::forward<F>(f));
}
}  // namespace

struct tcp_stream::core_type final : io::detail::stream_core {
  core_type(int fd, const endpoint& p) : stream_core(fd, io::detail::access_kind::socket), peer(p) {}
  std::string name() const override { return peer.to_string(); }
  const endpoint peer;
};

// --- connections ----------------------------------------------------------------------------------------------------

tcp_stream tcp_stream::take(int fd, const endpoint& peer) { return tcp_stream(std::make_unique<core_type>(fd, peer)); }

tcp_stream tcp_stream::adopt(int fd) {
  return roomy([fd] {
    endpoint peer;
    socklen_t size = endpoint::capacity();
    if (::getpeername(fd, peer.data(), &size) != 0 || !make_non_blocking(fd))
      throw io::error(last_error(), "adopt descriptor " + std::to_string(fd) + " as a connection");
    return take(fd, peer);
  });
}

namespace {

/// Waits until the connection is made or has failed.
std::error_code await_connection(const polled& d, const limits& l) noexcept {
  polled::use now(d);
  if (!now) return io::errc::closed;
  if (const std::uint32_t seen = now.readiness(poll_side::write); seen != 0) now.blocked(poll_side::write, seen);
  const poll_outcome outcome = now.wait(poll_side::write, l.bounds());
  if (outcome != poll_outcome::ready) return io::detail::error_of(outcome, 0);
  return pending_error(now.descriptor());
}

}  // namespace

static std::error_code connect_descriptor(const polled& d, const endpoint& to, const limits& l) noexcept {
  const int fd = d.descriptor();
  set_flag(fd, IPPROTO_TCP, TCP_NODELAY, true);
  int result = ::connect(fd, to.data(), to.size());
  while (result != 0 && errno == EINTR) result = ::connect(fd, to.data(), to.size());
  // EALREADY: after an interruption the connection goes on being made.
  if (result != 0 && (errno == EINPROGRESS || errno == EALREADY)) return await_connection(d, l);
  if (result != 0 && errno != EISCONN) return last_error();
  return {};
}

tcp_stream tcp_stream::connect(const endpoint& to, const limits& l, std::error_code& ec) {
  return roomy([&] {
    const int fd = ::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      ec = last_error();
      return tcp_stream();
    }
    tcp_stream s = take(fd, to);
    ec = connect_descriptor(s.core()->descriptor, to, l);
    if (!ec && s.local_endpoint() == to) ec = std::make_error_code(std::errc::connection_refused);
    return ec ? tcp_stream() : std::move(s);
  });
}

tcp_stream tcp_stream::connect(const endpoint& to, const limits& l) {
  return roomy([&] {
    std::error_code ec;
    tcp_stream s = connect(to, l, ec);
    if (ec) throw io::error(ec, "connect to " + to.to_string());
    return s;
  });
}

endpoint tcp_stream::local_endpoint() const {
  return roomy([this] { return local_of(native_handle()); });
}

endpoint tcp_stream::peer_endpoint() const noexcept {
  return core() != nullptr ? static_cast<const core_type*>(core())->peer : endpoint();
}

void tcp_stream::shutdown_write(std::error_code& ec) noexcept {
  roomy([&] { ec = shut_down(native_handle(), SHUT_WR); });
}
void tcp_stream::shutdown_write() {
  std::error_code ec;
  shutdown_write(ec);
  check(ec, "shut down");
}
void tcp_stream::shutdown_read(std::error_code& ec) noexcept {
  roomy([&] { ec = shut_down(native_handle(), SHUT_RD); });
}

void tcp_stream::set_no_delay(bool on, std::error_code& ec) noexcept {
  roomy([&] { ec = set_flag(native_handle(), IPPROTO_TCP, TCP_NODELAY, on); });
}
void tcp_stream::set_keep_alive(bool on, std::error_code& ec) noexcept {
  roomy([&] { ec = set_flag(native_handle(), SOL_SOCKET, SO_KEEPALIVE, on); });
}
void tcp_stream::reset_on_close(std::error_code& ec) noexcept {
  roomy([&] {
    const linger at_once{1, 0};
    const int done = ::setsockopt(native_handle(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ec = done == 0 ? std::error_code() : last_error();
  });
}

// --- listeners ------------------------------------------------------------------------------------------------------

static std::error_code begin_listening(int fd, const endpoint& on, const listen_options& o) noexcept {
  std::error_code ec = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, true);
  if (!ec && o.reuse_port) ec = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, true);
  if (!ec && on.is_v6()) ec = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, o.v6_only);
  if (!ec && o.no_delay) ec = set_flag(fd, IPPROTO_TCP, TCP_NODELAY, true);
  if (!ec && o.keep_alive) ec = set_flag(fd, SOL_SOCKET, SO_KEEPALIVE, true);
  if (!ec && (::bind(fd, on.data(), on.size()) != 0 || ::listen(fd, o.backlog) != 0)) ec = last_error();
  return ec;
}

tcp_listener tcp_listener::listen(const endpoint& on, const listen_options& o, std::error_code& ec) {
  return roomy([&] {
    tcp_listener l;
    const int fd = ::socket(on.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      ec = last_error();
      return l;
    }
    l.descriptor_ = polled(fd);
    ec = begin_listening(fd, on, o);
    if (ec) return tcp_listener();
    l.local_ = local_of(fd);
    return l;
  });
}

tcp_listener tcp_listener::listen(const endpoint& on, const listen_options& o) {
  return roomy([&] {
    std::error_code ec;
    tcp_listener l = listen(on, o, ec);
    if (ec) throw io::error(ec, "listen on " + on.to_string());
    return l;
  });
}

tcp_listener tcp_listener::adopt(int fd) {
  return roomy([fd] {
    tcp_listener l;
    if (!make_non_blocking(fd))
      throw io::error(last_error(), "adopt descriptor " + std::to_string(fd) + " to listen on");
    l.descriptor_ = polled(fd);
    l.local_ = local_of(fd);
    return l;
  });
}

/// The peer has given up, or the network has failed for this one alone: accept(2).
static bool concerns_one_connection(int error) noexcept {
  return error == ECONNABORTED || error == EPROTO || error == ENETDOWN || error == EHOSTDOWN || error == EHOSTUNREACH ||
         error == ENETUNREACH || error == ENONET || error == ENOPROTOOPT;
}

tcp_stream tcp_listener::accept(const limits& l, std::error_code& ec) {
  endpoint peer;
  const auto attempt = [&peer](int fd) -> std::ptrdiff_t {
    for (;;) {
      socklen_t size = endpoint::capacity();
      const int connection = ::accept4(fd, peer.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (connection >= 0 || !concerns_one_connection(heddle::detail::errno_here())) return connection;
    }
  };
  const std::ptrdiff_t fd = with_room(waiting_room, [&] {
    poll_outcome outcome = poll_outcome::ready;
    const auto n = io::detail::attempt_until_done(descriptor_, poll_side::read, l.bounds(), 0, outcome, attempt);
    ec = io::detail::error_of(outcome, n);
    return n;
  });
  if (ec) return {};
  return roomy([&] { return tcp_stream::take(static_cast<int>(fd), peer); });
}

tcp_stream tcp_listener::accept(const limits& l) {
  std::error_code ec;
  tcp_stream s = accept(l, ec);
  if (ec) [[unlikely]]
    roomy([&] { throw io::error(ec, "accept on " + local_.to_string()); });
  return s;
}

}  // namespace heddle::net
