// SPDX-License-Identifier: BSL-1.0
//
// The begin of every server in C++: a port of its own on loopback, which it tells on stdout. It serves until it is
// killed.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "common/arguments.hpp"

namespace perf::net {

/// The options of every server: --size, how many bytes it reads at once.
inline arguments server_arguments(int argc, char** argv) { return arguments(argc, argv, {{"size", 4'096}}); }

/// The system call's result, or the end of the program.
inline int checked(int result, const char* what) {
  require(result >= 0, std::string(what) + ": " + std::strerror(errno));
  return result;
}

/// Tells the port: the driver waits for that before it starts the load.
inline void announce(unsigned port) {
  std::printf("{\"port\": %u}\n", port);
  std::fflush(stdout);
}

/// Set on the listener, inherited by what it accepts: an answer waits for no acknowledgement.
inline void set_no_delay(int socket) {
  const int on = 1;
  checked(::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
}

/// A listening socket on a free port of loopback, announced. `flags` are those of socket(), such as SOCK_NONBLOCK.
inline int listen_on_loopback(int flags) {
  const int listener = checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), "socket");
  set_no_delay(listener);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  checked(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), "bind");
  checked(::listen(listener, SOMAXCONN), "listen");
  checked(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  announce(ntohs(address.sin_port));
  return listener;
}

}  // namespace perf::net
