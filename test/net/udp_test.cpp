// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/udp.hpp"

#include <net/if.h>
#include <netinet/udp.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <stop_token>
#include <vector>

#include "net/poller_in_use.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::net::endpoint;
using heddle::net::udp_incoming;
using heddle::net::udp_outgoing;
using heddle::net::udp_received;
using heddle::net::udp_socket;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::with_crew;
using buffer = std::array<std::byte, 64>;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text_of(std::span<const std::byte> b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }

udp_socket on_loopback() { return udp_socket::bind(endpoint::loopback_v4(0), {.receive_buffer = 1 << 20}); }

std::string receive_text(udp_socket& s) {
  buffer b;
  return text_of(std::span(b).first(s.receive_from(b, 60s).size));
}

/// Nothing is there to be received.
bool is_empty(udp_socket& s) {
  buffer b;
  std::error_code ec;
  s.receive_from(b, 0s, ec);
  return ec == std::errc::timed_out;
}

int number(const udp_socket& s, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  ::getsockopt(s.native_handle(), level, name, &value, &size);
  return value;
}

bool version_6_is_there() {
  std::error_code ec;
  return udp_socket::bind(endpoint::loopback_v6(0), {}, ec).is_open();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(udp, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(datagrams_go_both_ways) {
  for (const auto& setting : all_settings)
    for (const endpoint& on : {endpoint::loopback_v4(0), endpoint::loopback_v6(0)}) {
      if (on.is_v6() && !version_6_is_there()) continue;
      udp_socket server = udp_socket::bind(on);
      const endpoint where = server.local_endpoint();
      BOOST_TEST(where.port() != 0);
      with_crew(setting, [&](crew& c) {
        for (int i = 0; i < 4; ++i) {
          c.start([&] {
            udp_socket s = udp_socket::bind(on);
            s.send_to(where, bytes("question"), 60s);
            buffer b;
            const udp_received r = s.receive_from(b, 60s);
            expect(text_of(std::span(b).first(r.size)) == "answer" && r.from == where && !r.truncated());
          });
          c.start([&] {
            buffer b;
            const udp_received r = server.receive_from(b, 60s);
            expect(text_of(std::span(b).first(r.size)) == "question");
            server.send_to(r.from, bytes("answer"), 60s);
          });
        }
        c.join();
      });
    }
}

BOOST_AUTO_TEST_CASE(datagrams_keep_their_bounds) {
  udp_socket a = on_loopback(), b = on_loopback();
  for (const char* text : {"one", "", "three"}) a.send_to(b.local_endpoint(), bytes(text));
  BOOST_TEST(receive_text(b) == "one");
  BOOST_TEST(receive_text(b) == "");
  BOOST_TEST(receive_text(b) == "three");
  BOOST_TEST(is_empty(b));
}

BOOST_AUTO_TEST_CASE(a_datagram_that_is_too_long_for_the_buffer_is_known) {
  udp_socket a = on_loopback(), b = on_loopback();
  a.send_to(b.local_endpoint(), bytes("0123456789"));
  a.send_to(b.local_endpoint(), bytes("0123"));
  std::array<std::byte, 4> four;
  udp_received r = b.receive_from(four, 60s);
  BOOST_TEST((r.truncated() && r.size == 4 && r.full_size == 10 && text_of(four) == "0123"));
  r = b.receive_from(four, 60s);
  BOOST_TEST((!r.truncated() && r.size == 4 && r.full_size == 4));
  std::error_code ec;
  a.send_to(b.local_endpoint(), std::vector<std::byte>(70'000), {}, ec);
  BOOST_TEST((ec == std::errc::message_size));
}

BOOST_AUTO_TEST_CASE(connected_sockets_hear_their_peer_only) {
  udp_socket a = on_loopback(), b = on_loopback(), stranger = on_loopback();
  a.connect(b.local_endpoint());
  stranger.send_to(a.local_endpoint(), bytes("stranger"));
  a.send(bytes("hello"));
  BOOST_TEST(receive_text(b) == "hello");
  b.send_to(a.local_endpoint(), bytes("peer"));
  BOOST_TEST(receive_text(a) == "peer");
  BOOST_TEST(is_empty(a));
  std::error_code ec;
  b.send(bytes("to whom?"), {}, ec);
  BOOST_TEST((ec == std::errc::destination_address_required));
}

BOOST_AUTO_TEST_CASE(connected_sockets_hear_that_nobody_listens) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      udp_socket a = on_loopback(), gone = on_loopback();
      const endpoint nobody = gone.local_endpoint();
      a.connect(nobody);
      gone.close();
      c.start([&] {
        for (int i = 0; i < 3; ++i) {
          buffer b;
          std::error_code ec;
          a.send(bytes("hello"), 60s);
          a.receive_from(b, 60s, ec);
          expect(ec == std::errc::connection_refused);
          a.receive_from(b, 2ms, ec);  // once for each
          expect(ec == std::errc::timed_out);
        }
      });
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(waits_end_by_limits_and_by_close) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      udp_socket s = on_loopback();
      std::stop_source source;
      std::atomic<int> step{0};
      const auto await = [&](int n) {
        while (step != n) heddle::this_fiber::sleep_for(1ms);
        heddle::this_fiber::sleep_for(2ms);
      };
      c.start([&] {
        buffer b;
        std::array<udp_incoming, 2> many{udp_incoming{b, {}}, udp_incoming{b, {}}};
        std::error_code ec;
        s.receive_from(b, 5ms, ec);
        expect(ec == std::errc::timed_out);
        expect(s.receive_batch(many, 5ms, ec) == 0 && ec == std::errc::timed_out);
        step = 1;
        s.receive_from(b, source.get_token(), ec);
        expect(ec == std::errc::operation_canceled);
        step = 2;
        s.receive_from(b, 60s, ec);
        expect(ec == heddle::io::errc::closed);
        s.send_to(endpoint::loopback_v4(9), b, 60s, ec);
        expect(ec == heddle::io::errc::closed);
        s.connect(endpoint::loopback_v4(9), ec);
        expect(ec == heddle::io::errc::closed);
      });
      await(1);
      source.request_stop();
      await(2);
      s.close();
      c.join();
    });
  }
}

