// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/tls/error.hpp"

#include <openssl/x509.h>

#include <array>
#include <cerrno>
#include <string>

#include "openssl.hpp"

namespace heddle::net::tls {
namespace {

class tls_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "heddle.tls"; }
  std::string message(int e) const override {
    switch (static_cast<errc>(e)) {
      case errc::truncated: return "the connection was cut: the peer has not said that this is the end";
      case errc::no_host_name: return "no name was given that the server must prove";
    }
    const auto packed = static_cast<unsigned long>(e);
    if (const char* reason = ERR_reason_error_string(packed)) return reason;
    std::array<char, 256> text;
    ERR_error_string_n(packed, text.data(), text.size());
    return text.data();
  }
};

class refused_certificate final : public std::error_category {
 public:
  const char* name() const noexcept override { return "heddle.tls.certificate"; }
  std::string message(int e) const override {
    return std::string("certificate verify failed: ") + X509_verify_cert_error_string(e);
  }
};

}  // namespace

const std::error_category& category() noexcept {
  static const tls_category the_category;
  return the_category;
}

const std::error_category& certificate_category() noexcept {
  static const refused_certificate the_category;
  return the_category;
}

namespace detail {

std::error_code take_error() noexcept {
  const unsigned long packed = ERR_peek_error();
  ERR_clear_error();
  if (packed == 0) return {ENOMEM, std::system_category()};
  if (ERR_SYSTEM_ERROR(packed)) return {ERR_GET_REASON(packed), std::system_category()};
  return {static_cast<int>(packed), category()};
}

std::error_code take_error(const SSL* ssl) noexcept {
  const unsigned long packed = ERR_peek_error();
  const bool refused = ERR_GET_LIB(packed) == ERR_LIB_SSL && ERR_GET_REASON(packed) == SSL_R_CERTIFICATE_VERIFY_FAILED;
  const long why = SSL_get_verify_result(ssl);
  if (!refused || why == X509_V_OK) return take_error();
  ERR_clear_error();
  return {static_cast<int>(why), certificate_category()};
}

}  // namespace detail
}  // namespace heddle::net::tls
