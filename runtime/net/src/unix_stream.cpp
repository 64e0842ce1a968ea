// SPDX-License-Identifier: BSL-1.0
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "heddle/net/unix.hpp"
#include "heddle/this_fiber.hpp"
#include "outcome.hpp"
#include "socket.hpp"

namespace heddle::net {

using io::detail::last_error;
using io::detail::perform;
using io::detail::poll_side;

struct unix_stream::core_type final : io::detail::stream_core {
  core_type(int fd, std::string n) : stream_core(fd, io::detail::access_kind::socket), peer(std::move(n)) {}
  std::string name() const override { return peer; }
  const std::string peer;
};

unix_stream unix_stream::take(int fd, std::string name) {
  return unix_stream(std::make_unique<core_type>(fd, std::move(name)));
}

unix_stream unix_stream::adopt(int fd) {
  if (!make_non_blocking(fd)) throw io::error(last_error(), "adopt descriptor " + std::to_string(fd));
  return take(fd, "descriptor " + std::to_string(fd));
}

std::pair<unix_stream, unix_stream> unix_stream::pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw io::error(last_error(), "make a pair of sockets");
  io::owned_descriptor second(ends[1]);
  unix_stream a = take(ends[0], "the other socket of a pair");
  unix_stream b = take(second.release(), "the other socket of a pair");
  return {std::move(a), std::move(b)};
}

// --- connecting -----------------------------------------------------------------------------------------------------

namespace {

/// Waits a while, longer each time. False: the limits leave no time, see ec.
bool pause(heddle::detail::nanoseconds_t& length, const io::detail::wait_bounds& b, std::error_code& ec) {
  constexpr heddle::detail::nanoseconds_t longest = 50'000'000;
  const auto now = heddle::detail::monotonic_now();
  const bool stopped = b.stop != nullptr && b.stop->stop_requested();
  if (stopped || now >= b.deadline) {
    ec = std::make_error_code(stopped ? std::errc::operation_canceled : std::errc::timed_out);
    return false;
  }
  const auto until = std::min(now + length, b.deadline);
  length = std::min(2 * length, longest);
  if (b.stop != nullptr)
    heddle::detail::sleep_until(until, *b.stop);
  else
    heddle::detail::sleep_until(until);
  return true;
}

}  // namespace

unix_stream unix_stream::connect(const unix_endpoint& to, const limits& l, std::error_code& ec) {
  io::owned_descriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  heddle::detail::nanoseconds_t length = 1'000'000;
  ec.clear();
  while (::connect(fd.get(), to.data(), to.size()) != 0) {
    const int error = heddle::detail::errno_here();
    if (error == EINTR) continue;
    ec = last_error();
    if (error != EAGAIN || !pause(length, l.bounds(), ec)) return {};
    ec.clear();
  }
  return take(fd.release(), to.to_string());
}

unix_stream unix_stream::connect(const unix_endpoint& to, const limits& l) {
  std::error_code ec;
  unix_stream s = connect(to, l, ec);
  if (ec) throw io::error(ec, "connect to " + to.to_string());
  return s;
}

// --- descriptors ----------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t bytes_of_descriptors = unix_stream::most_descriptors * sizeof(int);

/// The data that the system sends along with bytes. On receipt it also has room for what others may have asked for,
/// such as credentials: what does not fit is lost.
struct alignas(cmsghdr) ancillary {
  std::array<unsigned char, CMSG_SPACE(bytes_of_descriptors) + 512> bytes;
};

void put_descriptors(msghdr& message, ancillary& room, std::span<const int> descriptors) noexcept {
  message.msg_control = room.bytes.data();
  message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
  std::memset(room.bytes.data(), 0, message.msg_controllen);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
  std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
}

void take_descriptors(msghdr& message, std::vector<io::owned_descriptor>& to) noexcept {
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); h != nullptr; h = CMSG_NXTHDR(&message, h)) {
    if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i != n; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
      to.emplace_back(fd);
    }
  }
}

}  // namespace

std::size_t unix_stream::send(std::span<const std::byte> from, std::span<const int> descriptors, const limits& l,
                              std::error_code& ec) noexcept {
  if (descriptors.empty()) return write_some(from, l, ec);
  ec = from.empty() ? std::make_error_code(std::errc::invalid_argument) : std::error_code();
  if (descriptors.size() > most_descriptors) ec = std::make_error_code(std::errc::argument_list_too_long);
  if (core() == nullptr) ec = io::errc::closed;
  if (ec) return 0;
  ancillary room;
  iovec part{const_cast<std::byte*>(from.data()), from.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  put_descriptors(message, room, descriptors);
  return perform(core()->descriptor, poll_side::write, l.bounds(), from.size(), ec,
                 [&](int fd) { return ::sendmsg(fd, &message, MSG_NOSIGNAL); });
}

std::size_t unix_stream::send(std::span<const std::byte> from, std::span<const int> descriptors, const limits& l) {
  std::error_code ec;
  const std::size_t n = send(from, descriptors, l, ec);
  check(ec, "send descriptors to");
  return n;
}

std::size_t unix_stream::receive(std::span<std::byte> to, std::vector<io::owned_descriptor>& descriptors,
                                 const limits& l, std::error_code& ec) {
  ec = io::errc::closed;
  if (core() == nullptr) return 0;
  descriptors.reserve(descriptors.size() + most_descriptors);
  ancillary room;
  iovec part{to.data(), to.size()};
  msghdr message{};
  // Fewer bytes than asked for do not mean that there are no more: the system ends a message where descriptors begin.
  const std::size_t n = perform(core()->descriptor, poll_side::read, l.bounds(), 0, ec, [&](int fd) {
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = room.bytes.data();
    message.msg_controllen = room.bytes.size();
    return ::recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
  });
  if (ec) return 0;
  take_descriptors(message, descriptors);
  if ((message.msg_flags & MSG_CTRUNC) != 0) ec = std::make_error_code(std::errc::too_many_files_open);
  return n;
}

std::size_t unix_stream::receive(std::span<std::byte> to, std::vector<io::owned_descriptor>& descriptors,
                                 const limits& l) {
  std::error_code ec;
  const std::size_t n = receive(to, descriptors, l, ec);
  check(ec, "receive descriptors from");
  return n;
}

// --- the rest -------------------------------------------------------------------------------------------------------

unix_credentials unix_stream::peer_credentials(std::error_code& ec) const noexcept {
  ec = io::errc::closed;
  if (!is_open()) return {};
  ucred peer{};
  socklen_t size = sizeof peer;
  const int result = ::getsockopt(native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
  ec = result == 0 ? std::error_code() : last_error();
  return {peer.pid, peer.uid, peer.gid};
}

unix_credentials unix_stream::peer_credentials() const {
  std::error_code ec;
  const unix_credentials c = peer_credentials(ec);
  check(ec, "ask for the credentials of");
  return c;
}

void unix_stream::shutdown_write(std::error_code& ec) noexcept { ec = shut_down(native_handle(), SHUT_WR); }
void unix_stream::shutdown_write() {
  std::error_code ec;
  shutdown_write(ec);
  check(ec, "shut down");
}

}  // namespace heddle::net
