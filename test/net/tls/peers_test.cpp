// SPDX-License-Identifier: BSL-1.0
//
// Beside the programs of OpenSSL and curl, and beside OpenSSL itself on a plain thread.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <string>
#include <thread>

#include "net/poller_in_use.hpp"
#include "net/temporary.hpp"
#include "net/tls/program.hpp"
#include "net/tls/raw_peer.hpp"
#include "net/tls/secured.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::authority;
using heddle::testing::expect;
using heddle::testing::issued;
using heddle::testing::late;
using heddle::testing::program;
using heddle::testing::raw_peer;
using networks::pattern;
using networks::text_from;
using bytes = std::vector<std::byte>;
namespace io = heddle::io;
namespace net = heddle::net;
namespace tls = heddle::net::tls;

/// Certificates in files, for programs.
struct folder : heddle::testing::temporary_folder {
  folder() {
    const issued own = secured::usual().root.issue();
    write("root", secured::usual().root.root_text());
    write("chain", own.chain);
    write("key", own.key);
  }
};

void echo(tls::stream& s) {
  bytes b(10'000);
  while (const std::size_t n = s.read_some(b, late)) s.write(std::span(b).first(n), late);
}

/// Serves on loopback as long as it is there.
class server {
 public:
  template <class Handler>
  explicit server(Handler h, const tls::context& c = secured::usual().server)
      : listener_(net::tcp_listener::listen(net::endpoint::loopback_v4(0))),
        where_(listener_.local_endpoint()),
        serving_(heddle::spawn([this, h, c] { tls::serve(listener_, c, h, stop_.get_token()); })) {}
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server() {
    stop_.request_stop();
    serving_.join();
  }
  std::string port() const { return std::to_string(where_.port()); }

 private:
  std::stop_source stop_;
  net::tcp_listener listener_;
  net::endpoint where_;
  heddle::join_handle<void> serving_;
};

/// `openssl s_server`, and the port that it has found.
struct s_server : program {
  explicit s_server(const folder& f, const std::vector<std::string>& more = {})
      : program([&] {
          std::vector<std::string> words{"openssl", "s_server",      "-accept", "127.0.0.1:0",
                                         "-cert",   f.path("chain"), "-key",    f.path("key")};
          words.insert(words.end(), more.begin(), more.end());
          return words;
        }()) {
    std::string said = line();
    while (!said.empty() && !said.starts_with("ACCEPT")) said = line();
    BOOST_TEST_REQUIRE(said.find(':') != std::string::npos, "it said '" << said << "'");
    port = static_cast<std::uint16_t>(std::stoi(said.substr(said.rfind(':') + 1)));
  }
  std::uint16_t port = 0;
};

std::vector<std::string> s_client(const folder& f, const std::string& port, const std::vector<std::string>& more) {
  std::vector<std::string> words{"openssl",          "s_client",         "-quiet",  "-verify_return_error",
                                 "-verify_hostname", "localhost",        "-CAfile", f.path("root"),
                                 "-connect",         "127.0.0.1:" + port};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Before all tests: what the process keeps of the hosts file.
struct names_in_use {
  names_in_use() {
    heddle::run([] { net::resolve("localhost", 0); });
  }
};
BOOST_TEST_GLOBAL_FIXTURE(names_in_use);

}  // namespace

BOOST_FIXTURE_TEST_SUITE(peers, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(s_client_talks_to_us) {
  heddle::run([] {
    const folder f;
    const server s(echo);
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
      program client(s_client(f, s.port(), {version}));
      std::string text;
      for (int i = 0; text.size() < 300'000; ++i) text += "line " + std::to_string(i) + "\n";
      auto writer = heddle::spawn([&] { client.say(text); });
      std::string got;
      while (got.size() < text.size()) {
        const std::string line = client.line();
        BOOST_TEST_REQUIRE(!line.empty());
        got += line + "\n";
      }
      BOOST_TEST((got == text));
      writer.join();
    }
  });
}

BOOST_AUTO_TEST_CASE(s_client_changes_its_keys) {
  heddle::run([] {
    const folder f;
    const server s(echo);
    program client(s_client(f, s.port(), {"-tls1_3", "-no_ign_eof"}), io::child_stream::same_as_out());
    for (const char* command : {"k\n", "K\n", "K\n"}) {
      client.say("before\n");
      BOOST_TEST_REQUIRE(client.says("before"));
      client.say(command);
      BOOST_TEST_REQUIRE(client.says("KEYUPDATE"));
      client.say("after\n");
      BOOST_TEST_REQUIRE(client.says("after"));
    }
  });
}

BOOST_AUTO_TEST_CASE(we_talk_to_s_server) {
  heddle::run([] {
    const folder f;
    for (const char* version : {"-tls1_2", "-tls1_3"}) {
      const s_server s(f, {"-rev", version});
      tls::stream c = tls::dial("localhost", s.port, late, secured::usual().client);
      c.write("olleh\ndlrow\n");
      BOOST_TEST(text_from(c, 6) == "hello\n");
      BOOST_TEST(text_from(c, 6) == "world\n");
      BOOST_TEST(c.protocol() == (version == std::string("-tls1_2") ? "TLSv1.2" : "TLSv1.3"));
    }
  });
}

BOOST_AUTO_TEST_CASE(s_server_wants_a_certificate_and_a_protocol) {
  heddle::run([] {
    const folder f;
    const secured::contexts c;
    const issued own = secured::usual().root.issue({.name = "a client"});
    const s_server s(f, {"-rev", "-Verify", "1", "-verify_return_error", "-CAfile", f.path("root"), "-alpn", "h2"});
    const std::string where = "localhost:" + std::to_string(s.port);
    const auto known = tls::context::client(
        {.trusted = {secured::usual().root.root()}, .own = own.identity(), .alpn = {"http/1.1", "h2"}});
    tls::stream good = tls::dial(where, late, known);
    good.write("olleh\n");
    BOOST_TEST(text_from(good, 6) == "hello\n");
    BOOST_TEST(good.alpn() == "h2");
    good.close();
    tls::stream bad = tls::dial(where, late, secured::usual().client);
    std::byte b;
    const auto e = secured::thrown_by([&] { bad.read_some({&b, 1}, late); });
    BOOST_TEST(std::string(e.what()).find("certificate required") != std::string::npos, e.what());
  });
}

BOOST_AUTO_TEST_CASE(dial_says_what_is_wrong) {
  heddle::run([] {
    const folder f;
    const s_server s(f, {"-rev"});
    const std::string port = std::to_string(s.port);
    // Under a name that is not the certificate's, and with roots that do not know it.
    const auto other_name = secured::thrown_by([&] { tls::dial("127.0.0.2:" + port, late, secured::usual().client); });
    BOOST_TEST(std::string(other_name.what()).find("dial 127.0.0.2:" + port) == 0u, other_name.what());
    const auto unknown = secured::thrown_by([&] { tls::dial("localhost", s.port, late); });
    BOOST_TEST(std::string(unknown.what()).find("TLS handshake with 127.0.0.1:" + port + ": certificate") == 0u,
               unknown.what());
    std::error_code ec;
    BOOST_TEST(!tls::dial("localhost:" + port, late, tls::context::default_client(), ec));
    BOOST_TEST((ec == unknown.code()));
    BOOST_TEST(!tls::dial("localhost", s.port, late, secured::usual().client, ec).protocol().empty());
    BOOST_TEST(!ec);
  });
}

BOOST_AUTO_TEST_CASE(curl_gets_a_page_and_checks_the_name) {
  heddle::run([] {
    const folder f;
    const std::string page(100'000, 'p');
    const server s([&page](tls::stream& peer) {
      io::buffered_reader in(peer);
      while (const auto line = in.read_line(10'000, late))
        if (line->empty()) break;
      peer.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nConnection: close\r\n\r\n" + page, late);
    });
    const auto curl = [&](const std::string& host) {
      return std::vector<std::string>{"curl",
                                      "--silent",
                                      "--cacert",
                                      f.path("root"),
                                      "--resolve",
                                      host + ":" + s.port() + ":127.0.0.1",
                                      "https://" + host + ":" + s.port() + "/"};
    };
    program good(curl("localhost"));
    BOOST_TEST((good.rest() == page));
    BOOST_TEST(good.wait() == 0);
    program bad(curl("example.org"));
    BOOST_TEST(bad.rest() == "");
    BOOST_TEST(bad.wait() == 60);  // CURLE_PEER_FAILED_VERIFICATION
  });
}

// Both ways at once, while the peer asks for new keys again and again.
BOOST_AUTO_TEST_CASE(keys_change_while_others_read_and_write) {
  heddle::run([] {
    auto l = net::tcp_listener::listen(net::endpoint::loopback_v4(0));
    constexpr int rounds = heddle::testing::times(2'000);
    const bytes chunk = pattern(3'000);
    int updates = 0;
    std::jthread peer([&] {
      raw_peer raw(raw_peer::connect(l.local_endpoint()), secured::usual().client);
      bytes got(chunk.size());
      for (int i = 0; i != rounds; ++i) {
        expect(raw.write(chunk));
        for (std::size_t done = 0; done != got.size();) {
          const std::size_t n = raw.read_some(std::span(got).subspan(done));
          expect(n != 0);
          if (n == 0) return;
          done += n;
        }
        expect(got == chunk);
        if (i % 10 == 0) expect(SSL_key_update(raw.get(), SSL_KEY_UPDATE_REQUESTED) == 1);
      }
      expect(SSL_shutdown(raw.get()) == 0);
      expect(raw.read_some(got) == 0);  // up to the other end, so that no answer meets a closed socket
      updates = raw.key_updates();
    });
    tls::stream s(l.accept(), secured::usual().server);
    auto writer = heddle::spawn([&] {
      for (int i = 0; i != rounds; ++i) s.write(chunk, late);
    });
    bytes got(chunk.size());
    for (int i = 0; i != rounds; ++i) {
      s.read(got, late);
      BOOST_TEST_REQUIRE((got == chunk));
    }
    BOOST_TEST(s.read_some(got, late) == 0u);
    writer.join();
    s.shutdown_write();
    heddle::blocking([&] { peer.join(); });
    BOOST_TEST(updates > rounds / 20);  // several requests may have one answer
  });
}

BOOST_AUTO_TEST_CASE(we_change_our_keys) {
  heddle::run([] {
    auto l = net::tcp_listener::listen(net::endpoint::loopback_v4(0));
    int updates = 0;
    std::jthread peer([&] {
      raw_peer raw(raw_peer::connect(l.local_endpoint()), secured::usual().client);
      std::byte b;
      while (raw.read_some({&b, 1}) == 1) raw.write({&b, 1});
      updates = raw.key_updates();
    });
    tls::stream s(l.accept(), secured::usual().server);
    s.handshake(late);
    for (int i = 0; i != 10; ++i) {
      BOOST_TEST(SSL_key_update(s.native_ssl(), SSL_KEY_UPDATE_REQUESTED) == 1);
      s.write("x", late);
      BOOST_TEST(text_from(s, 1) == "x");
    }
    s.close();
    heddle::blocking([&] { peer.join(); });
    BOOST_TEST(updates == 10);
  });
}

BOOST_AUTO_TEST_CASE(nothing_is_renegotiated) {
  const secured::contexts old;
  SSL_CTX_set_max_proto_version(old.client.native_handle(), TLS1_2_VERSION);
  SSL_CTX_clear_options(old.client.native_handle(), SSL_OP_NO_RENEGOTIATION);
  heddle::run([&] {
    auto l = net::tcp_listener::listen(net::endpoint::loopback_v4(0));
    int reason = 0;
    std::jthread peer([&] {
      raw_peer raw(raw_peer::connect(l.local_endpoint()), old.client);
      std::byte b{1};
      expect(raw.write({&b, 1}) && raw.read_some({&b, 1}) == 1);
      expect(SSL_renegotiate(raw.get()) == 1);
      ERR_clear_error();
      expect(raw.read_some({&b, 1}) == 0);
      reason = raw_peer::reason();
    });
    tls::stream s(l.accept(), old.server);
    std::byte b;
    BOOST_TEST(s.read_some({&b, 1}, late) == 1u);
    s.write("y", late);
    std::error_code ec;
    BOOST_TEST(s.read_some({&b, 1}, late, ec) == 0u);
    s.close();
    heddle::blocking([&] { peer.join(); });
    BOOST_TEST(reason == SSL_R_NO_RENEGOTIATION);
  });
}

// A peer whose process has gone: the system ends the connection, but nobody has said that this is the end.
BOOST_AUTO_TEST_CASE(a_peer_that_dies_has_not_said_the_end) {
  heddle::run([] {
    auto l = net::tcp_listener::listen(net::endpoint::loopback_v4(0));
    std::jthread peer([&] {
      raw_peer raw(raw_peer::connect(l.local_endpoint()), secured::usual().client);
      std::byte b{1};
      expect(raw.write({&b, 1}) && raw.read_some({&b, 1}) == 1);
      ::shutdown(raw.descriptor(), SHUT_WR);
      expect(raw.read_some({&b, 1}) == 1);  // what we write after we have seen the cut
    });
    tls::stream s(l.accept(), secured::usual().server);
    std::byte b;
    BOOST_TEST(s.read_some({&b, 1}, late) == 1u);
    s.write("y", late);
    std::error_code ec;
    BOOST_TEST(s.read_some({&b, 1}, late, ec) == 0u);
    BOOST_TEST((ec == tls::errc::truncated), ec.message());
    s.write("z", late);
    heddle::blocking([&] { peer.join(); });
  });
}

BOOST_AUTO_TEST_CASE(nonsense_is_refused) {
  heddle::run([] {
    auto l = net::tcp_listener::listen(net::endpoint::loopback_v4(0));
    net::tcp_stream plain = net::tcp_stream::connect(l.local_endpoint());
    plain.write("GET / HTTP/1.1\r\n\r\n");
    tls::stream s(l.accept(), secured::usual().server);
    std::error_code ec;
    s.handshake(late, ec);
    BOOST_TEST(ec.message() == "http request");
    s.close();
    std::byte b;
    BOOST_TEST(plain.read_some({&b, 1}, late) == 0u);
  });
}

BOOST_AUTO_TEST_SUITE_END()
