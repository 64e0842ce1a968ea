// SPDX-License-Identifier: BSL-1.0
//
// Connections of every kind of network: what they carry, how their waits end, and what their errors say.
#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "net/networks.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::net::endpoint;
using networks::connected;
using networks::pattern;
using networks::text_from;
using bytes = std::vector<std::byte>;

/// The error that f throws.
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

}  // namespace

BOOST_AUTO_TEST_SUITE(connections)

BOOST_AUTO_TEST_CASE_TEMPLATE(bytes_go_both_ways, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    c.client.write("ping");
    BOOST_TEST(text_from(c.server, 4) == "ping");
    c.server.write("pong");
    BOOST_TEST(text_from(c.client, 4) == "pong");
    BOOST_TEST((c.client.local_endpoint() == c.server.peer_endpoint()));
    BOOST_TEST((c.client.peer_endpoint() == c.server.local_endpoint()));
  });
}

// More than the kernel holds, so that both wait for each other again and again.
BOOST_AUTO_TEST_CASE_TEMPLATE(much_goes_through_whole, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    const bytes sent = pattern(network::much);
    auto writer = heddle::spawn([&] {
      BOOST_TEST(c.client.write(sent) == sent.size());
      c.client.shutdown_write();
    });
    bytes got(sent.size());
    BOOST_TEST(c.server.read(got) == sent.size());
    BOOST_TEST((got == sent));
    std::array<std::byte, 8> b;
    BOOST_TEST(c.server.read_some(b) == 0u);
    writer.join();
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(pieces_are_gathered_and_scattered, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    const bytes sent = pattern(network::much);
    std::vector<iovec> parts;  // more than one call takes, some of them empty
    for (std::size_t at = 0; at != sent.size();) {
      const std::size_t n = std::min<std::size_t>(at % 3 == 0 ? 0 : 97, sent.size() - at);
      parts.push_back({const_cast<std::byte*>(sent.data()) + at, n});
      const std::size_t next = std::min<std::size_t>(109, sent.size() - at - n);
      parts.push_back({const_cast<std::byte*>(sent.data()) + at + n, next});
      at += n + next;
    }
    BOOST_TEST(parts.size() > 1024u);
    auto writer = heddle::spawn([&] { BOOST_TEST(c.client.write(parts) == sent.size()); });
    bytes got(sent.size());
    for (std::size_t done = 0; done != got.size();) {
      const std::size_t left = got.size() - done;
      const std::array<iovec, 2> to{iovec{got.data() + done, left / 2},
                                    iovec{got.data() + done + left / 2, left - left / 2}};
      done += c.server.read_some(std::span<const iovec>(to));
    }
    BOOST_TEST((got == sent));
    writer.join();
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(writes_of_several_fibers_stay_whole, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    static constexpr std::size_t fibers = 20, each = network::much / 30;
    heddle::group writers;
    for (std::size_t i = 0; i != fibers; ++i)
      writers.spawn([&c, i] { c.client.write(bytes(each, static_cast<std::byte>(i))); });
    bytes got(fibers * each);
    c.server.read(got);
    writers.wait();
    for (std::size_t i = 0; i != fibers; ++i) {
      const auto block = std::span(got).subspan(i * each, each);
      BOOST_TEST(std::all_of(block.begin(), block.end(), [&](std::byte b) { return b == block[0]; }));
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_write_that_waits_for_its_turn_ends_by_its_limits, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    std::error_code of_the_first, ec;
    const bytes few = pattern(16);
    auto first = heddle::spawn([&] { c.client.write(bytes(2 * network::much), of_the_first); });
    while (c.client.write(few, 1ms, ec) != 0) continue;  // until the first one has the turn
    BOOST_TEST((ec == std::errc::timed_out));
    std::stop_source stop;
    stop.request_stop();
    BOOST_TEST(c.client.write(few, stop.get_token(), ec) == 0u);
    BOOST_TEST((ec == std::errc::operation_canceled));
    const iovec part{const_cast<std::byte*>(few.data()), few.size()};
    BOOST_TEST(c.client.write(std::span(&part, 1), {1h, stop.get_token()}, ec) == 0u);
    BOOST_TEST((ec == std::errc::operation_canceled));
    c.client.close();
    first.join();
    BOOST_TEST((of_the_first == heddle::io::errc::closed));
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_end_comes_after_the_last_byte, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    std::array<std::byte, 16> b;
    auto reader = heddle::spawn([&] { return c.server.read_some(b); });
    heddle::this_fiber::sleep_for(2ms);
    c.client.write("x");
    c.client.close();
    BOOST_TEST(reader.join() == 1u);
    BOOST_TEST(c.server.read_some(b) == 0u);
    BOOST_TEST(c.server.read_some(b) == 0u);
    std::error_code ec;
    BOOST_TEST(c.server.read(b, {}, ec) == 0u);
    BOOST_TEST((ec == heddle::io::errc::end_of_stream));
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_half_closed_connection_goes_on_the_other_way, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    c.client.shutdown_write();
    std::array<std::byte, 16> b;
    BOOST_TEST(c.server.read_some(b) == 0u);
    const bytes sent = pattern(network::much);
    auto writer = heddle::spawn([&] { c.server.write(sent); });
    bytes got(sent.size());
    c.client.read(got);
    BOOST_TEST((got == sent));
    writer.join();
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(deadlines_end_waits_and_nothing_else, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    std::array<std::byte, 16> b;
    std::error_code ec;
    BOOST_TEST(c.server.read_some(b, 5ms, ec) == 0u);
    BOOST_TEST((ec == std::errc::timed_out));
    c.client.write("x");
    while (c.server.read_some(b, std::chrono::steady_clock::now() - 1s, ec) == 0) {  // there already, or about to be
      BOOST_TEST_REQUIRE((ec == std::errc::timed_out));
      heddle::this_fiber::yield();
    }
    BOOST_TEST(!ec);
    c.client.write("y");
    BOOST_TEST(c.server.read_some(b, 10s) == 1u);
    const auto e = thrown_by([&] { c.server.read_some(b, 1ms); });
    BOOST_TEST(std::string(e.what()).find("read from " + c.server.peer_endpoint().to_string()) == 0u, e.what());
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(the_deadline_of_a_stream_holds_for_all_its_reads, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    std::array<std::byte, 16> b;
    std::error_code ec;
    c.server.set_read_deadline(std::chrono::steady_clock::now() + 5ms);
    for (int i = 0; i != 3; ++i) {
      c.server.read_some(b, ec);
      BOOST_TEST((ec == std::errc::timed_out));
    }
    c.server.write("writes go on");
    c.server.set_read_deadline(network::stream::time_point::max());
    auto reader = heddle::spawn([&] {
      std::error_code how;
      c.server.read_some(b, 1h, how);
      return how;
    });
    heddle::this_fiber::sleep_for(2ms);
    c.server.set_read_deadline(std::chrono::steady_clock::now());  // wakes the one that waits already
    BOOST_TEST((reader.join() == std::errc::timed_out));
  });
}

// The alarm is left in the heap when a read has ended, and must ring for the one after it.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_deadline_that_is_moved_earlier_and_later, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    std::array<std::byte, 16> b;
    std::error_code ec;
    for (const auto limit : {50ms, 2ms, 20ms, 1ms, 5ms}) {
      heddle::go([&c] {
        heddle::this_fiber::sleep_for(100us);
        c.client.write("x");
      });
      BOOST_TEST(c.server.read_some(b, 10s) == 1u);
      const auto begin = std::chrono::steady_clock::now();
      c.server.read_some(b, limit, ec);
      BOOST_TEST((ec == std::errc::timed_out));
      BOOST_TEST((std::chrono::steady_clock::now() - begin >= limit));
    }
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_stop_ends_a_wait_and_leaves_the_connection, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    std::array<std::byte, 16> b;
    std::error_code ec;
    std::stop_source stop;
    heddle::go([&] {
      heddle::this_fiber::sleep_for(2ms);
      stop.request_stop();
    });
    c.server.read_some(b, stop.get_token(), ec);
    BOOST_TEST((ec == std::errc::operation_canceled));
    c.server.read_some(b, {1h, stop.get_token()}, ec);
    BOOST_TEST((ec == std::errc::operation_canceled));
    c.client.write("still there");
    BOOST_TEST(text_from(c.server, 11) == "still there");
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(close_wakes_all_that_wait, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    heddle::channel<std::error_code> ended(8);
    std::array<std::byte, 16> b;
    for (int i = 0; i != 4; ++i)
      heddle::go([&] {
        std::error_code ec;
        c.server.read_some(b, ec);
        ended.send(ec);
      });
    heddle::go([&] {
      std::error_code ec;
      c.server.write(bytes(2 * network::much), ec);
      ended.send(ec);
    });
    heddle::this_fiber::sleep_for(5ms);
    c.server.close();
    for (int i = 0; i != 5; ++i) BOOST_TEST((ended.receive().value() == heddle::io::errc::closed));
    c.server.close();
    std::error_code ec;
    c.server.read_some(b, ec);
    BOOST_TEST((ec == heddle::io::errc::closed));
    BOOST_TEST(!c.server.is_open());
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_reset_is_an_error_of_both_sides, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    std::array<std::byte, 16> b;
    std::error_code ec;
    auto reader = heddle::spawn([&] {
      std::error_code how;
      c.server.read_some(b, how);
      return how;
    });
    heddle::this_fiber::sleep_for(2ms);
    c.client.reset_on_close(ec);
    BOOST_TEST(!ec);
    c.client.close();
    BOOST_TEST((reader.join() == std::errc::connection_reset));
    c.server.write(bytes(8), ec);
    BOOST_TEST((ec == std::errc::broken_pipe));  // and no signal
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(waiting_for_bytes_without_a_buffer, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    std::error_code ec;
    c.server.wait_readable(2ms, ec);
    BOOST_TEST((ec == std::errc::timed_out));
    std::array<std::byte, 16> b;
    for (int i = 0; i != 3; ++i) {
      c.client.write("x");
      c.server.wait_readable(10s);
      c.server.wait_readable(10s);  // nothing was taken
      BOOST_TEST(c.server.read_some(b) == 1u);
    }
    c.client.close();
    c.server.wait_readable(10s);
    BOOST_TEST(c.server.read_some(b) == 0u);
  });
}

// The one that only waits must not keep the event from the one that reads.
BOOST_AUTO_TEST_CASE_TEMPLATE(one_waits_and_another_reads, network, networks::all) {
  heddle::run([] {
    network net;
    auto c = connected(net);
    std::array<std::byte, 16> b;
    auto looker = heddle::spawn([&] { c.server.wait_readable(); });
    heddle::this_fiber::sleep_for(1ms);
    auto reader = heddle::spawn([&] { return c.server.read_some(b); });
    heddle::this_fiber::sleep_for(1ms);
    c.client.write("a");
    looker.join();
    BOOST_TEST(reader.join() == 1u);
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(many_accept_at_the_same_time, network, networks::all) {
  heddle::run([] {
    network net;
    auto l = net.listen();
    constexpr int each = 20, fibers = 10;
    heddle::group acceptors;
    for (int i = 0; i != fibers; ++i)
      acceptors.spawn([&] {
        for (int n = 0; n != each; ++n) l.accept(10s);
      });
    heddle::this_fiber::sleep_for(1ms);
    for (int i = 0; i != each * fibers; ++i) net.connect(l.local_endpoint());
    acceptors.wait();
    std::error_code ec;
    l.accept(1ms, ec);
    BOOST_TEST((ec == std::errc::timed_out));
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_closed_listener_ends_accept, network, networks::all) {
  heddle::run([] {
    network net;
    auto l = net.listen();
    const endpoint where = l.local_endpoint();
    auto acceptor = heddle::spawn([&] {
      std::error_code ec;
      l.accept(ec);
      return ec;
    });
    heddle::this_fiber::sleep_for(2ms);
    l.close();
    BOOST_TEST((acceptor.join() == heddle::io::errc::closed));
    const auto again = net.listen(where);  // the port is free when close() has returned
    BOOST_TEST((again.local_endpoint() == where));
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(errors_name_what_was_done_and_where, network, networks::all) {
  heddle::run([] {
    network net;
    auto l = net.listen();
    const endpoint where = l.local_endpoint();
    const auto twice = thrown_by([&] { net.listen(where); });
    BOOST_TEST((twice.code() == std::errc::address_in_use));
    BOOST_TEST(std::string(twice.what()).find("listen on " + where.to_string() + ": ") == 0u, twice.what());
    l.close();
    const auto refused = thrown_by([&] { net.connect(where); });
    BOOST_TEST((refused.code() == std::errc::connection_refused));
    BOOST_TEST(std::string(refused.what()).find("connect to " + where.to_string() + ": ") == 0u, refused.what());
  });
}

// The same calls from plain threads, without any runtime.
BOOST_AUTO_TEST_CASE_TEMPLATE(plain_threads, network, networks::all) {
  network net;
  auto l = net.listen();
  std::thread server([&] {
    auto s = l.accept();
    bytes b(4096);
    while (const std::size_t n = s.read_some(b)) s.write(std::span(b).first(n));
  });
  auto c = net.connect(l.local_endpoint());
  const bytes sent = pattern(network::much);
  std::thread writer([&] {
    c.write(sent);
    c.shutdown_write();
  });
  bytes got(sent.size());
  c.read(got);
  BOOST_TEST((got == sent));
  writer.join();
  server.join();
  std::error_code ec;
  std::array<std::byte, 4> b;
  auto other = connected(net);
  other.server.read_some(b, 5ms, ec);
  BOOST_TEST((ec == std::errc::timed_out));
  std::stop_source stop;
  std::thread stopper([&] { stop.request_stop(); });
  other.server.read_some(b, stop.get_token(), ec);
  BOOST_TEST((ec == std::errc::operation_canceled));
  stopper.join();
  std::thread closer([&] {
    std::this_thread::sleep_for(5ms);
    other.server.close();
  });
  other.server.read_some(b, ec);
  BOOST_TEST((ec == heddle::io::errc::closed));
  closer.join();
}

BOOST_AUTO_TEST_SUITE_END()
