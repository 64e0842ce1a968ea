// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/udp.hpp"

#include <netinet/udp.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "outcome.hpp"
#include "socket.hpp"

namespace heddle::net {

using io::detail::last_error;
using io::detail::perform;
using io::detail::poll_side;

void udp_socket::check(const std::error_code& ec, const std::string& operation) const {
  if (ec) throw io::error(ec, operation);
}

// --- making ---------------------------------------------------------------------------------------------------------

udp_socket udp_socket::bind(const endpoint& on, const udp_options& o, std::error_code& ec) {
  const int fd = ::socket(on.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    ec = last_error();
    return {};
  }
  udp_socket s;
  s.descriptor_ = io::detail::polled(fd);
  s.family_ = on.family();
  ec.clear();
  if (o.reuse_address) ec = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, true);
  if (!ec && o.reuse_port) ec = set_flag(fd, SOL_SOCKET, SO_REUSEPORT, true);
  if (!ec && on.is_v6()) ec = set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, o.v6_only);
  if (!ec && o.broadcast) ec = set_flag(fd, SOL_SOCKET, SO_BROADCAST, true);
  if (!ec && o.receive_buffer != 0) ec = set_number(fd, SOL_SOCKET, SO_RCVBUF, o.receive_buffer);
  if (!ec && o.send_buffer != 0) ec = set_number(fd, SOL_SOCKET, SO_SNDBUF, o.send_buffer);
  if (!ec && ::bind(fd, on.data(), on.size()) != 0) ec = last_error();
  return ec ? udp_socket() : std::move(s);
}

udp_socket udp_socket::bind(const endpoint& on, const udp_options& o) {
  std::error_code ec;
  udp_socket s = bind(on, o, ec);
  if (ec) throw io::error(ec, "bind to " + on.to_string());
  return s;
}

void udp_socket::connect(const endpoint& to, std::error_code& ec) noexcept {
  const io::detail::polled::use now(descriptor_);
  ec = io::errc::closed;
  if (now) ec = ::connect(now.descriptor(), to.data(), to.size()) == 0 ? std::error_code() : last_error();
}
void udp_socket::connect(const endpoint& to) {
  std::error_code ec;
  connect(to, ec);
  check(ec, "connect to " + to.to_string());
}

endpoint udp_socket::local_endpoint() const noexcept { return local_of(native_handle()); }

// --- one datagram ---------------------------------------------------------------------------------------------------

void udp_socket::send(std::span<const std::byte> bytes, const limits& l, std::error_code& ec) noexcept {
  perform(descriptor_, poll_side::write, l.bounds(), 0, ec,
          [&](int fd) { return ::send(fd, bytes.data(), bytes.size(), 0); });
}
void udp_socket::send(std::span<const std::byte> bytes, const limits& l) {
  std::error_code ec;
  send(bytes, l, ec);
  check(ec, "send a datagram");
}

void udp_socket::send_to(const endpoint& to, std::span<const std::byte> bytes, const limits& l,
                         std::error_code& ec) noexcept {
  perform(descriptor_, poll_side::write, l.bounds(), 0, ec,
          [&](int fd) { return ::sendto(fd, bytes.data(), bytes.size(), 0, to.data(), to.size()); });
}
void udp_socket::send_to(const endpoint& to, std::span<const std::byte> bytes, const limits& l) {
  std::error_code ec;
  send_to(to, bytes, l, ec);
  check(ec, "send to " + to.to_string());
}

udp_received udp_socket::receive_from(std::span<std::byte> room, const limits& l, std::error_code& ec) noexcept {
  udp_received r;
  r.full_size = perform(descriptor_, poll_side::read, l.bounds(), 0, ec, [&](int fd) {
    socklen_t size = endpoint::capacity();
    return ::recvfrom(fd, room.data(), room.size(), MSG_TRUNC, r.from.data(), &size);
  });
  r.size = std::min(r.full_size, room.size());
  return r;
}
udp_received udp_socket::receive_from(std::span<std::byte> room, const limits& l) {
  std::error_code ec;
  const udp_received r = receive_from(room, l, ec);
  check(ec, "receive on " + local_endpoint().to_string());
  return r;
}

// --- many -----------------------------------------------------------------------------------------------------------

std::size_t udp_socket::send_batch(std::span<const udp_outgoing> all, const limits& l, std::error_code& ec) noexcept {
  std::array<mmsghdr, most_at_once> headers;
  std::array<iovec, most_at_once> parts;
  std::size_t sent = 0;
  for (ec.clear(); sent != all.size() && !ec;) {
    const std::size_t n = std::min(all.size() - sent, most_at_once);
    for (std::size_t i = 0; i != n; ++i) {
      const udp_outgoing& d = all[sent + i];
      parts[i] = {const_cast<std::byte*>(d.bytes.data()), d.bytes.size()};
      headers[i] = {};
      headers[i].msg_hdr.msg_iov = &parts[i];
      headers[i].msg_hdr.msg_iovlen = 1;
      if (d.to == endpoint()) continue;
      headers[i].msg_hdr.msg_name = const_cast<sockaddr*>(d.to.data());
      headers[i].msg_hdr.msg_namelen = d.to.size();
    }
    sent += perform(descriptor_, poll_side::write, l.bounds(), 0, ec,
                    [&](int fd) { return ::sendmmsg(fd, headers.data(), static_cast<unsigned>(n), 0); });
  }
  return sent;
}
std::size_t udp_socket::send_batch(std::span<const udp_outgoing> all, const limits& l) {
  std::error_code ec;
  const std::size_t n = send_batch(all, l, ec);
  if (ec) throw io::error(ec, "send to " + all[n].to.to_string());
  return n;
}

