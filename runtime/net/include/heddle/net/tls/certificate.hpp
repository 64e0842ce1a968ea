// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "heddle/detail/config.hpp"

namespace heddle::net::tls {

/// The contents of a peer's certificate.
struct certificate {
  std::string subject;             ///< "CN=example.org,O=Example", as RFC 2253 writes it
  std::string issuer;              ///< the same
  std::vector<std::string> names;  ///< hosts and addresses for which it is good
  std::chrono::system_clock::time_point not_before, not_after;
  std::array<std::byte, 32> sha256;  ///< of the whole certificate: its fingerprint
};

}  // namespace heddle::net::tls
