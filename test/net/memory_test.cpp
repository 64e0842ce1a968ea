// SPDX-License-Identifier: BSL-1.0
//
// Things that only a network in memory has: its delays, its faults, and its bounds to the byte.
#include "heddle/net/memory.hpp"

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "heddle/heddle.hpp"
#include "heddle/net/serve.hpp"
#include "net/networks.hpp"
#include "support/crew.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::net::endpoint;
using heddle::net::memory_listener;
using heddle::net::memory_network;
using heddle::net::memory_options;
using heddle::net::memory_stream;
using networks::pattern;
using networks::text_from;
using bytes = std::vector<std::byte>;
using clock_type = std::chrono::steady_clock;

struct pair_of {
  explicit pair_of(const memory_options& o = {}) : net(o) {}
  memory_network net;
  memory_listener l = net.listen(endpoint::loopback_v4(80));
  memory_stream client = net.connect(l.local_endpoint());
  memory_stream server = l.accept();
};

std::error_code connect_error(memory_network& net, const endpoint& to, const heddle::net::limits& limits = {}) {
  std::error_code ec;
  net.connect(to, limits, ec);
  return ec;
}

/// How many bytes each of `n` reads takes, by one fiber alone.
std::vector<std::size_t> read_sizes(std::uint64_t seed, std::size_t n) {
  pair_of c({.seed = seed, .short_reads = 2});
  std::vector<std::size_t> sizes;
  bytes b(1000);
  for (std::size_t i = 0; i != n; ++i) {
    c.client.write(bytes(1000));
    sizes.push_back(c.server.read_some(b));
    std::error_code ec;
    c.server.read(std::span(b).first(1000 - sizes.back()), {}, ec);
  }
  return sizes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(bytes_are_under_way_for_the_latency) {
  heddle::run([] {
    const auto begin = clock_type::now();
    pair_of c({.latency = 3ms, .jitter = 1ms});
    BOOST_TEST((clock_type::now() - begin >= 6ms));  // forth and back
    std::array<std::byte, 8> b;
    const auto sent = clock_type::now();
    c.client.write("x");
    BOOST_TEST(c.server.read_some(b) == 1u);
    BOOST_TEST((clock_type::now() - sent >= 3ms));
    const auto ended = clock_type::now();
    c.client.close();
    BOOST_TEST(c.server.read_some(b) == 0u);
    BOOST_TEST((clock_type::now() - ended >= 3ms));
  });
}

BOOST_AUTO_TEST_CASE(a_writer_waits_when_the_buffer_is_full) {
  heddle::run([] {
    pair_of c({.buffer = 100});
    std::error_code ec;
    BOOST_TEST(c.client.write_some(bytes(250)) == 100u);
    BOOST_TEST(c.client.write(bytes(250), 1ms, ec) == 0u);
    BOOST_TEST((ec == std::errc::timed_out));
    c.client.wait_writable(1ms, ec);
    BOOST_TEST((ec == std::errc::timed_out));
    c.client.set_write_deadline(clock_type::now());
    c.client.write_some(bytes(1), {}, ec);
    BOOST_TEST((ec == std::errc::timed_out));
    c.client.set_write_deadline(memory_stream::time_point::max());
    auto writer = heddle::spawn([&] { return c.client.write(bytes(250)); });
    bytes b(350);
    BOOST_TEST(c.server.read(b, 10s) == 350u);
    BOOST_TEST(writer.join() == 250u);
  });
}

BOOST_AUTO_TEST_CASE(the_same_seed_has_the_same_faults) {
  heddle::run([] {
    const auto first = read_sizes(7, 50);
    BOOST_TEST(first == read_sizes(7, 50), boost::test_tools::per_element());
    BOOST_TEST((first != read_sizes(8, 50)));
    BOOST_TEST((first != std::vector<std::size_t>(50, 1000)));
  });
}

BOOST_AUTO_TEST_CASE(a_connection_breaks_after_so_many_bytes) {
  heddle::run([] {
    pair_of c({.latency = 100us, .resets = 1, .reset_after = 1000});
    std::error_code ec;
    BOOST_TEST(c.client.write(pattern(600)) == 600u);
    bytes b(2000);
    BOOST_TEST(c.server.read(std::span(b).first(600), 10s, ec) == 600u);
    BOOST_TEST(c.server.write(bytes(300)) == 300u);
    BOOST_TEST(c.client.write_some(bytes(200), 10s, ec) == 100u);
    BOOST_TEST(c.server.read(b, 10s, ec) == 100u);  // what was before it still comes
    BOOST_TEST((ec == std::errc::connection_reset));
    BOOST_TEST(c.client.read(b, 10s, ec) == 300u);
    BOOST_TEST((ec == std::errc::connection_reset));
    c.client.write(bytes(1), 10s, ec);
    BOOST_TEST((ec == std::errc::broken_pipe));
    BOOST_TEST(c.server.read_some(b, 10s, ec) == 0u);  // said once
    BOOST_TEST(!ec);
  });
}

BOOST_AUTO_TEST_CASE(connections_are_refused_by_chance_or_for_want_of_a_listener) {
  heddle::run([] {
    memory_network net({.refusals = 3});
    memory_listener l = net.listen(endpoint::loopback_v4(80));
    int refused = 0;
    for (int i = 0; i != 100; ++i) refused += connect_error(net, l.local_endpoint()) == std::errc::connection_refused;
    BOOST_TEST(refused > 10);
    BOOST_TEST(refused < 70);
    memory_network quiet;
    BOOST_TEST((connect_error(quiet, endpoint::loopback_v4(81)) == std::errc::connection_refused));
    memory_listener any = quiet.listen(endpoint::any_v4(81));
    BOOST_TEST((!connect_error(quiet, endpoint::parse("10.1.2.3:81"))));
    BOOST_TEST((connect_error(quiet, endpoint::loopback_v6(81)) == std::errc::connection_refused));
    any.close();
    BOOST_TEST((connect_error(quiet, endpoint::loopback_v4(81)) == std::errc::connection_refused));
  });
}

BOOST_AUTO_TEST_CASE(a_divided_network_delivers_when_it_is_whole_again) {
  heddle::run([] {
    pair_of c({.latency = 100us, .connect_timeout = 5ms});
    const endpoint where = c.l.local_endpoint();
    std::array<std::byte, 8> b;
    std::error_code ec;
    c.client.write("before");
    BOOST_TEST(text_from(c.server, 6) == "before");
    c.net.partition(where);
    c.client.write("after");
    c.server.read_some(b, 5ms, ec);
    BOOST_TEST((ec == std::errc::timed_out));
    BOOST_TEST((connect_error(c.net, where, 1ms) == std::errc::timed_out));
    BOOST_TEST((connect_error(c.net, where) == std::errc::timed_out));  // by itself
    auto reader = heddle::spawn([&] { return text_from(c.server, 5); });
    heddle::this_fiber::sleep_for(1ms);
    c.net.heal(where);
    BOOST_TEST(reader.join() == "after");
    BOOST_TEST((!connect_error(c.net, where)));
  });
}

BOOST_AUTO_TEST_CASE(an_acceptor_waits_through_a_partition) {
  heddle::run([] {
    memory_network net({.latency = 100us});
    memory_listener l = net.listen(endpoint::loopback_v4(80));
    auto acceptor = heddle::spawn([&] { return text_from(*std::make_unique<memory_stream>(l.accept()), 2); });
    net.partition(l.local_endpoint());
    auto client = heddle::spawn([&] { net.connect(l.local_endpoint(), 10s).write("hi"); });
    heddle::this_fiber::sleep_for(2ms);
    net.heal(l.local_endpoint());
    client.join();
    BOOST_TEST(acceptor.join() == "hi");
  });
}

BOOST_AUTO_TEST_CASE(a_full_backlog_makes_clients_wait) {
  heddle::run([] {
    memory_network net;
    memory_listener l = net.listen(endpoint::loopback_v4(80), 2);
    const auto one = net.connect(l.local_endpoint()), two = net.connect(l.local_endpoint());
    BOOST_TEST((connect_error(net, l.local_endpoint(), 2ms) == std::errc::timed_out));
    auto third = heddle::spawn([&] { return net.connect(l.local_endpoint(), 10s); });
    heddle::this_fiber::sleep_for(1ms);
    BOOST_TEST((l.accept().peer_endpoint() == one.local_endpoint()));
    const auto three = third.join();
    BOOST_TEST((l.accept().peer_endpoint() == two.local_endpoint()));
    BOOST_TEST((l.accept().peer_endpoint() == three.local_endpoint()));
  });
}

BOOST_AUTO_TEST_CASE(a_listener_that_closes_resets_what_waits_there) {
  heddle::run([] {
    memory_network net;
    memory_listener l = net.listen(endpoint::loopback_v4(80), 1);
    memory_stream made = net.connect(l.local_endpoint());
    auto waiting = heddle::spawn([&] { return connect_error(net, endpoint::loopback_v4(80), 10s); });
    heddle::this_fiber::sleep_for(1ms);
    l.close();
    BOOST_TEST((waiting.join() == std::errc::connection_refused));
    std::array<std::byte, 8> b;
    std::error_code ec;
    made.read_some(b, 10s, ec);
    BOOST_TEST((ec == std::errc::connection_reset));
  });
}

BOOST_AUTO_TEST_CASE(a_client_that_has_given_up_is_left_out) {
  heddle::run([] {
    memory_network net;
    memory_listener l = net.listen(endpoint::loopback_v4(80), 1);
    net.partition(l.local_endpoint());
    BOOST_TEST((connect_error(net, l.local_endpoint(), 1ms) == std::errc::timed_out));
    net.heal(l.local_endpoint());
    const memory_stream second = net.connect(l.local_endpoint(), 10s);  // the other takes no room
    BOOST_TEST((l.accept(10s).peer_endpoint() == second.local_endpoint()));
  });
}

BOOST_AUTO_TEST_CASE(closing_with_bytes_unread_resets) {
  heddle::run([] {
    pair_of c;
    std::array<std::byte, 8> b;
    std::error_code ec;
    c.client.write("unread");
    c.server.close();
    c.client.read_some(b, ec);
    BOOST_TEST((ec == std::errc::connection_reset));
    pair_of d;
    d.server.close();
    BOOST_TEST(d.client.write("late", {}) == 4u);  // as TCP: the answer to it is a reset
    d.client.write(bytes(1), ec);
    BOOST_TEST((ec == std::errc::connection_reset));
    pair_of e;
    e.net.reset(e.l.local_endpoint());
    e.server.read_some(b, ec);
    BOOST_TEST((ec == std::errc::connection_reset));
    e.client.write(bytes(1), ec);
    BOOST_TEST((ec == std::errc::connection_reset));
  });
}

// By the time that the one that only waits has its turn, another has taken what came: it has come all the same.
BOOST_AUTO_TEST_CASE(a_wait_ends_though_another_was_quicker) {
  heddle::run(
      [] {
        pair_of c({.buffer = 4});
        std::array<std::byte, 8> b;
        auto reader = heddle::spawn([&] { c.server.wait_readable(); });
        heddle::this_fiber::sleep_for(1ms);
        c.client.write("a");
        BOOST_TEST(c.server.read_some(b) == 1u);
        reader.join();
        c.client.write("full");
        auto writer = heddle::spawn([&] { c.client.wait_writable(); });
        heddle::this_fiber::sleep_for(1ms);
        BOOST_TEST(c.server.read_some(b) == 4u);
        c.client.write("full");
        writer.join();
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_CASE(ends_that_were_shut) {
  heddle::run([] {
    pair_of c;
    std::array<std::byte, 8> b;
    std::error_code ec;
    c.client.shutdown_write();
    c.client.write(bytes(1), ec);
    BOOST_TEST((ec == std::errc::broken_pipe));
    c.client.shutdown_read(ec);
    BOOST_TEST(c.client.read_some(b) == 0u);
    c.client.close();
    c.client.shutdown_write(ec);
    BOOST_TEST((ec == heddle::io::errc::closed));
    c.client.set_no_delay(true, ec);
    BOOST_TEST((ec == heddle::io::errc::closed));
    memory_stream none;
    none.read_some(b, ec);
    BOOST_TEST((ec == heddle::io::errc::closed));
    BOOST_TEST(none.name() == "a closed stream");
  });
}

BOOST_AUTO_TEST_CASE(a_server_serves_it) {
  heddle::run([] {
    memory_network net({.latency = 50us, .short_reads = 2, .short_writes = 2});
    memory_listener l = net.listen(endpoint::loopback_v4(80));
    std::stop_source stop;
    auto serving = heddle::spawn([&] {
      heddle::net::serve(l,
                         [](memory_stream& s) {
                           std::array<std::byte, 256> b;
                           while (const std::size_t n = s.read_some(b)) s.write(std::span(b).first(n));
                         },
                         stop.get_token(), {.most_connections = 5, .grace = 1ms});
    });
    heddle::group clients;
    for (int i = 0; i != 20; ++i)
      clients.spawn([&] {
        memory_stream s = net.connect(endpoint::loopback_v4(80));
        s.write("hello, over there");
        heddle::testing::expect(text_from(s, 17) == "hello, over there");
      });
    clients.wait();
    memory_stream idle = net.connect(endpoint::loopback_v4(80));
    idle.write("x");
    BOOST_TEST(text_from(idle, 1) == "x");
    stop.request_stop();
    serving.join();
    std::array<std::byte, 8> b;
    BOOST_TEST(idle.read_some(b, 10s) == 0u);  // closed after the grace period
  });
}

BOOST_AUTO_TEST_CASE(streams_outlive_the_network) {
  heddle::run([] {
    memory_stream client, server;
    {
      pair_of c;
      client = std::move(c.client);
      server = std::move(c.server);
    }
    client.write("still");
    BOOST_TEST(text_from(server, 5) == "still");
  });
}

BOOST_AUTO_TEST_SUITE_END()
