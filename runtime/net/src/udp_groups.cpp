// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/udp.hpp"
#include "outcome.hpp"
#include "socket.hpp"

namespace heddle::net {
namespace {

template <class Option>
std::error_code set(int fd, int level, int name, const Option& value) noexcept {
  if (fd < 0) return io::errc::closed;
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0 ? std::error_code() : io::detail::last_error();
}

ip_mreqn membership_v4(const endpoint& group, unsigned interface) noexcept {
  ip_mreqn m{};
  m.imr_multiaddr = reinterpret_cast<const sockaddr_in*>(group.data())->sin_addr;
  m.imr_ifindex = static_cast<int>(interface);
  return m;
}

ipv6_mreq membership_v6(const endpoint& group, unsigned interface) noexcept {
  ipv6_mreq m{};
  m.ipv6mr_multiaddr = reinterpret_cast<const sockaddr_in6*>(group.data())->sin6_addr;
  m.ipv6mr_interface = interface;
  return m;
}

}  // namespace

void udp_socket::join(const endpoint& group, unsigned interface, std::error_code& ec) noexcept {
  ec = group.is_v4() ? set(native_handle(), IPPROTO_IP, IP_ADD_MEMBERSHIP, membership_v4(group, interface))
                     : set(native_handle(), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, membership_v6(group, interface));
}
void udp_socket::join(const endpoint& group, unsigned interface) {
  std::error_code ec;
  join(group, interface, ec);
  check(ec, "join " + group.address_string());
}

void udp_socket::leave(const endpoint& group, unsigned interface, std::error_code& ec) noexcept {
  ec = group.is_v4() ? set(native_handle(), IPPROTO_IP, IP_DROP_MEMBERSHIP, membership_v4(group, interface))
                     : set(native_handle(), IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, membership_v6(group, interface));
}

void udp_socket::send_groups_by(unsigned interface, std::error_code& ec) noexcept {
  ec = family_ == AF_INET6 ? set(native_handle(), IPPROTO_IPV6, IPV6_MULTICAST_IF, interface)
                           : set(native_handle(), IPPROTO_IP, IP_MULTICAST_IF, membership_v4(endpoint(), interface));
}

void udp_socket::loop_groups(bool on, std::error_code& ec) noexcept {
  const int value = on ? 1 : 0;
  ec = family_ == AF_INET6 ? set(native_handle(), IPPROTO_IPV6, IPV6_MULTICAST_LOOP, value)
                           : set(native_handle(), IPPROTO_IP, IP_MULTICAST_LOOP, value);
}

void udp_socket::hops_of_groups(int n, std::error_code& ec) noexcept {
  ec = family_ == AF_INET6 ? set(native_handle(), IPPROTO_IPV6, IPV6_MULTICAST_HOPS, n)
                           : set(native_handle(), IPPROTO_IP, IP_MULTICAST_TTL, n);
}

}  // namespace heddle::net
