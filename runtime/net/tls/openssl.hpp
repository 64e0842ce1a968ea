// SPDX-License-Identifier: BSL-1.0
//
// OpenSSL's objects with owners, and its errors.
//
// OpenSSL keeps errors in a queue of the kernel thread, and fibers change threads where they suspend. So whoever calls
// it clears the queue before, and takes the error after, without a wait in between; nor does anybody suspend a fiber
// inside a call of OpenSSL.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <system_error>

namespace heddle::net::tls::detail {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using bio_pointer = std::unique_ptr<BIO, freed_by<BIO_free_all>>;
using key_pointer = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;
using certificate_pointer = std::unique_ptr<X509, freed_by<X509_free>>;
using ssl_pointer = std::unique_ptr<SSL, freed_by<SSL_free>>;

/// The first error of this thread's queue, which is empty afterwards; ENOMEM if there is none.
std::error_code take_error() noexcept;
/// The same after a call with `ssl`: why a certificate was refused, if that is the error.
std::error_code take_error(const SSL* ssl) noexcept;

}  // namespace heddle::net::tls::detail
