// SPDX-License-Identifier: BSL-1.0
//
// Certificates and keys are loaded, or an error says why they cannot be.
#include <openssl/ssl.h>

#include <boost/test/unit_test.hpp>
#include <string>

#include "net/poller_in_use.hpp"
#include "net/temporary.hpp"
#include "net/tls/secured.hpp"
#include "support/leak_check.hpp"

namespace {

using heddle::testing::authority;
using heddle::testing::issued;
namespace tls = heddle::net::tls;

struct materials {
  heddle::testing::temporary_folder folder;
  authority root;
  issued own = root.issue();

  tls::pem file(const char* name, const std::string& text) const {
    folder.write(name, text);
    return tls::pem::file(folder.path(name));
  }
  /// The error of loading it.
  std::string said(const tls::identity& i) const {
    return secured::thrown_by([&] { tls::context::server(i); }).what();
  }
};

/// The materials come first, so that they are no leak.
struct fixture : materials, heddle::testing::leak_check {};

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(contexts, fixture)

BOOST_AUTO_TEST_CASE(files_and_memory_are_alike) {
  const auto from_files = tls::context::server({file("chain", own.chain), file("key", own.key)});
  const auto from_memory = tls::context::server(own.identity());
  const auto client = tls::context::client({.trusted = {file("root", root.root_text())}});
  for (const tls::context& server : {from_files, from_memory})
    heddle::run([&] {
      networks::memory net;
      auto plain = networks::connected(net);
      secured::two_ends e{tls::stream(std::move(plain.client), client, "localhost"),
                          tls::stream(std::move(plain.server), server)};
      const auto [client_error, server_error] = secured::shake_hands(e);
      BOOST_TEST((!client_error && !server_error));
    });
}

BOOST_AUTO_TEST_CASE(a_chain_is_sent_whole) {
  const auto server = tls::context::server({tls::pem::text(own.chain + root.root_text()), tls::pem::text(own.key)});
  STACK_OF(X509)* chain = nullptr;
  BOOST_TEST(SSL_CTX_get0_chain_certs(server.native_handle(), &chain) == 1);
  BOOST_TEST(sk_X509_num(chain) == 1);
}

BOOST_AUTO_TEST_CASE(errors_name_the_file_and_the_reason) {
  const tls::pem chain = file("chain", own.chain), key = file("key", own.key);
  const std::string missing = folder.path("missing");
  BOOST_TEST(said({tls::pem::file(missing), key}) == "read " + missing + ": No such file or directory");
  BOOST_TEST(said({chain, tls::pem::file(missing)}) == "read " + missing + ": No such file or directory");
  BOOST_TEST(said({tls::pem::file(folder.path("")), key}) == "read " + folder.path("") + ": Is a directory");
  const tls::pem nonsense = file("nonsense", "nothing of the kind\n");
  BOOST_TEST(said({nonsense, key}) == "load certificate chain from " + nonsense.name() + ": no start line");
  BOOST_TEST(contains(said({chain, nonsense}), "load private key from " + nonsense.name() + ": "));
  BOOST_TEST(said({chain, file("other", root.issue().key)}) ==
             "load private key from " + folder.path("other") + ": key values mismatch");
  const tls::pem broken = file("broken", own.chain + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  BOOST_TEST(contains(said({broken, key}), "load certificate chain from " + broken.name() + ": "));
  BOOST_TEST(contains(said({}), "from memory: "));
  const auto e = secured::thrown_by([&] { tls::context::client({.trusted = {nonsense}}); });
  BOOST_TEST(std::string(e.what()) == "load trusted certificates from " + nonsense.name() + ": no start line");
  BOOST_TEST((e.code().category() == tls::category()));
}

BOOST_AUTO_TEST_CASE(a_locked_key_needs_its_passphrase) {
  const tls::pem chain = tls::pem::text(own.chain), key = file("locked", authority::locked(own.key, "open sesame"));
  tls::context::server({chain, key, "open sesame"});
  BOOST_TEST(contains(said({chain, key, "open wheat"}), "load private key from " + key.name() + ": "));
  BOOST_TEST(contains(said({chain, key}), "load private key from " + key.name() + ": "));  // asks nobody
}

BOOST_AUTO_TEST_CASE(wrong_settings_are_refused) {
  const auto ciphers = secured::thrown_by([] { tls::context::client({.ciphers = "none such"}); });
  BOOST_TEST(std::string(ciphers.what()) == "set ciphers 'none such': no cipher match");
  const auto suites = secured::thrown_by([&] { tls::context::server(own.identity(), {.cipher_suites = "TLS_NONE"}); });
  BOOST_TEST(contains(suites.what(), "set cipher suites 'TLS_NONE': "));
}

BOOST_AUTO_TEST_SUITE_END()
