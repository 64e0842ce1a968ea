// SPDX-License-Identifier: BSL-1.0
//
// TLS over the streams of heddle::net, by OpenSSL: the component `tls`.
#pragma once

#include "heddle/net/tls/certificate.hpp"  // IWYU pragma: export
#include "heddle/net/tls/context.hpp"      // IWYU pragma: export
#include "heddle/net/tls/dial.hpp"         // IWYU pragma: export
#include "heddle/net/tls/error.hpp"        // IWYU pragma: export
#include "heddle/net/tls/serve.hpp"        // IWYU pragma: export
#include "heddle/net/tls/stream.hpp"       // IWYU pragma: export
