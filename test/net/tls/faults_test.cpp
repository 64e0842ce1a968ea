// SPDX-License-Identifier: BSL-1.0
//
// Networks that hold back, cut and mix up; and peers that do nothing.
#include <openssl/ssl.h>

#include <array>
#include <boost/test/unit_test.hpp>
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
using heddle::testing::times;
using networks::pattern;
using networks::text_from;
using bytes = std::vector<std::byte>;
namespace io = heddle::io;
namespace net = heddle::net;
namespace tls = heddle::net::tls;

/// Two ends, and between them one that passes on what the test tells it to.
struct relayed {
  explicit relayed(const secured::contexts& c = secured::usual()) {
    networks::memory network;
    auto left = networks::connected(network), right = networks::connected(network);
    client = tls::stream(std::move(left.client), c.client, "localhost");
    to_client = std::move(left.server);
    to_server = std::move(right.client);
    server = tls::stream(std::move(right.server), c.server);
  }

  /// Shakes hands, passing on all.
  void begin() {
    heddle::group all;
    std::stop_source stop;
    const auto pass_all = [&all, &stop](net::memory_stream& from, net::memory_stream& to) {
      all.spawn([&from, &to, token = stop.get_token()] {
        bytes b(10'000);
        std::error_code ec;
        while (const std::size_t n = from.read_some(b, token, ec)) to.write(std::span(b).first(n));
      });
    };
    pass_all(to_client, to_server);
    pass_all(to_server, to_client);
    auto other = heddle::spawn([&] {
      server.write("x");  // with it come the tickets
    });
    BOOST_TEST(text_from(client, 1) == "x");
    other.join();
    stop.request_stop();
    all.wait();
  }
  /// Of what the client has written: how many bytes.
  bytes written_by_client() {
    bytes b(100'000);
    b.resize(to_client.read_some(b, late));
    return b;
  }

  tls::stream client, server;
  net::memory_stream to_client, to_server;
};

struct counts {
  int whole = 0, broken = 0;
};

/// A conversation over that network, which may break: whether it went through. The bytes that came are right in any
/// case.
bool converses(const net::memory_options& o) {
  networks::memory network(o);
  auto e = secured::unshaken(network);
  const bytes sent = pattern(20'000);
  const auto talk = [&sent](tls::stream& s) {
    std::error_code read_error, write_error;
    auto writer = heddle::spawn([&] {
      s.write(sent, late, write_error);
      if (!write_error) s.shutdown_write(late, write_error);
      if (write_error) s.close();
    });
    bytes got(sent.size() + 1);
    const std::size_t n = s.read(got, late, read_error);
    BOOST_TEST(std::equal(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(n), sent.begin()));
    if (read_error != io::errc::end_of_stream) s.close();
    writer.join();
    for (const std::error_code& ec : {read_error, write_error}) BOOST_TEST((ec != std::errc::timed_out));
    return !write_error && read_error == io::errc::end_of_stream && n == sent.size();
  };
  auto server = heddle::spawn([&] { return talk(e.server); });
  const bool client = talk(e.client);
  return server.join() && client;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(faults, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(the_middle_of_a_record_can_wait) {
  heddle::run([] {
    relayed r;
    r.begin();
    r.client.write("hello");
    const bytes record = r.written_by_client();
    const std::span all(record);
    std::array<std::byte, 16> b;
    for (std::size_t i = 0; i != all.size(); ++i) {
      std::error_code ec;
      if (i % 3 == 0)
        r.server.read_some(b, 100us, ec);
      else
        r.server.wait_readable(100us, ec);
      BOOST_TEST_REQUIRE((ec == std::errc::timed_out));
      r.to_server.write(all.subspan(i, 1));
    }
    BOOST_TEST(text_from(r.server, 5) == "hello");
  });
}

BOOST_AUTO_TEST_CASE(a_cut_at_any_byte_is_no_end) {
  heddle::run([] {
    for (const std::size_t cut : {0, 1, 4, 5, 6, 20, 26}) {
      relayed r;
      r.begin();
      r.client.write("hello");
      const bytes record = r.written_by_client();
      r.to_server.write(std::span(record).first(cut));
      r.to_server.shutdown_write();
      std::array<std::byte, 16> b;
      for (int i = 0; i != 2; ++i) {
        std::error_code ec;
        BOOST_TEST(r.server.read_some(b, late, ec) == 0u);
        BOOST_TEST((ec == tls::errc::truncated), cut << ": " << ec.message());
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(a_changed_byte_is_found) {
  heddle::run([] {
    relayed r;
    r.begin();
    r.client.write("hello");
    bytes record = r.written_by_client();
    record.back() ^= std::byte{1};
    r.to_server.write(record);
    std::array<std::byte, 16> b;
    std::error_code ec;
    for (int i = 0; i != 2; ++i) {
      BOOST_TEST(r.server.read_some(b, late, ec) == 0u);
      BOOST_TEST(ec.message() == "decryption failed or bad record mac");
    }
    // The peer is told, without a write of ours.
    std::array<std::byte, 24> alert;
    r.to_server.read(alert, late);
    r.to_client.write(alert);
    r.client.read_some(b, late, ec);
    BOOST_TEST(ec.message().find("alert bad record mac") != std::string::npos, ec.message());
    r.server.write(b, late, ec);
    BOOST_TEST(ec.message() == "decryption failed or bad record mac");
  });
}

BOOST_AUTO_TEST_CASE(a_record_sent_again_is_found) {
  heddle::run([] {
    relayed r;
    r.begin();
    r.client.write("hello");
    const bytes record = r.written_by_client();
    r.to_server.write(record);
    r.to_server.write(record);
    BOOST_TEST(text_from(r.server, 5) == "hello");
    std::array<std::byte, 16> b;
    std::error_code ec;
    BOOST_TEST(r.server.read_some(b, late, ec) == 0u);
    BOOST_TEST(ec.message() == "decryption failed or bad record mac");
  });
}

// The peer reads nothing, so our writer is stuck in the middle of a record. Our reader goes on.
BOOST_AUTO_TEST_CASE(a_reader_does_not_wait_for_a_writer) {
  heddle::run([] {
    relayed r;
    r.begin();
    auto writer = heddle::spawn([&] {
      std::error_code ec;
      r.server.write(pattern(1'000'000), ec);
      return ec;
    });
    heddle::this_fiber::sleep_for(2ms);
    for (const char* word : {"one", "two", "three"}) {
      // Twice the client wants an answer, which has to wait. (OpenSSL leaves the first to our next write.)
      if (*word == 't') BOOST_TEST(SSL_key_update(r.client.native_ssl(), SSL_KEY_UPDATE_REQUESTED) == 1);
      r.client.write(word);
      const bytes record = r.written_by_client();
      r.to_server.write(record);
      BOOST_TEST(text_from(r.server, std::string(word).size()) == word);
    }
    r.server.close();  // does not wait either
    BOOST_TEST((writer.join() == io::errc::closed));
  });
}

// The message that this is the end covers up nothing that is missing. The rest that can still be sent is sent.
BOOST_AUTO_TEST_CASE(a_close_in_the_middle_of_a_record) {
  for (const bool has_room : {false, true})
    heddle::run([has_room] {
      relayed r;
      r.begin();
      std::error_code ec;
      const bytes sent = pattern(1'000'000);
      const std::size_t written = r.client.write(sent, 2ms, ec);
      BOOST_TEST((ec == std::errc::timed_out));
      bytes passed;
      const auto take = [&] {
        const std::size_t held = passed.size();
        passed.resize(held + 100'000);
        const std::size_t n = r.to_client.read_some(std::span(passed).subspan(held), late, ec);
        passed.resize(held + n);
        return n;
      };
      if (has_room) take();
      r.client.close();
      while (take() != 0) {
      }
      auto passing = heddle::spawn([&] {
        r.to_server.write(passed);
        r.to_server.shutdown_write();
      });
      bytes got(sent.size());
      const std::size_t n = r.server.read(got, late, ec);
      BOOST_TEST((ec == (has_room ? make_error_code(io::errc::end_of_stream) : make_error_code(tls::errc::truncated))),
                 ec.message());
      BOOST_TEST((has_room ? n == written : n < written));
      BOOST_TEST(std::equal(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(n), sent.begin()));
      passing.join();
    });
}

BOOST_AUTO_TEST_CASE(a_handshake_has_a_deadline_of_its_own) {
  heddle::run([] {
    networks::tcp network;
    auto plain = networks::connected(network);
    tls::stream silent_server(std::move(plain.client), secured::usual().client, "localhost");
    const auto e = secured::thrown_by([&] { silent_server.handshake(5ms); });
    BOOST_TEST((e.code() == std::errc::timed_out));
    BOOST_TEST(std::string(e.what()).find("TLS handshake with 127.0.0.1:") == 0u, e.what());
    std::stop_source stop;
    auto stopping = heddle::spawn([&] {
      heddle::this_fiber::sleep_for(2ms);
      stop.request_stop();
    });
    std::error_code ec;
    silent_server.handshake(stop.get_token(), ec);
    BOOST_TEST((ec == std::errc::operation_canceled));
    stopping.join();
    // The server comes late, and all is well.
    tls::stream late_server(std::move(plain.server), secured::usual().server);
    auto other = heddle::spawn([&] { late_server.handshake(late); });
    silent_server.handshake(late);
    other.join();
  });
}

// Several fibers find that there was no handshake yet: one does it.
BOOST_AUTO_TEST_CASE(one_handshake_for_all) {
  heddle::run([] {
    networks::slow_memory network;
    auto e = secured::unshaken(network);
    heddle::group all;
    for (tls::stream* s : {&e.client, &e.server}) {
      for (int i = 0; i != 5; ++i) all.spawn([s] { s->write(std::string(100, 'w'), late); });
      for (int i = 0; i != 5; ++i)
        all.spawn([s] { heddle::testing::expect(text_from(*s, 100) == std::string(100, 'w')); });
      all.spawn([s] { s->handshake(late); });
    }
    all.wait();
  });
}

BOOST_AUTO_TEST_CASE(networks_that_hold_back_lose_nothing) {
  heddle::run([] {
    for (unsigned seed = 1; seed <= static_cast<unsigned>(times(40)); ++seed)
      BOOST_TEST(converses({.seed = seed,
                            .latency = std::chrono::microseconds(seed % 3 * 20),
                            .jitter = std::chrono::microseconds(seed % 5 * 30),
                            .buffer = 1 + seed * 37 % 4'000,
                            .short_reads = 1 + seed % 3,
                            .short_writes = 1 + seed % 2}),
                 "seed " << seed);
  });
}

// At every point of a conversation. It ends for both sides, and what came is what was sent.
BOOST_AUTO_TEST_CASE(networks_that_break_leave_nobody_waiting) {
  heddle::run([] {
    counts c;
    for (std::uint64_t after = 1; after < 60'000; after += static_cast<std::uint64_t>(after / times(15, 5) + 50))
      ++(converses({.seed = after, .buffer = 3'000, .short_reads = 2, .resets = 1, .reset_after = after}) ? c.whole
                                                                                                          : c.broken);
    BOOST_TEST(c.broken > 5);
    BOOST_TEST(c.whole > 0);
  });
}

BOOST_AUTO_TEST_SUITE_END()
