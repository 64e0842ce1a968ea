// SPDX-License-Identifier: BSL-1.0
//
// The networks that have the interface of TCP, for tests of what all of them promise: templates over these types.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "heddle/net/memory.hpp"
#include "heddle/net/tcp.hpp"

namespace networks {

using namespace std::chrono_literals;
using heddle::net::endpoint;

struct tcp {
  using listener = heddle::net::tcp_listener;
  using stream = heddle::net::tcp_stream;
  static constexpr std::size_t much = 20'000'000;  ///< more than it holds on the way

  static listener listen(const endpoint& on = endpoint::loopback_v4(0)) { return listener::listen(on); }
  template <class... Arguments>
  static stream connect(const Arguments&... a) {
    return stream::connect(a...);
  }
};

/// One in memory, as quick as it can be.
struct memory {
  using listener = heddle::net::memory_listener;
  using stream = heddle::net::memory_stream;
  static constexpr std::size_t much = 2'000'000;

  memory() = default;
  explicit memory(const heddle::net::memory_options& o) : net(o) {}
  listener listen(const endpoint& on = endpoint::loopback_v4(0)) { return net.listen(on); }
  template <class... Arguments>
  stream connect(const Arguments&... a) {
    return net.connect(a...);
  }

  heddle::net::memory_network net;
};

/// One whose bytes are under way for a while, and come in pieces.
struct slow_memory : memory {
  static constexpr std::size_t much = 300'000;
  slow_memory() : memory({.latency = 20us, .jitter = 50us, .buffer = 5'000, .short_reads = 3, .short_writes = 3}) {}
};

using all = std::tuple<tcp, memory, slow_memory>;

template <class Network>
struct two_ends {
  typename Network::stream client, server;
};

template <class Network>
two_ends<Network> connected(Network& net) {
  auto l = net.listen();
  auto client = net.connect(l.local_endpoint());
  return {std::move(client), l.accept()};
}

inline std::vector<std::byte> pattern(std::size_t n) {
  std::vector<std::byte> b(n);
  for (std::size_t i = 0; i != n; ++i) b[i] = static_cast<std::byte>(i * 7 + i / 251);
  return b;
}

inline std::string text_of(std::span<const std::byte> b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

/// Reads n bytes as text; less if the stream ends.
template <class Stream>
std::string text_from(Stream& s, std::size_t n) {
  std::vector<std::byte> b(n);
  std::error_code ec;
  return text_of(std::span(b).first(s.read(b, 60s, ec)));  // virtual machines have stood still for ten
}

}  // namespace networks
