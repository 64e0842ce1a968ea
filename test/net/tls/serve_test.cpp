// SPDX-License-Identifier: BSL-1.0
//
// Many connections.
#include <sys/resource.h>

#include <boost/test/unit_test.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "net/poller_in_use.hpp"
#include "net/tls/secured.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::late;
using networks::text_from;
namespace io = heddle::io;
namespace net = heddle::net;
namespace tls = heddle::net::tls;

/// As patient as the slowest client, which writes when a thousand others have been connected.
void echo(tls::stream& s) {
  std::vector<std::byte> b(1'000);
  while (const std::size_t n = s.read_some(b, 5 * late)) s.write(std::span(b).first(n), 5 * late);
}

/// tls::serve() on a fiber.
template <class Handler>
class serving {
 public:
  explicit serving(Handler h, const tls::serve_options& o = {})
      : where(listener_.local_endpoint()),
        fiber_(
            heddle::spawn([this, h, o] { tls::serve(listener_, secured::usual().server, h, stop.get_token(), o); })) {}
  serving(const serving&) = delete;
  serving& operator=(const serving&) = delete;
  ~serving() {
    stop.request_stop();
    fiber_.join();
  }

 private:
  net::tcp_listener listener_ = net::tcp_listener::listen(net::endpoint::loopback_v4(0));

 public:
  const net::endpoint where;
  std::stop_source stop;

 private:
  heddle::join_handle<void> fiber_;
};

tls::stream client_of(const net::endpoint& where) {
  tls::stream s(net::tcp_stream::connect(where, late), secured::usual().client, "localhost");
  s.handshake(late);
  return s;
}

}  // namespace

// Not beside a count of what is left over: the process keeps what it has made for so many descriptors.
BOOST_AUTO_TEST_CASE(a_thousand_at_once) {
  constexpr std::size_t connections = heddle::testing::times(1'000);
  rlimit descriptors;
  ::getrlimit(RLIMIT_NOFILE, &descriptors);
  descriptors.rlim_cur = descriptors.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &descriptors);
  BOOST_TEST_REQUIRE(descriptors.rlim_cur > 2 * connections + 100);
  heddle::run([] {
    const serving server(echo, {.handshake_time = 5 * late});
    heddle::latch all_connected(connections);
    heddle::group clients;
    for (std::size_t i = 0; i != connections; ++i)
      clients.spawn([&, i] {
        tls::stream s(net::tcp_stream::connect(server.where, 5 * late), secured::usual().client, "localhost");
        s.handshake(5 * late);
        all_connected.arrive_and_wait();
        const std::string text = "client " + std::to_string(i);
        s.write(text, 5 * late);
        heddle::testing::expect(text_from(s, text.size()) == text);
        s.shutdown_write(5 * late);
        std::byte b;
        heddle::testing::expect(s.read_some({&b, 1}, 5 * late) == 0u);
      });
    clients.wait();
  });
}

BOOST_FIXTURE_TEST_SUITE(serving_tls, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(slow_clients_hold_up_nobody_and_are_dropped) {
  heddle::run([] {
    const serving server(echo, {.handshake_time = 3s});
    std::vector<net::tcp_stream> silent;
    for (int i = 0; i != 50; ++i) silent.push_back(net::tcp_stream::connect(server.where, late));
    silent.back().write("\x16\x03\x01");  // the beginning of a handshake
    tls::stream quick = client_of(server.where);
    quick.write("hello");
    BOOST_TEST(text_from(quick, 5) == "hello");
    std::byte b;
    for (net::tcp_stream& s : silent) BOOST_TEST(s.read_some({&b, 1}, late) == 0u);
  });
}

BOOST_AUTO_TEST_CASE(how_a_handler_ends_is_seen_by_the_peer) {
  heddle::run([] {
    std::string said;
    const auto handler = [](tls::stream& s) {
      const std::string word = text_from(s, 5);
      s.write("seen");
      if (word == "throw") throw std::runtime_error("as it was asked to");
    };
    const auto note = [&said](const std::exception_ptr& e, const std::string&) {
      try {
        std::rethrow_exception(e);
      } catch (const std::exception& what) {
        said = what.what();
      }
    };
    std::optional<serving<decltype(handler)>> server;
    server.emplace(handler, tls::serve_options{.connections = {.on_exception = note}});
    std::byte b;
    std::error_code ec;
    tls::stream good = client_of(server->where);
    good.write("ends.");
    BOOST_TEST(text_from(good, 4) == "seen");
    BOOST_TEST(good.read_some({&b, 1}, late, ec) == 0u);
    BOOST_TEST(!ec, ec.message());
    tls::stream bad = client_of(server->where);
    bad.write("throw");
    BOOST_TEST(text_from(bad, 4) == "seen");
    BOOST_TEST(bad.read_some({&b, 1}, late, ec) == 0u);
    BOOST_TEST((ec == tls::errc::truncated), ec.message());
    server.reset();  // when the last handler has ended
    BOOST_TEST(said == "as it was asked to");
  });
}

BOOST_AUTO_TEST_CASE(a_stop_is_seen_by_handlers_and_ends_handshakes) {
  heddle::run([] {
    std::optional<net::tcp_stream> silent;
    std::optional<tls::stream> waiting;
    const auto handler = [](tls::stream& s, const std::stop_token& stop) {
      std::byte b;
      std::error_code ec;
      s.read_some({&b, 1}, stop, ec);
      BOOST_TEST((ec == std::errc::operation_canceled));
      s.write("farewell");
    };
    {
      const serving server(handler, {.handshake_time = 10 * late});
      silent = net::tcp_stream::connect(server.where, late);
      waiting = client_of(server.where);
      heddle::this_fiber::sleep_for(5ms);
    }
    BOOST_TEST(text_from(*waiting, 100) == "farewell");
    std::byte b;
    BOOST_TEST(silent->read_some({&b, 1}, late) == 0u);
  });
}

BOOST_AUTO_TEST_CASE(over_the_network_in_memory) {
  heddle::run([] {
    net::memory_network network({.latency = 100us, .short_reads = 2});
    auto listener = network.listen(net::endpoint::loopback_v4(443));
    std::stop_source stop;
    auto server = heddle::spawn([&] { tls::serve(listener, secured::usual().server, echo, stop.get_token()); });
    {
      tls::stream s(network.connect(net::endpoint::loopback_v4(443), late), secured::usual().client, "localhost");
      s.write("hello");
      BOOST_TEST(text_from(s, 5) == "hello");
    }
    stop.request_stop();
    server.join();
  });
}

BOOST_AUTO_TEST_CASE(a_listener_for_loops_of_ones_own) {
  heddle::run([] {
    auto plain = net::tcp_listener::listen(net::endpoint::loopback_v4(0));
    const net::endpoint where = plain.local_endpoint();
    tls::listener<net::tcp_listener> secure(plain, secured::usual().server);
    BOOST_TEST(secure.name() == where.to_string());
    auto client = heddle::spawn([&] { return text_from(*std::make_unique<tls::stream>(client_of(where)), 5); });
    tls::stream s = secure.accept(late);
    s.write("hello");
    BOOST_TEST(client.join() == "hello");
    secure.close();
    std::error_code ec;
    secure.accept(ec);
    BOOST_TEST((ec == io::errc::closed));
    BOOST_CHECK_THROW(secure.accept(), io::error);
  });
}

BOOST_AUTO_TEST_SUITE_END()
