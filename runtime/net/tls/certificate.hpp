// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/net/tls/certificate.hpp"
#include "openssl.hpp"

namespace heddle::net::tls::detail {

certificate describe(const X509& c);

}  // namespace heddle::net::tls::detail
