// SPDX-License-Identifier: BSL-1.0
//
// Questions that all kinds of sockets ask the system in the same way.
#pragma once

#include <system_error>

#include "heddle/net/endpoint.hpp"

namespace heddle::net {

/// False: errno tells why.
bool make_non_blocking(int fd) noexcept;
std::error_code set_number(int fd, int level, int option, int value) noexcept;
std::error_code set_flag(int fd, int level, int option, bool on) noexcept;
std::error_code shut_down(int fd, int how) noexcept;
/// The error that the socket has kept (SO_ERROR), which is cleared.
std::error_code pending_error(int fd) noexcept;
/// The address that the socket is bound to; the default if it has none.
endpoint local_of(int fd) noexcept;

}  // namespace heddle::net
