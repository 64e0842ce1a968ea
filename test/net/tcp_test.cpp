// SPDX-License-Identifier: BSL-1.0
//
// Things that only connections of the system have: descriptors and options. The rest is in connection_test.cpp.
#include "heddle/net/tcp.hpp"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <string>

#include "heddle/heddle.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::net::endpoint;
using heddle::net::tcp_listener;
using heddle::net::tcp_stream;

struct two_ends {
  tcp_stream client, server;
};

two_ends connected() {
  tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
  tcp_stream client = tcp_stream::connect(l.local_endpoint());
  return {std::move(client), l.accept()};
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

}  // namespace

BOOST_AUTO_TEST_SUITE(tcp)

// It stays open while an operation uses it, and close() returns when that is over.
BOOST_AUTO_TEST_CASE(close_closes_the_descriptor) {
  heddle::run([] {
    two_ends c = connected();
    const int fd = c.server.native_handle();
    auto reader = heddle::spawn([&] {
      std::array<std::byte, 16> b;
      std::error_code ec;
      c.server.read_some(b, ec);
      return ec;
    });
    heddle::this_fiber::sleep_for(2ms);
    BOOST_TEST(is_open(fd));
    c.server.close();
    BOOST_TEST(!is_open(fd));
    BOOST_TEST(c.server.native_handle() == -1);
    BOOST_TEST((reader.join() == heddle::io::errc::closed));
  });
}

// Without a buffer: the bytes are still the kernel's.
BOOST_AUTO_TEST_CASE(waiting_takes_nothing) {
  heddle::run([] {
    two_ends c = connected();
    c.client.write("x");
    c.server.wait_readable(10s);
    std::array<std::byte, 16> b;
    BOOST_TEST(::recv(c.server.native_handle(), b.data(), 1, MSG_PEEK | MSG_DONTWAIT) == 1);
  });
}

BOOST_AUTO_TEST_CASE(options_come_from_the_listener) {
  heddle::run([] {
    two_ends c = connected();
    for (const int option : {TCP_NODELAY}) {
      int value = 0;
      socklen_t size = sizeof value;
      ::getsockopt(c.server.native_handle(), IPPROTO_TCP, option, &value, &size);
      BOOST_TEST(value == 1);
      ::getsockopt(c.client.native_handle(), IPPROTO_TCP, option, &value, &size);
      BOOST_TEST(value == 1);
    }
    int alive = 0;
    socklen_t size = sizeof alive;
    ::getsockopt(c.server.native_handle(), SOL_SOCKET, SO_KEEPALIVE, &alive, &size);
    BOOST_TEST(alive == 1);
    BOOST_TEST((::fcntl(c.server.native_handle(), F_GETFL) & O_NONBLOCK) != 0);
    BOOST_TEST((::fcntl(c.server.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
  });
}

BOOST_AUTO_TEST_CASE(version_6) {
  heddle::run([] {
    std::error_code ec;
    tcp_listener l = tcp_listener::listen(endpoint::any_v6(0), {}, ec);
    if (ec == std::errc::address_family_not_supported) return;
    BOOST_TEST_REQUIRE(!ec, ec.message());
    tcp_stream c = tcp_stream::connect(endpoint::loopback_v4(l.local_endpoint().port()));
    tcp_stream s = l.accept();
    BOOST_TEST(s.peer_endpoint().to_string() == c.local_endpoint().to_string());
  });
}

// Only if all of them ask for it.
BOOST_AUTO_TEST_CASE(listeners_share_a_port) {
  heddle::run([] {
    const tcp_listener first = tcp_listener::listen(endpoint::loopback_v4(0), {.reuse_port = true});
    std::error_code ec;
    BOOST_TEST(tcp_listener::listen(first.local_endpoint(), {.reuse_port = true}, ec).is_open());
    BOOST_TEST(!ec, ec.message());
    BOOST_TEST(!tcp_listener::listen(first.local_endpoint(), {}, ec).is_open());
    BOOST_TEST((ec == std::errc::address_in_use));
  });
}

BOOST_AUTO_TEST_SUITE_END()
