// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/tls/context.hpp"

#include <openssl/pem.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string_view>

#include "heddle/detail/polled.hpp"
#include "heddle/io/error.hpp"
#include "openssl.hpp"

namespace heddle::net::tls {
namespace {

using detail::bio_pointer;
using detail::certificate_pointer;
using detail::key_pointer;
using detail::take_error;

[[noreturn]] void fail(const std::string& operation) { throw io::error(take_error(), operation); }

/// A BIO that reads the text, which must outlive it.
bio_pointer reader_of(const std::string& text) {
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) throw std::bad_alloc();
  bio_pointer bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (bio == nullptr) throw std::bad_alloc();
  return bio;
}

/// Copies what identity::passphrase says. Without this OpenSSL would ask on the terminal.
int tell_passphrase(char* to, int capacity, int, void* passphrase) {
  const auto& text = *static_cast<const std::string*>(passphrase);
  if (text.empty() || text.size() > static_cast<std::size_t>(capacity)) return -1;
  std::memcpy(to, text.data(), text.size());
  return static_cast<int>(text.size());
}

certificate_pointer next_certificate(BIO* from) {
  std::string none;
  return certificate_pointer(PEM_read_bio_X509(from, nullptr, tell_passphrase, &none));
}

/// Calls f(certificate) for each certificate of the text: f says whether OpenSSL has taken it. Throws if one cannot be
/// read or taken, and if there is none.
template <class F>
void for_each_certificate(const pem& from, const std::string& operation, F f) {
  const std::string text = from.read();
  const bio_pointer bio = reader_of(text);
  ERR_clear_error();
  std::size_t count = 0;
  for (; certificate_pointer one = next_certificate(bio.get()); ++count)
    if (!f(std::move(one))) fail(operation);
  // After the last one there is no further beginning. Without any, that is the error.
  if (count == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) fail(operation);
  ERR_clear_error();
}

void load_chain(SSL_CTX* to, const pem& chain) {
  bool own = true;
  for_each_certificate(chain, "load certificate chain from " + chain.name(), [&](certificate_pointer c) {
    if (std::exchange(own, false)) return SSL_CTX_use_certificate(to, c.get()) == 1;
    if (SSL_CTX_add0_chain_cert(to, c.get()) != 1) return false;
    static_cast<void>(c.release());  // it is the chain's
    return true;
  });
}

void load_key(SSL_CTX* to, const identity& own) {
  const std::string operation = "load private key from " + own.key.name();
  const std::string text = own.key.read();
  const bio_pointer bio = reader_of(text);
  ERR_clear_error();
  const key_pointer key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, tell_passphrase, const_cast<std::string*>(&own.passphrase)));
  // It is compared with the certificate, which is there already.
  if (key == nullptr || SSL_CTX_use_PrivateKey(to, key.get()) != 1) fail(operation);
}

void load(SSL_CTX* to, const identity& own) {
  load_chain(to, own.chain);
  load_key(to, own);
}

/// `announced`: a server names them to its clients.
void trust(SSL_CTX* to, const std::vector<pem>& trusted, bool announced) {
  for (const pem& from : trusted)
    for_each_certificate(from, "load trusted certificates from " + from.name(), [&](const certificate_pointer& c) {
      return X509_STORE_add_cert(SSL_CTX_get_cert_store(to), c.get()) == 1 &&
             (!announced || SSL_CTX_add_client_CA(to, c.get()) == 1);
    });
}

/// The list as it is sent: each name with its length before it. Throws std::invalid_argument for names that cannot be.
std::string wire_format(const std::vector<std::string>& names) {
  std::string wire;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 255) throw std::invalid_argument("heddle: ALPN: '" + name + "' is no protocol");
    wire.append(1, static_cast<char>(name.size())).append(name);
  }
  if (wire.size() > 65'535) throw std::invalid_argument("heddle: ALPN: too many protocols");
  return wire;
}

int to_openssl(version v) noexcept { return v == version::tls_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION; }

