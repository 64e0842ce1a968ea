// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <string_view>
#include <system_error>
#include <utility>

#include "heddle/net/dial.hpp"
#include "heddle/net/tls/stream.hpp"

namespace heddle::net::tls {

namespace detail {

/// The handshake of a client over a connection that was dialled. With an error already: nothing.
HEDDLE_EXPORT stream secured(tcp_stream connection, std::string_view host, const limits& l, const context& c,
                             std::error_code& ec);
HEDDLE_EXPORT stream secured(tcp_stream connection, std::string_view host, const limits& l, const context& c);

}  // namespace detail

/// net::dial(), and the handshake with the host of that name, both within the limits.
///
/// \code
/// tls::stream s = tls::dial("example.org:https", 10s);
/// \endcode
///
/// Throws io::error: what net::dial() and stream::handshake() throw.
HEDDLE_EXPORT stream dial(std::string_view target, const limits& l, const context& c, std::error_code& ec);
HEDDLE_EXPORT stream dial(std::string_view target, const limits& l = {}, const context& c = context::default_client());
// Templates, so that `{}` is never a port: dial("example.org:443", {}) has no limits.
template <std::integral Port>
stream dial(std::string_view host, Port port, const limits& l, const context& c, std::error_code& ec) {
  tcp_stream connection = net::dial(host, port, l, ec);
  return detail::secured(std::move(connection), host, l, c, ec);
}
template <std::integral Port>
stream dial(std::string_view host, Port port, const limits& l = {}, const context& c = context::default_client()) {
  return detail::secured(net::dial(host, port, l), host, l, c);
}

}  // namespace heddle::net::tls
