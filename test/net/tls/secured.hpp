// SPDX-License-Identifier: BSL-1.0
//
// Two ends of a TLS connection over each kind of network.
#pragma once

#include <boost/test/unit_test.hpp>
#include <string>
#include <tuple>
#include <utility>

#include "heddle/heddle.hpp"
#include "heddle/net/tls.hpp"
#include "net/networks.hpp"
#include "net/tls/authority.hpp"

namespace secured {

using namespace std::chrono_literals;
namespace tls = heddle::net::tls;

/// A root, a server that it vouches for, and clients that trust it.
struct contexts {
  explicit contexts(const tls::server_options& s = {}, tls::client_options c = {})
      : server(tls::context::server(root.issue().identity(), s)), client([&] {
          c.trusted = {root.root()};
          return tls::context::client(c);
        }()) {}
  heddle::testing::authority root;
  tls::context server, client;
};

/// Those of all tests that need nothing special.
inline const contexts& usual() {
  static const contexts all;
  return all;
}

/// Before all tests: they are made, and no test leaves them behind.
struct made {
  made() {
    usual();
    tls::context::default_client();
  }
};
BOOST_TEST_GLOBAL_FIXTURE(made);

struct two_ends {
  tls::stream client, server;
};

/// Over a fresh connection, before the handshake.
template <class Network>
two_ends unshaken(Network& net, const contexts& c = usual(), const char* host = "localhost") {
  auto plain = networks::connected(net);
  return {tls::stream(std::move(plain.client), c.client, host), tls::stream(std::move(plain.server), c.server)};
}

/// The outcome of each side's handshake.
inline std::pair<std::error_code, std::error_code> shake_hands(two_ends& e) {
  std::error_code client, server;
  auto other = heddle::spawn([&] {
    e.server.handshake(20s, server);
    if (server) e.server.close();
  });
  e.client.handshake(20s, client);
  if (client) e.client.close();
  other.join();
  return {client, server};
}

template <class Network>
two_ends connected(Network& net, const contexts& c = usual()) {
  two_ends e = unshaken(net, c);
  const auto [client, server] = shake_hands(e);
  BOOST_TEST_REQUIRE(!client, client.message());
  BOOST_TEST_REQUIRE(!server, server.message());
  return e;
}

/// A byte at a time.
struct bytewise_memory : networks::memory {
  static constexpr std::size_t much = 30'000;
  bytewise_memory() : memory({.buffer = 1}) {}
};

using all = std::tuple<networks::tcp, networks::memory, networks::slow_memory, bytewise_memory>;

/// The exception of f.
template <class F>
heddle::io::error thrown_by(F f) {
  try {
    f();
  } catch (const heddle::io::error& e) {
    return e;
  }
  BOOST_FAIL("nothing was thrown");
  return {{}, ""};
}

}  // namespace secured