/// The settings of both sides.
void configure(SSL_CTX* c, version minimum, const std::string& ciphers, const std::string& suites) {
  // Memory for records is given back when there are none. Nothing is renegotiated: a peer that asks is told no.
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  ERR_clear_error();
  if (SSL_CTX_set_min_proto_version(c, to_openssl(minimum)) != 1) fail("set the version of TLS");
  if (!ciphers.empty() && SSL_CTX_set_cipher_list(c, ciphers.c_str()) != 1) fail("set ciphers '" + ciphers + "'");
  if (!suites.empty() && SSL_CTX_set_ciphersuites(c, suites.c_str()) != 1) fail("set cipher suites '" + suites + "'");
}

/// A context, and the server's list of protocols, which its callback reads.
struct with_protocols {
  explicit with_protocols(const SSL_METHOD* method) : context(SSL_CTX_new(method)) {
    if (context == nullptr) throw std::bad_alloc();
  }
  with_protocols(const with_protocols&) = delete;
  with_protocols& operator=(const with_protocols&) = delete;
  ~with_protocols() { SSL_CTX_free(context); }

  SSL_CTX* const context;
  std::string protocols;
};

/// The first of ours that the client has, too. RFC 7301: if there is none the handshake fails.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* client,
                    unsigned client_size, void* ours) {
  const auto& protocols = *static_cast<const std::string*>(ours);
  unsigned char* found = nullptr;
  const int how = SSL_select_next_proto(&found, length, reinterpret_cast<const unsigned char*>(protocols.data()),
                                        static_cast<unsigned>(protocols.size()), client, client_size);
  *chosen = found;
  return how == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int verify_mode(client_certificates c) noexcept {
  switch (c) {
    case client_certificates::none: return SSL_VERIFY_NONE;
    case client_certificates::optional: return SSL_VERIFY_PEER;
    case client_certificates::required: break;
  }
  return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

std::shared_ptr<SSL_CTX> shared(std::shared_ptr<with_protocols> c) noexcept {
  SSL_CTX* const context = c->context;
  return {std::move(c), context};
}

}  // namespace

std::string pem::read() const {
  if (path_.empty()) return text_;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path_.c_str(), "re"), std::fclose);
  std::string text;
  char part[4096];
  while (file != nullptr) {
    const std::size_t n = std::fread(part, 1, sizeof part, file.get());
    text.append(part, n);
    if (n != sizeof part) break;
  }
  if (file == nullptr || std::ferror(file.get()) != 0)
    throw io::error({heddle::detail::errno_here(), std::system_category()}, "read " + path_);
  return text;
}

context context::client(const client_options& o) {
  auto made = std::make_shared<with_protocols>(TLS_client_method());
  SSL_CTX* const c = made->context;
  configure(c, o.minimum, o.ciphers, o.cipher_suites);
  if (!o.own.empty()) load(c, o.own);
  const bool verifies = !o.dangerously_accept_any_certificate;
  SSL_CTX_set_verify(c, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  trust(c, o.trusted, false);
  ERR_clear_error();
  if (o.trusted.empty() && verifies && SSL_CTX_set_default_verify_paths(c) != 1) fail("load the system's roots");
  const std::string protocols = wire_format(o.alpn);
  // Unlike its neighbours this one returns 0 when all is well.
  if (!protocols.empty() && SSL_CTX_set_alpn_protos(c, reinterpret_cast<const unsigned char*>(protocols.data()),
                                                    static_cast<unsigned>(protocols.size())) != 0)
    throw std::bad_alloc();
  return {shared(std::move(made)), false, verifies};
}

context context::server(const identity& own, const server_options& o) {
  auto made = std::make_shared<with_protocols>(TLS_server_method());
  SSL_CTX* const c = made->context;
  configure(c, o.minimum, o.ciphers, o.cipher_suites);
  load(c, own);
  SSL_CTX_set_verify(c, verify_mode(o.clients), nullptr);
  trust(c, o.trusted, true);
  // Without a name for them, sessions of clients that are asked for certificates could not be resumed.
  constexpr unsigned char sessions[] = "heddle";
  SSL_CTX_set_session_id_context(c, sessions, sizeof sessions - 1);
  made->protocols = wire_format(o.alpn);
  if (!made->protocols.empty()) SSL_CTX_set_alpn_select_cb(c, choose_protocol, &made->protocols);
  return {shared(std::move(made)), true, o.clients != client_certificates::none};
}

const context& context::default_client() {
  static const context the_context = client();
  return the_context;
}

}  // namespace heddle::net::tls