std::size_t udp_socket::receive_batch(std::span<udp_incoming> all, const limits& l, std::error_code& ec) noexcept {
  std::array<mmsghdr, most_at_once> headers;
  std::array<iovec, most_at_once> parts;
  ec.clear();
  const std::size_t n = std::min(all.size(), most_at_once);
  if (n == 0) return 0;
  for (std::size_t i = 0; i != n; ++i) {
    parts[i] = {all[i].room.data(), all[i].room.size()};
    headers[i] = {};
    headers[i].msg_hdr.msg_iov = &parts[i];
    headers[i].msg_hdr.msg_iovlen = 1;
    headers[i].msg_hdr.msg_name = all[i].got.from.data();
    headers[i].msg_hdr.msg_namelen = endpoint::capacity();
  }
  const std::size_t got = perform(descriptor_, poll_side::read, l.bounds(), 0, ec, [&](int fd) {
    return ::recvmmsg(fd, headers.data(), static_cast<unsigned>(n), MSG_TRUNC, nullptr);
  });
  for (std::size_t i = 0; i != got; ++i) {
    all[i].got.full_size = headers[i].msg_len;
    all[i].got.size = std::min<std::size_t>(headers[i].msg_len, all[i].room.size());
  }
  return got;
}
std::size_t udp_socket::receive_batch(std::span<udp_incoming> all, const limits& l) {
  std::error_code ec;
  const std::size_t n = receive_batch(all, l, ec);
  check(ec, "receive on " + local_endpoint().to_string());
  return n;
}

// --- segments -------------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t most_segments = 64;        // of the kernel: UDP_MAX_SEGMENTS, 128 since Linux 6.9
constexpr std::size_t most_bytes = 65'535 - 48;  // of a datagram with the headers of version 6

/// Whether the system cannot do it, at all, by this interface, or with datagrams that long.
bool is_refusal(const std::error_code& ec) noexcept {
  return ec == std::errc::invalid_argument || ec == std::errc::io_error || ec == std::errc::operation_not_supported ||
         ec == std::errc::no_protocol_option || ec == std::errc::message_size;
}

}  // namespace

std::size_t udp_socket::send_offloaded(const endpoint& to, std::span<const std::byte> bytes, std::size_t size,
                                       const limits& l, std::error_code& ec) noexcept {
  struct alignas(cmsghdr) {
    std::array<unsigned char, CMSG_SPACE(sizeof(std::uint16_t))> bytes;
  } room{};
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(to.data());
  message.msg_namelen = to.size();
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room.bytes.data();
  message.msg_controllen = room.bytes.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = IPPROTO_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  const auto segment = static_cast<std::uint16_t>(size);
  std::memcpy(CMSG_DATA(header), &segment, sizeof segment);
  return perform(descriptor_, poll_side::write, l.bounds(), 0, ec, [&](int fd) { return ::sendmsg(fd, &message, 0); });
}

std::size_t udp_socket::send_cut(const endpoint& to, std::span<const std::byte> bytes, std::size_t size,
                                 const limits& l, std::error_code& ec) noexcept {
  std::array<udp_outgoing, most_at_once> datagrams;
  std::size_t sent = 0;
  for (ec.clear(); sent != bytes.size() && !ec;) {
    std::size_t n = 0;
    for (std::size_t at = sent; n != datagrams.size() && at < bytes.size(); at += size)
      datagrams[n++] = {bytes.subspan(at, std::min(size, bytes.size() - at)), to};
    const std::size_t done = send_batch(std::span(datagrams).first(n), l, ec);
    for (std::size_t i = 0; i != done; ++i) sent += datagrams[i].bytes.size();
  }
  return sent;
}

std::size_t udp_socket::send_segments(const endpoint& to, std::span<const std::byte> bytes, std::size_t size,
                                      const limits& l, std::error_code& ec) noexcept {
  ec = std::make_error_code(std::errc::invalid_argument);
  if (size == 0) return 0;
  const std::size_t at_once = std::min(most_segments, most_bytes / std::min(size, most_bytes)) * size;
  std::size_t sent = 0;
  for (ec.clear(); sent != bytes.size() && !ec;) {
    const auto part = bytes.subspan(sent, std::min(at_once, bytes.size() - sent));
    sent += part.size() > size ? send_offloaded(to, part, size, l, ec) : send_cut(to, part, size, l, ec);
    if (ec && part.size() > size && is_refusal(ec)) return sent + send_cut(to, bytes.subspan(sent), size, l, ec);
  }
  return sent;
}
std::size_t udp_socket::send_segments(const endpoint& to, std::span<const std::byte> bytes, std::size_t size,
                                      const limits& l) {
  std::error_code ec;
  const std::size_t n = send_segments(to, bytes, size, l, ec);
  check(ec, "send to " + to.to_string());
  return n;
}

}  // namespace heddle::net
