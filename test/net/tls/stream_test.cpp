// SPDX-License-Identifier: BSL-1.0
//
// TLS over every kind of network: what it carries, and how its waits end.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <string>
#include <thread>
#include <vector>

#include "heddle/io/buffered.hpp"
#include "net/poller_in_use.hpp"
#include "net/tls/secured.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::late;
using networks::pattern;
using networks::text_from;
using bytes = std::vector<std::byte>;
namespace io = heddle::io;
namespace tls = heddle::net::tls;

/// Less under sanitizers, and over networks that are slow by design.
template <class Network>
constexpr std::size_t much = std::min<std::size_t>(Network::much, heddle::testing::sanitized ? 300'000 : 3'000'000);

}  // namespace

BOOST_FIXTURE_TEST_SUITE(tls_streams, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE_TEMPLATE(the_first_calls_shake_hands, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::unshaken(net);
    BOOST_TEST(c.client.protocol().empty());
    auto server = heddle::spawn([&] {
      BOOST_TEST(text_from(c.server, 4) == "ping");
      c.server.write("pong");
    });
    c.client.write("ping");
    BOOST_TEST(text_from(c.client, 4) == "pong");
    server.join();
    BOOST_TEST(c.client.protocol() == "TLSv1.3");
    BOOST_TEST(c.server.cipher() == c.client.cipher());
    BOOST_TEST(c.server.server_name() == "localhost");
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(much_goes_both_ways_at_once, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::connected(net);
    const bytes sent = pattern(much<network>);
    const auto write = [&](tls::stream& s) {
      s.write(sent);
      s.shutdown_write();
    };
    const auto read = [&](tls::stream& s) {
      bytes got(sent.size());
      BOOST_TEST(s.read(got) == sent.size());
      BOOST_TEST((got == sent));
      BOOST_TEST(s.read_some(got) == 0u);
      BOOST_TEST(s.read_some(got) == 0u);
    };
    heddle::group all;
    for (tls::stream* s : {&c.client, &c.server}) {
      all.spawn([&write, s] { write(*s); });
      all.spawn([&read, s] { read(*s); });
    }
    all.wait();
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(pieces_are_gathered_and_scattered, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::connected(net);
    const bytes sent = pattern(much<network>);
    std::vector<iovec> parts;  // small ones, large ones, empty ones
    constexpr std::size_t sizes[] = {0, 1, 97, 5'000, 0, 16'384, 40'000, 3};
    for (std::size_t at = 0, i = 0; at != sent.size(); ++i) {
      const std::size_t n = std::min(sizes[i % std::size(sizes)], sent.size() - at);
      parts.push_back({const_cast<std::byte*>(sent.data()) + at, n});
      at += n;
    }
    auto writer = heddle::spawn([&] { BOOST_TEST(c.client.write(parts) == sent.size()); });
    bytes got(sent.size());
    for (std::size_t done = 0; done != got.size();) {
      const std::size_t left = std::min<std::size_t>(got.size() - done, 50'000);
      const std::array<iovec, 3> to{iovec{got.data() + done, left / 3}, iovec{got.data() + done + left / 3, 0},
                                    iovec{got.data() + done + left / 3, left - left / 3}};
      const std::size_t n = c.server.read_some(std::span<const iovec>(to));
      BOOST_TEST_REQUIRE(n > 0u);
      done += n;
    }
    BOOST_TEST((got == sent));
    writer.join();
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(writes_of_several_fibers_stay_whole, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::connected(net);
    static constexpr std::size_t fibers = 20, each = much<network> / 30;
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

BOOST_AUTO_TEST_CASE_TEMPLATE(write_some_takes_a_record, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::connected(net);
    const bytes sent = pattern(20'000);
    auto writer = heddle::spawn([&] { BOOST_TEST(c.client.write_some(sent) == 16'384u); });
    bytes got(16'384);
    c.server.read(got);
    BOOST_TEST(std::equal(got.begin(), got.end(), sent.begin()));
    writer.join();
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_half_closed_connection_goes_on_the_other_way, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::connected(net);
    std::array<std::byte, 16> b;
    heddle::group client;
    client.spawn([&] {
      c.client.shutdown_write();
      c.client.wait_readable();
      c.client.shutdown_write();  // once more, to no effect
      BOOST_TEST(text_from(c.client, 10) == "still here");
      BOOST_TEST(c.client.read_some(b) == 0u);
    });
    BOOST_TEST(c.server.read_some(b) == 0u);
    c.server.write("still here");
    c.server.shutdown_write();
    client.wait();
    std::error_code ec;
    for (tls::stream* s : {&c.client, &c.server}) {
      BOOST_TEST(s->write(b, ec) == 0u);
      BOOST_TEST((ec == std::errc::broken_pipe));
    }
    c.client.shutdown_write();  // once more, to no effect
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(an_end_that_was_announced_and_one_that_was_not, network, secured::all) {
  heddle::run([] {
    network net;
    std::array<std::byte, 16> b;
    std::error_code ec;
    auto good = secured::connected(net);
    auto closing = heddle::spawn([&] {
      good.client.write("x");
      good.client.shutdown_write();
      good.client.close();
    });
    BOOST_TEST(text_from(good.server, 1) == "x");
    BOOST_TEST(good.server.read_some(b, late, ec) == 0u);
    BOOST_TEST(!ec, ec.message());
    closing.join();

    auto cut = secured::connected(net);
    auto cutting = heddle::spawn([&] {
      cut.client.write("x");
      BOOST_TEST(text_from(cut.client, 1) == "y");  // so that nothing is unread: the connection would be reset
      cut.client.abort();
    });
    BOOST_TEST(text_from(cut.server, 1) == "x");
    cut.server.write("y");
    for (int i = 0; i != 2; ++i) {
      BOOST_TEST(cut.server.read_some(b, late, ec) == 0u);
      BOOST_TEST((ec == tls::errc::truncated), ec.message());
    }
    cutting.join();
    cut.server.wait_readable(late);  // a read would not wait
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(close_says_so_to_both_sides, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::connected(net);
    heddle::channel<std::error_code> ended(4);
    for (int i = 0; i != 2; ++i)
      heddle::go([&] {
        std::array<std::byte, 16> b;
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
    for (int i = 0; i != 3; ++i) {
      const std::error_code ec = ended.receive().value();
      BOOST_TEST((ec == io::errc::closed), ec.message());
    }
    c.server.close();
    std::error_code ec;
    c.server.write(bytes(1), ec);
    BOOST_TEST((ec == io::errc::closed), ec.message());
    BOOST_TEST(!c.server.is_open());
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_deadline_ends_a_wait_and_nothing_else, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::connected(net);
    std::array<std::byte, 16> b;
    std::error_code ec;
    BOOST_TEST(c.server.read_some(b, 2ms, ec) == 0u);
    BOOST_TEST((ec == std::errc::timed_out));
    c.server.set_read_deadline(std::chrono::steady_clock::now() + 2ms);
    c.server.wait_readable({}, ec);
    BOOST_TEST((ec == std::errc::timed_out));
    c.server.set_read_deadline(tls::stream::time_point::max());
    std::stop_source stop;
    heddle::go([&] {
      heddle::this_fiber::sleep_for(2ms);
      stop.request_stop();
    });
    c.server.read_some(b, stop.get_token(), ec);
    BOOST_TEST((ec == std::errc::operation_canceled));
    auto writer = heddle::spawn([&] { c.client.write("still there"); });
    BOOST_TEST(text_from(c.server, 11) == "still there");
    writer.join();
    const auto e = secured::thrown_by([&] { c.server.read_some(b, 1ms); });
    BOOST_TEST(std::string(e.what()).find("read from " + c.server.name()) == 0u, e.what());
  });
}

// Both sides give up again and again, at any step of the handshake.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_handshake_can_be_taken_up_again, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::unshaken(net);
    const auto impatient = [](tls::stream& s) {
      int given_up = 0;
      std::error_code ec = std::make_error_code(std::errc::timed_out);
      for (auto patience = 0us; ec == std::errc::timed_out; patience += 10us, ++given_up) s.handshake(patience, ec);
      BOOST_TEST(!ec, ec.message());
      return given_up;
    };
    std::error_code ec;
    c.server.handshake(2ms, ec);
    BOOST_TEST((ec == std::errc::timed_out));
    auto server = heddle::spawn([&] { impatient(c.server); });
    BOOST_TEST(impatient(c.client) > 0);
    server.join();
    auto writer = heddle::spawn([&] { c.client.write("hello"); });
    BOOST_TEST(text_from(c.server, 5) == "hello");
    writer.join();
  });
}

// The next call sends the bytes that a limit has held back, and nothing twice.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_write_that_was_ended_goes_on, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::connected(net);
    const bytes sent = pattern(much<network>);
    heddle::latch stuck(1);
    auto reader = heddle::spawn([&] {
      stuck.wait();
      bytes got(sent.size());
      c.server.read(got);
      BOOST_TEST((got == sent));
      BOOST_TEST(c.server.read_some(got, late) == 0u);
    });
    std::size_t done = 0;
    for (int ended = 0;;) {
      std::error_code ec;
      done += c.client.write(std::span(sent).subspan(done), 2ms, ec);
      if (!ec) break;
      BOOST_TEST_REQUIRE((ec == std::errc::timed_out));
      if (++ended == 3) stuck.count_down();
    }
    BOOST_TEST(done == sent.size());
    c.client.shutdown_write();
    if (!stuck.try_wait()) stuck.count_down();
    reader.join();
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(readiness_is_of_data, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::connected(net);
    std::error_code ec;
    c.client.wait_readable(5ms, ec);  // of version 1.3 the server's tickets are there, and no data
    BOOST_TEST((ec == std::errc::timed_out));
    auto writer = heddle::spawn([&] {
      c.server.wait_writable(late);
      c.server.write("ab");
    });
    c.client.wait_readable(late);
    BOOST_TEST(text_from(c.client, 1) == "a");
    c.client.wait_readable(late);
    BOOST_TEST(text_from(c.client, 1) == "b");
    writer.join();
  });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(buffers_and_lines_go_over_it, network, secured::all) {
  heddle::run([] {
    network net;
    auto c = secured::connected(net);
    auto server = heddle::spawn([&] {
      io::buffered_reader in(c.server);
      io::buffered_writer out(c.server);
      for (std::string_view line : io::lines(in)) {
        out.write(line);
        out.write("\n");
      }
      out.flush();
      c.server.shutdown_write();
    });
    auto writer = heddle::spawn([&] {
      c.client.write("one\ntwo\nthree\n");
      c.client.shutdown_write();
    });
    BOOST_TEST(text_from(c.client, 1000) == "one\ntwo\nthree\n");
    server.join();
    writer.join();
  });
}

// OpenSSL's errors are in a queue of the thread, where others may have left some.
BOOST_AUTO_TEST_CASE(errors_of_others_are_not_ours) {
  networks::memory net;
  auto c = secured::unshaken(net);
  const auto with_an_old_error = [] { ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH); };
  std::thread server([&] {
    with_an_old_error();
    c.server.handshake(late);
    with_an_old_error();
    c.server.write("x", late);
  });
  with_an_old_error();
  c.client.handshake(late);
  BOOST_TEST(text_from(c.client, 1) == "x");
  server.join();
  with_an_old_error();
  std::array<std::byte, 1> b;
  std::error_code ec;
  c.client.read_some(b, 1ms, ec);
  BOOST_TEST((ec == std::errc::timed_out), ec.message());
  // Nor do we leave ours to others.
  auto plain = networks::connected(net);
  plain.client.write("this is not TLS\n");
  tls::stream bad(std::move(plain.server), secured::usual().server);
  bad.handshake(late, ec);
  BOOST_TEST((ec.category() == tls::category()));
  BOOST_TEST(ERR_peek_error() == 0u);
}

// 64 MiB each way, in writes and reads of all sizes.
BOOST_AUTO_TEST_CASE(much_more_goes_both_ways) {
  heddle::run([] {
    networks::tcp net;
    auto c = secured::connected(net);
    constexpr std::size_t total = std::size_t{64} << 20 >> (heddle::testing::sanitized ? 5 : 0);
    const bytes block = pattern(1'000'003);
    const auto write = [&](tls::stream& s, std::size_t size) {
      for (std::size_t at = 0; at != total; size = size * 7 % 100'003 + 1) {
        const std::size_t from = at % block.size();
        const std::size_t n = std::min({size, block.size() - from, total - at});
        s.write(std::span(block).subspan(from, n));
        at += n;
      }
      s.shutdown_write();
    };
    const auto read = [&](tls::stream& s, std::size_t size) {
      bytes got(100'003);
      std::size_t at = 0;
      for (std::size_t n = 1; n != 0; size = size * 5 % 100'003 + 1) {
        n = s.read_some(std::span(got).first(size));
        for (std::size_t i = 0; i != n; ++i, ++at)
          if (got[i] != block[at % block.size()]) throw std::runtime_error("other bytes at " + std::to_string(at));
      }
      BOOST_TEST(at == total);
    };
    heddle::group all;
    for (tls::stream* s : {&c.client, &c.server}) {
      all.spawn([&write, s] { write(*s, 10'007); });
      all.spawn([&read, s] { read(*s, 20'011); });
    }
    all.wait();
  });
}

BOOST_AUTO_TEST_CASE(plain_threads) {
  networks::tcp net;
  auto c = secured::unshaken(net);
  const bytes sent = pattern(much<networks::tcp>);
  std::thread echo([&] {
    bytes b(10'000);
    while (const std::size_t n = c.server.read_some(b)) c.server.write(std::span(b).first(n));
    c.server.shutdown_write();
  });
  std::thread writer([&] {
    c.client.write(sent);
    c.client.shutdown_write();
  });
  bytes got(sent.size());
  c.client.read(got);
  BOOST_TEST((got == sent));
  BOOST_TEST(c.client.read_some(got) == 0u);
  writer.join();
  echo.join();
}

BOOST_AUTO_TEST_SUITE_END()
