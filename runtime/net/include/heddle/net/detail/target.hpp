// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

namespace heddle::net::detail {

/// Both parts of "host:port"; empty ones if it is none.
struct target {
  std::string_view host, service;
};

inline target split_target(std::string_view text) noexcept {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == text.size()) return {};
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return {};
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {  // of version 6, whose end nobody can tell without brackets
    return {};
  }
  return {host, text.substr(colon + 1)};
}

}  // namespace heddle::net::detail
