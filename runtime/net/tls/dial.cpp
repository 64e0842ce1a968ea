// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/tls/dial.hpp"

#include "heddle/net/detail/target.hpp"

namespace heddle::net::tls {
namespace detail {

stream secured(tcp_stream connection, std::string_view host, const limits& l, const context& c, std::error_code& ec) {
  if (ec) return {};
  stream s(std::move(connection), c, host);
  s.handshake(l, ec);
  return ec ? stream() : std::move(s);
}

stream secured(tcp_stream connection, std::string_view host, const limits& l, const context& c) {
  stream s(std::move(connection), c, host);
  s.handshake(l);
  return s;
}

}  // namespace detail

stream dial(std::string_view target, const limits& l, const context& c, std::error_code& ec) {
  tcp_stream connection = net::dial(target, l, ec);
  return detail::secured(std::move(connection), net::detail::split_target(target).host, l, c, ec);
}

stream dial(std::string_view target, const limits& l, const context& c) {
  return detail::secured(net::dial(target, l), net::detail::split_target(target).host, l, c);
}

}  // namespace heddle::net::tls
