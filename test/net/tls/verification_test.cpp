// SPDX-License-Identifier: BSL-1.0
//
// Peers that are believed or refused, and the protocols on which both sides agree.
#include <openssl/ssl.h>

#include <boost/test/unit_test.hpp>
#include <string>

#include "net/poller_in_use.hpp"
#include "net/tls/secured.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::authority;
using heddle::testing::issued;
using heddle::testing::request;
using networks::text_from;
namespace tls = heddle::net::tls;
namespace io = heddle::io;

std::string text_of(const std::error_code& ec) { return ec.message(); }

/// The client's error for a server with that certificate.
std::error_code answer_to(const issued& shown, const tls::context& client, const char* host = "localhost") {
  std::error_code ec;
  heddle::run([&] {
    networks::memory net;
    auto plain = networks::connected(net);
    secured::two_ends e{tls::stream(std::move(plain.client), client, host),
                        tls::stream(std::move(plain.server), tls::context::server(shown.identity()))};
    ec = secured::shake_hands(e).first;
  });
  return ec;
}

struct materials {
  authority root;
  tls::context client = tls::context::client({.trusted = {root.root()}});
};
/// The materials come first, so that they are no leak.
struct fixture : materials, heddle::testing::leak_check {};

/// Both ends' errors.
std::pair<std::error_code, std::error_code> ends_of(const secured::contexts& c) {
  std::pair<std::error_code, std::error_code> errors;
  heddle::run([&] {
    networks::memory net;
    auto e = secured::unshaken(net, c);
    errors = secured::shake_hands(e);
    // In version 1.3 a server refuses a client after the client's handshake.
    std::error_code ec;
    std::byte b;
    if (errors.second && !errors.first) e.client.read_some({&b, 1}, 20s, errors.first);
  });
  return errors;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(verification, fixture)

BOOST_AUTO_TEST_CASE(a_good_certificate_is_taken) {
  for (const char* host : {"localhost", "LOCALHOST", "localhost.", "127.0.0.1"})
    BOOST_TEST(!answer_to(root.issue(), client, host), host);
  const issued many = root.issue({.name = "x", .alternatives = "DNS:*.example.org,IP:::1"});
  for (const char* host : {"www.example.org", "::1"}) BOOST_TEST(!answer_to(many, client, host), host);
}

BOOST_AUTO_TEST_CASE(each_kind_of_bad_certificate_is_refused) {
  const auto refused = [&](const issued& shown, const tls::context& c, const char* host, int why) {
    const std::error_code ec = answer_to(shown, c, host);
    BOOST_TEST((ec == std::error_code(why, tls::certificate_category())), host << ": " << ec.message());
  };
  const issued good = root.issue();
  const authority unknown("an unknown root");
  refused(good, client, "example.org", X509_V_ERR_HOSTNAME_MISMATCH);
  refused(good, client, "localhost.example.org", X509_V_ERR_HOSTNAME_MISMATCH);
  refused(good, client, "127.0.0.2", X509_V_ERR_IP_ADDRESS_MISMATCH);
  refused(root.issue({.name = "x", .alternatives = "DNS:*.example.org"}), client, "a.b.example.org",
          X509_V_ERR_HOSTNAME_MISMATCH);
  refused(root.issue({.name = "x", .alternatives = "DNS:w*.example.org"}), client, "www.example.org",
          X509_V_ERR_HOSTNAME_MISMATCH);
  refused(root.issue({.ends_in = -60}), client, "localhost", X509_V_ERR_CERT_HAS_EXPIRED);
  refused(root.issue({.begins_in = 1800}), client, "localhost", X509_V_ERR_CERT_NOT_YET_VALID);
  refused(authority::self_signed(), client, "localhost", X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
  refused(unknown.issue(), client, "localhost", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
  // The system's roots know nothing of ours.
  refused(good, tls::context::default_client(), "localhost", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
}

BOOST_AUTO_TEST_CASE(an_error_names_the_peer_and_the_reason) {
  heddle::run([&] {
    networks::tcp net;
    auto plain = networks::connected(net);
    tls::stream bad(std::move(plain.client), client, "example.org");
    auto server = heddle::spawn([&] {
      tls::stream s(std::move(plain.server), tls::context::server(root.issue().identity()));
      std::error_code ec;
      s.handshake(20s, ec);
      return ec;
    });
    const auto e = secured::thrown_by([&] { bad.handshake(20s); });
    const std::string wanted = "TLS handshake with " + bad.name() + ": certificate verify failed: hostname mismatch";
    BOOST_TEST(e.what() == wanted);
    std::error_code again;
    bad.write(std::as_bytes(std::span("secret")), again);
    BOOST_TEST((again == e.code()));
    // The server learns why.
    const std::error_code seen = server.join();
    BOOST_TEST((seen.category() == tls::category()));
    BOOST_TEST(text_of(seen).find("alert bad certificate") != std::string::npos, seen.message());
  });
}

BOOST_AUTO_TEST_CASE(verification_is_on_unless_it_is_turned_off_by_a_long_name) {
  BOOST_TEST((answer_to(root.issue(), client, "") == tls::errc::no_host_name));
  const auto trusting = tls::context::client({.dangerously_accept_any_certificate = true});
  BOOST_TEST(!trusting.verifies());
  BOOST_TEST(!answer_to(authority::self_signed(), trusting, ""));
  BOOST_TEST(!answer_to(authority::self_signed(), trusting, "example.org"));
}

BOOST_AUTO_TEST_CASE(names_that_cannot_be_are_refused_at_once) {
  networks::memory net;
  auto plain = networks::connected(net);
  const auto e =
      secured::thrown_by([&] { tls::stream(std::move(plain.client), client, std::string_view("local\0host", 10)); });
  BOOST_TEST((e.code() == std::errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(the_peer_is_described) {
  heddle::run([&] {
    networks::memory net;
    auto c = secured::connected(net);
    BOOST_TEST(!c.server.peer_certificate());
    const tls::certificate shown = c.client.peer_certificate().value();
    BOOST_TEST(shown.subject == "CN=localhost");
    BOOST_TEST(shown.issuer == "CN=heddle test root");
    BOOST_TEST((shown.names == std::vector<std::string>{"localhost", "127.0.0.1"}));
    BOOST_TEST((shown.not_after - shown.not_before == 2h));
    BOOST_TEST((shown.not_before < std::chrono::system_clock::now() - 30min));
    BOOST_TEST((shown.not_before > std::chrono::system_clock::now() - 2h));
    BOOST_TEST((shown.sha256 != std::array<std::byte, 32>{}));
  });
}

BOOST_AUTO_TEST_CASE(both_sides_prove_themselves) {
  const authority clients("root of clients"), strangers("another");
  const issued known = clients.issue({.name = "known"}), unknown = strangers.issue({.name = "unknown"});
  using how = tls::client_certificates;
  const auto meet = [&](how asked, const tls::identity& shown) {
    const secured::contexts c({.clients = asked, .trusted = {clients.root()}}, {.own = shown});
    return ends_of(c);
  };
  BOOST_TEST(!meet(how::required, known.identity()).second);
  BOOST_TEST(!meet(how::optional, known.identity()).second);
  BOOST_TEST(!meet(how::optional, {}).second);
  BOOST_TEST(!meet(how::none, unknown.identity()).second);
  for (const how asked : {how::optional, how::required}) {
    const auto [client_error, server_error] = meet(asked, unknown.identity());
    BOOST_TEST(
        (server_error == std::error_code(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, tls::certificate_category())),
        server_error.message());
    BOOST_TEST(text_of(client_error).find("alert unknown ca") != std::string::npos, client_error.message());
  }
  const auto [client_error, server_error] = meet(how::required, {});
  BOOST_TEST(text_of(server_error).find("did not return a certificate") != std::string::npos, server_error.message());
  BOOST_TEST(text_of(client_error).find("certificate required") != std::string::npos, client_error.message());
}

BOOST_AUTO_TEST_CASE(the_server_sees_the_clients_certificate) {
  const authority clients;
  heddle::run([&] {
    networks::memory net;
    const secured::contexts both({.clients = tls::client_certificates::required, .trusted = {clients.root()}},
                                 {.own = clients.issue({.name = "known"}).identity()});
    auto c = secured::connected(net, both);
    BOOST_TEST(c.server.peer_certificate().value().subject == "CN=known");
  });
}

BOOST_AUTO_TEST_CASE(protocols_are_agreed_on) {
  const auto agreed = [](std::vector<std::string> servers, std::vector<std::string> clients) {
    std::string name;
    heddle::run([&] {
      networks::memory net;
      const secured::contexts both({.alpn = std::move(servers)}, {.alpn = std::move(clients)});
      auto c = secured::connected(net, both);
      name = c.client.alpn();
      BOOST_TEST(c.server.alpn() == name);
    });
    return name;
  };
  BOOST_TEST(agreed({"h2", "http/1.1"}, {"http/1.1", "h2"}) == "h2");
  BOOST_TEST(agreed({"http/1.1"}, {"h2", "http/1.1"}) == "http/1.1");
  BOOST_TEST(agreed({}, {"h2"}) == "");
  BOOST_TEST(agreed({"h2"}, {}) == "");
  const auto [client_error, server_error] = ends_of(secured::contexts({.alpn = {"h2"}}, {.alpn = {"http/1.1"}}));
  BOOST_TEST(text_of(client_error).find("no application protocol") != std::string::npos, client_error.message());
  BOOST_TEST(text_of(server_error).find("no application protocol") != std::string::npos, server_error.message());
  for (const std::string& name : {std::string(), std::string(256, 'x')}) {
    BOOST_CHECK_THROW(tls::context::client({.alpn = {name}}), std::invalid_argument);
    BOOST_CHECK_THROW(tls::context::server(root.issue().identity(), {.alpn = {name}}), std::invalid_argument);
  }
}

BOOST_AUTO_TEST_CASE(versions_and_ciphers) {
  const auto used = [](const tls::server_options& s, const tls::client_options& c) {
    std::string what;
    heddle::run([&] {
      networks::memory net;
      const secured::contexts both(s, c);
      auto ends = secured::connected(net, both);
      what = ends.client.protocol() + " " + ends.client.cipher();
    });
    return what;
  };
  BOOST_TEST(used({.cipher_suites = "TLS_CHACHA20_POLY1305_SHA256"}, {}) == "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256");
  const auto old_client = [&] {
    auto c = secured::contexts();
    SSL_CTX_set_max_proto_version(c.client.native_handle(), TLS1_2_VERSION);
    return c;
  };
  heddle::run([&] {
    networks::memory net;
    const auto both = old_client();
    auto ends = secured::connected(net, both);
    BOOST_TEST(ends.client.protocol() == "TLSv1.2");
  });
  auto strict = secured::contexts({.minimum = tls::version::tls_1_3});
  SSL_CTX_set_max_proto_version(strict.client.native_handle(), TLS1_2_VERSION);
  BOOST_TEST(text_of(ends_of(strict).first).find("alert protocol version") != std::string::npos);
  auto ancient = secured::contexts();
  SSL_CTX_set_min_proto_version(ancient.client.native_handle(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(ancient.client.native_handle(), TLS1_1_VERSION);
  SSL_CTX_set_cipher_list(ancient.client.native_handle(), "DEFAULT@SECLEVEL=0");
  BOOST_TEST(text_of(ends_of(ancient).second).find("unsupported protocol") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_session_is_resumed) {
  for (const int newest : {TLS1_2_VERSION, TLS1_3_VERSION})
    heddle::run([&] {
      networks::memory net;
      const authority clients;
      const secured::contexts both({.clients = tls::client_certificates::required, .trusted = {clients.root()}},
                                   {.own = clients.issue().identity()});
      SSL_CTX_set_max_proto_version(both.client.native_handle(), newest);
      tls::saved_session saved;
      for (const bool again : {false, true}) {
        auto e = secured::unshaken(net, both);
        BOOST_TEST(e.client.session() == nullptr);
        e.client.resume(saved);
        const auto [client_error, server_error] = secured::shake_hands(e);
        BOOST_TEST((!client_error && !server_error));
        BOOST_TEST(e.client.resumed() == again);
        BOOST_TEST(e.server.resumed() == again);
        e.server.write("x");
        BOOST_TEST(text_from(e.client, 1) == "x");
        saved = e.client.session();
        BOOST_TEST_REQUIRE(saved != nullptr);
        BOOST_TEST(e.server.peer_certificate().has_value());
      }
    });
}

BOOST_AUTO_TEST_SUITE_END()
