// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/net/detail/resolver.hpp"

namespace heddle::net {

/// The one that resolve() and dial() use.
detail::resolver& process_resolver();

}  // namespace heddle::net
