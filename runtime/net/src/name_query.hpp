// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <vector>

#include "cares.hpp"
#include "heddle/detail/polled.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/net/detail/name_servers.hpp"
#include "heddle/net/endpoint.hpp"

namespace heddle::net {

/// One question to the name servers, asked by the fiber that makes it, which waits for all sockets of it at once.
///
/// 1. Each has a channel of c-ares of its own: so it needs no lock, begins with what resolv.conf says now, asks from a
///    port that nobody can guess from others, and can be broken off by itself, which c-ares has for channels only.
/// 2. c-ares says which sockets it waits for; they are in an epoll of the question's own, whose descriptor is in the
///    runtime's poller.
class name_query {
 public:
  name_query(const cares& library, const detail::name_server_options& o) : library_(library), options_(o) {}
  name_query(const name_query&) = delete;
  name_query& operator=(const name_query&) = delete;
  ~name_query();

  /// Once. `found` gets addresses without a port. A stop ends it with operation_canceled.
  std::error_code ask(const std::string& host, const heddle::detail::stop_token& stop, std::vector<endpoint>& found);

 private:
  int open_channel();
  std::error_code wait(const heddle::detail::stop_token& stop) noexcept;
  void process(int socket, std::uint32_t events) noexcept;
  void watch(int socket, bool readable, bool writable) noexcept;
  static void answered(void* self, int status, int timeouts, ares_addrinfo* answer);

  const cares& library_;
  const detail::name_server_options& options_;
  heddle::detail::polled events_;
  ares_channel channel_ = nullptr;
  bool is_answered_ = false;
  int status_ = ARES_SUCCESS;
  std::vector<endpoint> found_;
};

}  // namespace heddle::net
