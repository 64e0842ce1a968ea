// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <system_error>

#include "heddle/detail/config.hpp"
#include "heddle/io/error.hpp"

namespace heddle::net::tls {

/// Errors that only heddle's TLS reports. Errors of OpenSSL have the same category, with OpenSSL's number and text.
enum class errc {
  truncated = 1,  ///< the connection ended, but the peer has not said that this is the end: somebody may have cut it
  no_host_name    ///< a client whose context verifies was not told the name that the server must prove
};

HEDDLE_EXPORT const std::error_category& category() noexcept;
inline std::error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), category()}; }

/// Of certificates that were refused: OpenSSL's X509_V_ERR_ numbers, "certificate verify failed: hostname mismatch".
HEDDLE_EXPORT const std::error_category& certificate_category() noexcept;

}  // namespace heddle::net::tls

template <>
struct std::is_error_code_enum<heddle::net::tls::errc> : std::true_type {};
