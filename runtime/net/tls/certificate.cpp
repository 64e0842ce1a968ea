// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/tls/certificate.hpp"

#include <arpa/inet.h>

#include <ctime>

#include "certificate.hpp"

namespace heddle::net::tls::detail {
namespace {

using names_pointer = std::unique_ptr<GENERAL_NAMES, freed_by<GENERAL_NAMES_free>>;

std::string text_of(const X509_NAME* name) {
  const bio_pointer to(BIO_new(BIO_s_mem()));
  if (to == nullptr || X509_NAME_print_ex(to.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(to.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::chrono::system_clock::time_point time_of(const ASN1_TIME* t) noexcept {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(t, &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

/// A host or an address; empty if it is something else.
std::string text_of(const GENERAL_NAME& name) {
  int type = 0;
  const auto* const value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(&name, &type));
  if (type != GEN_DNS && type != GEN_IPADD) return {};
  const unsigned char* const bytes = ASN1_STRING_get0_data(value);
  const auto size = static_cast<std::size_t>(ASN1_STRING_length(value));
  if (type == GEN_DNS) return {reinterpret_cast<const char*>(bytes), size};
  char text[INET6_ADDRSTRLEN] = "";
  if (size == 4) ::inet_ntop(AF_INET, bytes, text, sizeof text);
  if (size == 16) ::inet_ntop(AF_INET6, bytes, text, sizeof text);
  return text;
}

}  // namespace

certificate describe(const X509& c) {
  certificate all;
  all.subject = text_of(X509_get_subject_name(&c));
  all.issuer = text_of(X509_get_issuer_name(&c));
  all.not_before = time_of(X509_get0_notBefore(&c));
  all.not_after = time_of(X509_get0_notAfter(&c));
  X509_digest(&c, EVP_sha256(), reinterpret_cast<unsigned char*>(all.sha256.data()), nullptr);
  const names_pointer names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&c, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i != sk_GENERAL_NAME_num(names.get()); ++i)
    if (std::string name = text_of(*sk_GENERAL_NAME_value(names.get(), i)); !name.empty())
      all.names.push_back(std::move(name));
  return all;
}

}  // namespace heddle::net::tls::detail
