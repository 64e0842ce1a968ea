// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <system_error>

#include "heddle/net/resolve.hpp"
#include "heddle/net/tcp.hpp"

namespace heddle::net {
namespace detail {

HEDDLE_EXPORT tcp_stream dial_port(std::string_view host, std::intmax_t port, const limits& l, std::error_code& ec);
HEDDLE_EXPORT tcp_stream dial_port(std::string_view host, std::intmax_t port, const limits& l);

}  // namespace detail

/// Connects to a host by its name or address.
///
/// \param host    as resolve() takes it
/// \param port    of TCP, a number
/// \param target  both at once: "example.org:80", "example.org:https", "127.0.0.1:80", "[::1]:80"
/// \param l       how long resolving and connecting may take together
///
/// \code
/// net::tcp_stream s = net::dial("example.org:http", 10s);
/// \endcode
///
/// A host may have addresses that lead nowhere. So they are tried one after the other, of both versions by turns, each
/// next one when an attempt has failed or when 250 ms have passed, while the earlier attempts go on. The first that
/// connects wins. The others are broken off and closed before dial() returns.
///
/// Throws io::error, which tells of every attempt: "dial example.org:80 ([2001:db8::1]:80: Network is unreachable;
/// 192.0.2.1:80: Connection refused): Connection refused". The error code is that of the last attempt, or of resolve();
/// std::errc::invalid_argument for a target without a port, and for a port above 65535. Several addresses cost a fiber
/// each; a plain thread starts a runtime for them. Both forms throw what resolve() throws.
///
/// Source: RFC 8305, "Happy Eyeballs Version 2"; addresses are known all at once here, as resolve() returns them.
HEDDLE_EXPORT tcp_stream dial(std::string_view target, const limits& l, std::error_code& ec);
HEDDLE_EXPORT tcp_stream dial(std::string_view target, const limits& l = {});
// Templates, so that `{}` is never a port: dial("example.org:80", {}) has no limits.
template <std::integral Port>
tcp_stream dial(std::string_view host, Port port, const limits& l, std::error_code& ec) {
  return detail::dial_port(host, static_cast<std::intmax_t>(port), l, ec);
}
template <std::integral Port>
tcp_stream dial(std::string_view host, Port port, const limits& l = {}) {
  return detail::dial_port(host, static_cast<std::intmax_t>(port), l);
}

}  // namespace heddle::net