BOOST_AUTO_TEST_CASE(errors_say_where) {
  udp_socket a = on_loopback();
  const auto text = [](auto f) -> std::string {
    try {
      f();
    } catch (const heddle::io::error& e) {
      return e.what();
    }
    return "no exception";
  };
  const std::string where = a.local_endpoint().to_string();
  BOOST_TEST(text([&] { udp_socket::bind(a.local_endpoint()); }) == "bind to " + where + ": Address already in use");
  BOOST_TEST(text([&] { a.send_to(a.local_endpoint(), std::vector<std::byte>(70'000)); }) ==
             "send to " + where + ": Message too long");
  buffer b;
  BOOST_TEST(text([&] { a.receive_from(b, 1ms); }) == "receive on " + where + ": Connection timed out");
}

BOOST_AUTO_TEST_CASE(batches) {
  for (const auto& setting : all_settings) {
    with_crew(setting, [](crew& c) {
      udp_socket a = on_loopback(), b = on_loopback();
      constexpr std::size_t n = 100;
      c.start([&] {
        std::vector<std::string> texts;
        for (std::size_t i = 0; i != n; ++i) texts.push_back("datagram " + std::to_string(i));
        std::vector<udp_outgoing> all;
        for (const std::string& t : texts) all.push_back({bytes(t), b.local_endpoint()});
        expect(a.send_batch(all, 60s) == n);
      });
      c.start([&] {
        std::array<buffer, 40> rooms;
        std::vector<udp_incoming> all;
        for (buffer& room : rooms) all.push_back({room, {}});
        all.back().room = all.back().room.first(4);
        std::size_t got = 0, most = 0;
        while (got != n) {
          const std::size_t now = b.receive_batch(all, 60s);
          expect(now != 0 && now <= udp_socket::most_at_once);
          for (std::size_t i = 0; i != now; ++i) {
            const udp_received& r = all[i].got;
            expect(text_of(all[i].room.first(r.size)) == "datagram " + std::to_string(got++));
            expect(r.from == a.local_endpoint() && !r.truncated());
          }
          most = std::max(most, now);
        }
      });
      c.join();
      expect(is_empty(b));
    });
  }
}

BOOST_AUTO_TEST_CASE(a_batch_receives_what_is_there) {
  udp_socket a = on_loopback(), b = on_loopback();
  std::array<std::byte, 4> small;
  buffer large;
  std::array<udp_incoming, 3> all{udp_incoming{small, {}}, udp_incoming{large, {}}, udp_incoming{large, {}}};
  for (const char* text : {"0123456789", ""}) a.send_to(b.local_endpoint(), bytes(text));
  BOOST_TEST(b.receive_batch(all, 60s) == 2u);
  BOOST_TEST((all[0].got.truncated() && all[0].got.size == 4 && all[0].got.full_size == 10));
  BOOST_TEST((!all[1].got.truncated() && all[1].got.size == 0));
  std::error_code ec;
  BOOST_TEST(b.receive_batch({}, 60s, ec) == 0u);
  BOOST_TEST(!ec);
}

BOOST_AUTO_TEST_CASE(a_batch_ends_at_the_first_error) {
  udp_socket a = on_loopback(), b = on_loopback();
  const std::vector<std::byte> too_long(70'000);
  std::vector<udp_outgoing> all(40, {bytes("fits"), b.local_endpoint()});
  all[35].bytes = too_long;
  std::error_code ec;
  BOOST_TEST(a.send_batch(all, 60s, ec) == 35u);
  BOOST_TEST((ec == std::errc::message_size));
  for (int i = 0; i < 35; ++i) BOOST_TEST(receive_text(b) == "fits");
  BOOST_TEST(is_empty(b));
  BOOST_CHECK_THROW(a.send_batch(all), heddle::io::error);
}

BOOST_AUTO_TEST_CASE(a_batch_of_a_connected_socket_needs_no_addresses) {
  udp_socket a = on_loopback(), b = on_loopback();
  a.connect(b.local_endpoint());
  BOOST_TEST(a.send_batch(std::array{udp_outgoing{bytes("one"), {}}, udp_outgoing{bytes("two"), {}}}) == 2u);
  BOOST_TEST(receive_text(b) == "one");
  BOOST_TEST(receive_text(b) == "two");
}

BOOST_AUTO_TEST_CASE(segments) {
  for (const std::size_t size : {1u, 100u, 1400u, 9000u, 60'000u})
    for (const std::size_t count : {0u, 1u, 2u, 65u, 130u}) {
      if (size * count > 600'000) continue;
      for (const std::size_t more : {std::size_t{0}, size / 2}) {
        udp_socket a = on_loopback(), b = on_loopback();
        std::vector<std::byte> sent(size * count + more);
        for (std::size_t i = 0; i != sent.size(); ++i) sent[i] = static_cast<std::byte>(i * 7 + i / 251);
        heddle::run([&] {
          auto sender = heddle::spawn([&] { return a.send_segments(b.local_endpoint(), sent, size, 60s); });
          std::vector<std::byte> got, room(65'536);
          while (got.size() != sent.size()) {
            const udp_received r = b.receive_from(room, 10s);
            BOOST_TEST_REQUIRE(r.size == std::min(size, sent.size() - got.size()));
            got.insert(got.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(r.size));
          }
          BOOST_TEST(sender.join() == sent.size());
          BOOST_TEST((got == sent));
          BOOST_TEST(is_empty(b));
        });
      }
    }
}

BOOST_AUTO_TEST_CASE(segments_are_cut_by_the_system) {
  udp_socket a = on_loopback(), b = on_loopback();
  // A receiver that asks for it gets them as they were sent, before they are cut.
  const int on = 1;
  BOOST_TEST_REQUIRE(::setsockopt(b.native_handle(), IPPROTO_UDP, UDP_GRO, &on, sizeof on) == 0);
  std::vector<std::byte> sent(70 * 100 + 1), room(65'536);
  std::vector<std::size_t> sizes;
  BOOST_TEST(a.send_segments(b.local_endpoint(), sent, 100) == sent.size());
  for (std::size_t left = sent.size(); left != 0; left -= sizes.back()) {
    sizes.push_back(b.receive_from(room, 10s).size);
    BOOST_TEST_REQUIRE((sizes.back() != 0 && sizes.back() <= left));
  }
  BOOST_TEST((sizes == std::vector<std::size_t>{6400, 601}));
}

BOOST_AUTO_TEST_CASE(segments_that_cannot_be) {
  udp_socket a = on_loopback();
  const std::vector<std::byte> some(200'000);
  std::error_code ec;
  BOOST_TEST(a.send_segments(a.local_endpoint(), some, 0, {}, ec) == 0u);
  BOOST_TEST((ec == std::errc::invalid_argument));
  for (const std::size_t size : {66'000u, 100'000u, 300'000u}) {
    BOOST_TEST(a.send_segments(a.local_endpoint(), some, size, {}, ec) == 0u);
    BOOST_TEST((ec == std::errc::message_size));
  }
  BOOST_TEST(is_empty(a));
}

BOOST_AUTO_TEST_CASE(options) {
  std::error_code ec;
  udp_socket a = udp_socket::bind(endpoint::loopback_v4(0), {.reuse_port = true});
  BOOST_TEST(udp_socket::bind(a.local_endpoint(), {.reuse_port = true}, ec).is_open());
  BOOST_TEST(!udp_socket::bind(a.local_endpoint(), {}, ec).is_open());
  const udp_socket b =
      udp_socket::bind(endpoint::loopback_v4(0),
                       {.reuse_address = true, .broadcast = true, .receive_buffer = 9000, .send_buffer = 9500});
  BOOST_TEST(number(b, SOL_SOCKET, SO_RCVBUF) == 18'000);  // the system doubles them
  BOOST_TEST(number(b, SOL_SOCKET, SO_SNDBUF) == 19'000);
  BOOST_TEST(number(b, SOL_SOCKET, SO_BROADCAST) == 1);
  BOOST_TEST(number(b, SOL_SOCKET, SO_REUSEADDR) == 1);
  BOOST_TEST(number(a, SOL_SOCKET, SO_BROADCAST) == 0);
}

BOOST_AUTO_TEST_CASE(groups) {
  const unsigned lo = ::if_nametoindex("lo");
  udp_socket listener = udp_socket::bind(endpoint::any_v4(0), {.reuse_address = true});
  udp_socket sender = udp_socket::bind(endpoint::any_v4(0));
  const std::uint16_t port = listener.local_endpoint().port();
  endpoint group = endpoint::parse("239.255.77.1:0"), other = endpoint::parse("239.255.77.2:0");
  group.port(port);
  other.port(port);
  std::error_code ec;
  sender.send_groups_by(lo, ec);
  BOOST_TEST(!ec, ec.message());
  sender.hops_of_groups(0, ec);  // they stay on this machine
  BOOST_TEST(!ec, ec.message());
  listener.join(group, lo);
  sender.send_to(other, bytes("to others"));
  sender.send_to(group, bytes("to the group"));
  BOOST_TEST(receive_text(listener) == "to the group");
  listener.leave(group, lo, ec);
  BOOST_TEST(!ec, ec.message());
  sender.send_to(group, bytes("too late"));
  BOOST_TEST(is_empty(listener));
  BOOST_CHECK_EXCEPTION(listener.join(endpoint::loopback_v4(0), lo), heddle::io::error,
                        [](const auto& e) { return e.what() == std::string("join 127.0.0.1: Invalid argument"); });
}

BOOST_AUTO_TEST_CASE(options_for_groups) {
  std::error_code ec;
  udp_socket s = on_loopback();
  s.hops_of_groups(7, ec);
  BOOST_TEST(number(s, IPPROTO_IP, IP_MULTICAST_TTL) == 7);
  // On `lo` all comes back whatever this says.
  s.loop_groups(false, ec);
  BOOST_TEST(number(s, IPPROTO_IP, IP_MULTICAST_LOOP) == 0);
  s.loop_groups(true, ec);
  BOOST_TEST(number(s, IPPROTO_IP, IP_MULTICAST_LOOP) == 1);
  s.close();
  s.loop_groups(true, ec);
  BOOST_TEST((ec == heddle::io::errc::closed));
}

BOOST_AUTO_TEST_CASE(groups_of_version_6) {
  if (!version_6_is_there()) return;
  const unsigned lo = ::if_nametoindex("lo");
  const endpoint group = endpoint::parse("[ff01::7701]:0");
  udp_socket s = udp_socket::bind(endpoint::any_v6(0));
  std::error_code ec;
  s.join(group, lo, ec);
  BOOST_TEST(!ec, ec.message());
  s.leave(group, lo, ec);
  BOOST_TEST(!ec, ec.message());
  s.leave(group, lo, ec);
  BOOST_TEST((ec == std::errc::address_not_available));
  s.send_groups_by(lo, ec);
  BOOST_TEST(!ec, ec.message());
  s.hops_of_groups(7, ec);
  BOOST_TEST(number(s, IPPROTO_IPV6, IPV6_MULTICAST_HOPS) == 7);
  s.loop_groups(false, ec);
  BOOST_TEST(number(s, IPPROTO_IPV6, IPV6_MULTICAST_LOOP) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
