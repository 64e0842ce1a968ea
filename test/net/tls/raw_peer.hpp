// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <span>
#include <string>
#include <system_error>

#include "heddle/net/tls.hpp"

namespace heddle::testing {

/// The other side as OpenSSL alone has it, blocking a plain thread: for what heddle's streams never do.
class raw_peer {
 public:
  /// Takes a connected socket that blocks.
  raw_peer(int fd, const net::tls::context& c) : fd_(fd), ssl_(SSL_new(c.native_handle())) {
    SSL_set_fd(ssl_, fd);
    SSL_set_msg_callback(ssl_, count_message);
    SSL_set_msg_callback_arg(ssl_, this);
    if (c.is_server())
      SSL_set_accept_state(ssl_);
    else
      SSL_set_connect_state(ssl_);
  }
  raw_peer(const raw_peer&) = delete;
  raw_peer& operator=(const raw_peer&) = delete;
  ~raw_peer() {
    SSL_free(ssl_);
    ::close(fd_);
  }

  /// Connects to a listener of heddle.
  static int connect(const net::endpoint& to) {
    const int fd = ::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(fd, to.data(), to.size()) != 0) throw std::system_error(errno, std::system_category(), "connect");
    return fd;
  }

  SSL* get() const { return ssl_; }
  int descriptor() const { return fd_; }
  bool write(std::span<const std::byte> from) const {
    std::size_t n = 0;
    return SSL_write_ex(ssl_, from.data(), from.size(), &n) == 1 && n == from.size();
  }
  std::size_t read_some(std::span<std::byte> to) const {
    std::size_t n = 0;
    return SSL_read_ex(ssl_, to.data(), to.size(), &n) == 1 ? n : 0;
  }
  /// The reason of the last error of this thread.
  static int reason() { return ERR_GET_REASON(ERR_peek_last_error()); }

  int key_updates() const { return key_updates_; }  ///< that have come

 private:
  static void count_message(int sent, int, int type, const void* message, std::size_t size, SSL*, void* self) {
    constexpr unsigned char key_update = SSL3_MT_KEY_UPDATE;
    if (sent == 0 && type == SSL3_RT_HANDSHAKE && size > 0 && *static_cast<const unsigned char*>(message) == key_update)
      ++static_cast<raw_peer*>(self)->key_updates_;
  }

  int fd_;
  SSL* ssl_;
  int key_updates_ = 0;
};

}  // namespace heddle::testing
