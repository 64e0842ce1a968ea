// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "heddle/detail/config.hpp"
#include "heddle/net/tls/error.hpp"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace heddle::net::tls {

enum class version : std::uint8_t { tls_1_2, tls_1_3 };

/// Certificates or a key in the PEM format: of a file, or as text.
class pem {
 public:
  pem() noexcept = default;
  static pem file(std::string path) { return {std::move(path), {}}; }
  static pem text(std::string text) { return {{}, std::move(text)}; }

  bool empty() const noexcept { return path_.empty() && text_.empty(); }
  /// For messages.
  std::string name() const { return path_.empty() ? "memory" : path_; }
  /// Its contents. Throws io::error: "read /etc/key.pem: No such file or directory".
  HEDDLE_EXPORT std::string read() const;

 private:
  pem(std::string path, std::string text) : path_(std::move(path)), text_(std::move(text)) {}
  std::string path_, text_;
};

/// The certificate of a side, and the key that proves it.
struct identity {
  pem chain = {};  ///< the own certificate first, then the one that signed it, and so on; without the root
  pem key = {};
  std::string passphrase = {};  ///< of the key, if it has one; nobody is asked for it

  bool empty() const noexcept { return chain.empty() && key.empty(); }
};

struct client_options {
  /// Signers that are trusted. Empty: the roots of the system, where OpenSSL is told they are (the environment's
  /// SSL_CERT_FILE and SSL_CERT_DIR, else /etc/ssl/certs).
  std::vector<pem> trusted = {};
  identity own = {};                   ///< shown to servers that ask
  std::vector<std::string> alpn = {};  ///< protocols in the order of preference, such as "h2", "http/1.1"
  version minimum = version::tls_1_2;
  std::string ciphers = {};        ///< of version 1.2, as in `openssl ciphers`; empty: OpenSSL's
  std::string cipher_suites = {};  ///< of version 1.3; empty: OpenSSL's
  /// Takes any peer for the server. Then nothing protects against somebody between the two: for tests only.
  bool dangerously_accept_any_certificate = false;
};

/// Whether a server asks its clients for certificates.
enum class client_certificates : std::uint8_t {
  none,      ///< it does not
  optional,  ///< it does; one that is shown must be good
  required   ///< it does, and refuses clients without one
};

struct server_options {
  /// The first protocol that a client also names is taken. A client that names others alone is refused.
  std::vector<std::string> alpn = {};
  version minimum = version::tls_1_2;
  std::string ciphers = {};
  std::string cipher_suites = {};
  client_certificates clients = client_certificates::none;
  std::vector<pem> trusted = {};  ///< whose signatures of clients' certificates are trusted; the system's roots are not
};

/// Settings that many connections share; they do not change. Copies share it; fibers and threads may do so.
///
/// \code
/// const auto server = tls::context::server({tls::pem::file("chain.pem"), tls::pem::file("key.pem")});
///
/// const auto client = tls::context::client({.trusted = {tls::pem::file("root.pem")}});
/// \endcode
///
/// Clients verify the server's chain and its name. Sessions are resumed as OpenSSL does by default: servers give out
/// tickets. There is no renegotiation. Errors are io::error, whose text names the file and the reason: "load private
/// key from /etc/key.pem: key values mismatch".
class HEDDLE_EXPORT context {
 public:
  static context client(const client_options& o = {});
  static context server(const identity& own, const server_options& o = {});
  /// The client without options, made when it is first asked for.
  static const context& default_client();

  bool is_server() const noexcept { return is_server_; }
  /// Whether a peer without a good certificate is refused.
  bool verifies() const noexcept { return verifies_; }
  /// OpenSSL's own, for what is missing here; to be changed before the first connection is made.
  ssl_ctx_st* native_handle() const noexcept { return shared_.get(); }

 private:
  context(std::shared_ptr<ssl_ctx_st> shared, bool is_server, bool verifies) noexcept
      : shared_(std::move(shared)), is_server_(is_server), verifies_(verifies) {}

  std::shared_ptr<ssl_ctx_st> shared_;
  bool is_server_, verifies_;
};

}  // namespace heddle::net::tls
