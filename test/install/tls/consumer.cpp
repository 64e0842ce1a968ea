// SPDX-License-Identifier: BSL-1.0
//
// A user's program that speaks TLS: here to one who does not.
#include <cstdio>
#include <heddle/heddle.hpp>
#include <heddle/net/memory.hpp>
#include <heddle/net/tls.hpp>
#include <system_error>

namespace net = heddle::net;

int main() {
  heddle::run([] {
    net::memory_network network;
    auto listener = network.listen(net::endpoint::loopback_v4(443));
    net::tls::stream client(network.connect(listener.local_endpoint()), net::tls::context::client(), "example.org");
    heddle::go([&] { listener.accept().write("this is not TLS\n"); });
    std::error_code ec;
    client.handshake({}, ec);
    std::printf("%s: %s\n", ec.category().name(), ec.message().c_str());
  });
}
