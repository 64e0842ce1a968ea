// SPDX-License-Identifier: BSL-1.0
//
// Names that name servers know: asked by c-ares, whose sockets the runtime's poller watches.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "heddle/net/detail/resolver.hpp"

namespace heddle::net::detail {

/// Where the name servers are. Those of a process are the system's; tests have others.
struct name_server_options {
  std::string resolv_conf = "/etc/resolv.conf";      ///< read for each question
  std::string nsswitch_conf = "/etc/nsswitch.conf";  ///< read again when it has changed
  std::uint16_t port = 53;                           ///< of all of them
  std::chrono::milliseconds timeout{0};              ///< of the first try with a server; 0: as c-ares has it
  int tries = 0;                                     ///< with each server; 0: as c-ares has it
};

/// A function for resolver. It leaves alone what c-ares would answer otherwise than getaddrinfo: hosts that are
/// numbers, and all of them where nsswitch.conf names more sources of hosts than `files` and `dns`, or c-ares is not
/// installed. Empty if heddle was built without c-ares.
HEDDLE_EXPORT fiber_look_up_function ask_name_servers(name_server_options o = {});

}  // namespace heddle::net::detail
