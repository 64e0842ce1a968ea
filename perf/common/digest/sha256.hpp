// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <memory>

#include "common/arguments.hpp"

namespace perf::digest {

using sum = std::array<unsigned char, 32>;

/// SHA-256 by libcrypto. One object hashes one file after the other and reuses its context; not for two at
/// once.
class sha256 {
 public:
  sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), algorithm(), nullptr) == 1,
            "libcrypto has no SHA-256");
  }

  void update(const std::byte* data, std::size_t size) { EVP_DigestUpdate(context_.get(), data, size); }

  /// The sum of everything since the last one.
  sum finish() {
    sum result;
    EVP_DigestFinal_ex(context_.get(), result.data(), nullptr);
    EVP_DigestInit_ex(context_.get(), nullptr, nullptr);  // the same algorithm again
    return result;
  }

 private:
  // Looked up once: libcrypto 3 otherwise searches its providers for every file.
  static const EVP_MD* algorithm() {
#if OPENSSL_VERSION_MAJOR >= 3
    static const EVP_MD* const found = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return found;
#else
    return EVP_sha256();
#endif
  }

  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

}  // namespace perf::digest
