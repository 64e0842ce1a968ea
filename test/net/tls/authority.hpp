// SPDX-License-Identifier: BSL-1.0
//
// Certificates made while a test runs.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "heddle/net/tls/context.hpp"

namespace heddle::testing {

namespace tls = heddle::net::tls;

/// A certificate with its key, as PEM text.
struct issued {
  std::string chain, key;
  tls::identity identity() const { return {tls::pem::text(chain), tls::pem::text(key), {}}; }
};

struct request {
  std::string name = "localhost";                           ///< the common name
  std::string alternatives = "DNS:localhost,IP:127.0.0.1";  ///< subjectAltName; empty: none
  long begins_in = -3600, ends_in = 3600;                   ///< seconds from now
};

/// Signs certificates, all of them with keys on the curve P-256, which are made at once.
class authority {
 public:
  explicit authority(const std::string& name = "heddle test root") : key_(new_key()), own_(new_certificate(*key_)) {
    name_it(*own_, name);
    X509_set_issuer_name(own_.get(), X509_get_subject_name(own_.get()));
    extend(*own_, NID_basic_constraints, "critical,CA:TRUE");
    sign(*own_, *key_);
  }

  tls::pem root() const { return tls::pem::text(root_text()); }
  std::string root_text() const {
    return written([&](BIO* to) { return PEM_write_bio_X509(to, own_.get()); });
  }

  issued issue(const request& r = {}) const { return made(r, X509_get_subject_name(own_.get()), *key_); }
  /// One that nobody has signed but itself.
  static issued self_signed(const request& r = {}) {
    const key key = new_key();
    return made(r, nullptr, *key, key.get());
  }
  /// The text of a key, under a passphrase.
  static std::string locked(const std::string& key_text, const std::string& passphrase) {
    const std::unique_ptr<BIO, free_bio> from(BIO_new_mem_buf(key_text.data(), static_cast<int>(key_text.size())));
    const key k(PEM_read_bio_PrivateKey(from.get(), nullptr, nullptr, nullptr));
    return written([&](BIO* to) {
      return PEM_write_bio_PKCS8PrivateKey(to, k.get(), EVP_aes_256_cbc(), passphrase.data(),
                                           static_cast<int>(passphrase.size()), nullptr, nullptr);
    });
  }

 private:
  struct free_bio {
    void operator()(BIO* b) const noexcept { BIO_free_all(b); }
  };
  struct free_key {
    void operator()(EVP_PKEY* k) const noexcept { EVP_PKEY_free(k); }
  };
  struct free_certificate {
    void operator()(X509* c) const noexcept { X509_free(c); }
  };
  using key = std::unique_ptr<EVP_PKEY, free_key>;
  using certificate = std::unique_ptr<X509, free_certificate>;

  static void must(bool well) {
    if (!well) throw std::runtime_error("OpenSSL does not make a certificate");
  }
  static key new_key() {
    key k(EVP_EC_gen("P-256"));
    must(k != nullptr);
    return k;
  }
  static certificate new_certificate(EVP_PKEY& k, const request& r = {}) {
    static long number = 1;
    certificate c(X509_new());
    must(c != nullptr && X509_set_version(c.get(), 2) == 1 && X509_set_pubkey(c.get(), &k) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(c.get()), ++number);
    X509_gmtime_adj(X509_getm_notBefore(c.get()), r.begins_in);
    X509_gmtime_adj(X509_getm_notAfter(c.get()), r.ends_in);
    return c;
  }
  static void name_it(X509& c, const std::string& name) {
    must(X509_NAME_add_entry_by_txt(X509_get_subject_name(&c), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.data()), -1, -1, 0) == 1);
  }
  static void extend(X509& c, int what, const std::string& value) {
    X509_EXTENSION* const e = X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str());
    must(e != nullptr && X509_add_ext(&c, e, -1) == 1);
    X509_EXTENSION_free(e);
  }
  static void sign(X509& c, EVP_PKEY& by) { must(X509_sign(&c, &by, EVP_sha256()) > 0); }
  template <class F>
  static std::string written(F write) {
    const std::unique_ptr<BIO, free_bio> to(BIO_new(BIO_s_mem()));
    must(to != nullptr && write(to.get()) == 1);
    char* text = nullptr;
    const long size = BIO_get_mem_data(to.get(), &text);
    return {text, static_cast<std::size_t>(size)};
  }

  /// Signed by `by`; `own`: the key is that, and not a new one.
  static issued made(const request& r, const X509_NAME* issuer, EVP_PKEY& by, EVP_PKEY* own = nullptr) {
    const key fresh = own == nullptr ? new_key() : nullptr;
    EVP_PKEY* const k = own != nullptr ? own : fresh.get();
    const certificate c = new_certificate(*k, r);
    name_it(*c, r.name);
    X509_set_issuer_name(c.get(), issuer != nullptr ? issuer : X509_get_subject_name(c.get()));
    if (!r.alternatives.empty()) extend(*c, NID_subject_alt_name, r.alternatives);
    sign(*c, by);
    return {written([&](BIO* to) { return PEM_write_bio_X509(to, c.get()); }), written([&](BIO* to) {
              return PEM_write_bio_PKCS8PrivateKey(to, k, nullptr, nullptr, 0, nullptr, nullptr);
            })};
  }

  key key_;
  certificate own_;
};

}  // namespace heddle::testing
