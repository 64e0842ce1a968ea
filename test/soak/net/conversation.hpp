// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>

#include "heddle/net/tcp.hpp"
#include "soak/scenario.hpp"

namespace soak {

/// Common parts of conversations.
struct meeting {
  heddle::net::endpoint server;  ///< that sends back whatever it gets
  bool rough = false;            ///< connections may break
  stopper& stops;
  std::atomic<std::uint64_t> bytes{0};  ///< that came back
  std::atomic<unsigned long> whole{0};  ///< conversations to the end
  std::atomic<unsigned long> ended{0};  ///< that somebody has ended before
};

/// Sends bytes to the server and checks each that comes back, with limits and stops on the way; ends with a half-close,
/// or by a close or a reset at any moment. Nothing may be lost, doubled or out of place; nothing may be missing unless
/// the connection was broken.
void converse(meeting& m, dice chance);

/// The server's half.
void send_back(heddle::net::tcp_stream& s);

}  // namespace soak
