// SPDX-License-Identifier: BSL-1.0
//
// c-ares, if it is installed where the program runs: loaded when a name server is to be asked first. Nothing is linked
// with it, so programs run without it.
#pragma once

#define CARES_NO_DEPRECATED  // newer ones have other functions beside these, which stay
#include <ares.h>

namespace heddle::net {

/// Its functions that we call.
struct cares {
  decltype(&::ares_init_options) init_options;
  decltype(&::ares_destroy) destroy;
  decltype(&::ares_set_socket_functions) set_socket_functions;
  decltype(&::ares_getaddrinfo) getaddrinfo;
  decltype(&::ares_freeaddrinfo) freeaddrinfo;
  decltype(&::ares_process_fd) process_fd;
  decltype(&::ares_timeout) timeout;

  /// Null: it is not installed, or too old. The first call blocks the thread.
  static const cares* library() noexcept;
};

}  // namespace heddle::net
