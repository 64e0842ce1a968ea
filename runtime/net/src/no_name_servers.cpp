// SPDX-License-Identifier: BSL-1.0
//
// Instead of name_servers.cpp, where there was no c-ares to build with.
#include "heddle/net/detail/name_servers.hpp"

namespace heddle::net::detail {

fiber_look_up_function ask_name_servers(name_server_options) { return {}; }

}  // namespace heddle::net::detail
