// SPDX-License-Identifier: BSL-1.0
//
// The parts of dial(), which tests take apart.
#pragma once

#include <chrono>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include "heddle/net/detail/resolver.hpp"
#include "heddle/net/tcp.hpp"

namespace heddle::net::detail {

struct failed_attempt {
  endpoint to;
  std::error_code error;
};

/// By turns of both versions, beginning with that of the first; in the same order otherwise.
HEDDLE_EXPORT std::vector<endpoint> by_turns(const std::vector<endpoint>& addresses);

/// Connects to one of the addresses, of which there is one at least; a further attempt begins after each `delay` and
/// each failure. Without a connection: the attempts in the order in which they failed, and the last one's error.
HEDDLE_EXPORT tcp_stream connect_any(std::span<const endpoint> addresses, const io::limits& l,
                                     std::chrono::nanoseconds delay, std::vector<failed_attempt>& failures,
                                     std::error_code& ec);

/// dial() by another resolver.
HEDDLE_EXPORT tcp_stream dial(resolver& r, std::string_view host, std::string_view service, const io::limits& l,
                              std::vector<failed_attempt>& failures, std::error_code& ec);

}  // namespace heddle::net::detail
