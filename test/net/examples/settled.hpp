// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <system_error>
#include <vector>

#include "heddle/net/dial.hpp"
#include "heddle/net/tcp.hpp"
#include "heddle/run.hpp"

namespace heddle::testing {

/// Makes the process keep all that it keeps once it has used the network: the poller, the resolver, and the records of
/// `connections` descriptors. As a global fixture of a test it runs before leak_check counts.
template <int connections>
struct settled_network {
  settled_network() {
    heddle::run([] {
      std::vector<net::tcp_listener> all;
      for (int i = 0; i != connections; ++i) all.push_back(net::tcp_listener::listen(net::endpoint::loopback_v4(0)));
      const net::tcp_stream client = net::dial(all.front().local_endpoint().to_string());
      std::error_code timed_out;
      all.back().accept(std::chrono::milliseconds(1), timed_out);
    });
  }
};

}  // namespace heddle::testing
