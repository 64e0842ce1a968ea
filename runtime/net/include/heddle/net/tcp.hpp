// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "heddle/io/stream.hpp"
#include "heddle/net/endpoint.hpp"

namespace heddle::net {

using io::limits;

/// A TCP connection. TCP_NODELAY is set.
class HEDDLE_EXPORT tcp_stream : public io::stream {
 public:
  tcp_stream() noexcept = default;

  /// Connects to one address. The throwing form: "connect to 127.0.0.1:80: Connection refused". A connection of a
  /// socket to itself, which happens with ports of this machine on which nobody listens, counts as refused.
  static tcp_stream connect(const endpoint& to, const limits& l, std::error_code& ec);
  static tcp_stream connect(const endpoint& to, const limits& l = {});
  /// Takes a connected socket, and sets it to non-blocking mode. Throws io::error.
  static tcp_stream adopt(int fd);

  endpoint local_endpoint() const;
  /// As it was when the connection was made.
  endpoint peer_endpoint() const noexcept;

  /// Half-close: the peer reads the end; this side goes on reading.
  void shutdown_write(std::error_code& ec) noexcept;
  void shutdown_write();
  void shutdown_read(std::error_code& ec) noexcept;

  void set_no_delay(bool on, std::error_code& ec) noexcept;
  void set_keep_alive(bool on, std::error_code& ec) noexcept;
  /// close() then resets the connection instead of ending it: what has not been sent is dropped, the peer sees
  /// ECONNRESET.
  void reset_on_close(std::error_code& ec) noexcept;

 private:
  friend class tcp_listener;
  struct core_type;
  explicit tcp_stream(std::unique_ptr<io::detail::stream_core> core) noexcept : stream(std::move(core)) {}
  static tcp_stream take(int fd, const endpoint& peer);
};

/// Options of a listening socket; connections get theirs from it, without a system call each.
struct listen_options {
  int backlog = 4096;       ///< connections that wait for accept(); the system may allow fewer (net.core.somaxconn)
  bool reuse_port = false;  ///< several sockets on the same port share the connections
  bool v6_only = false;     ///< of version 6: no connections of version 4
  bool no_delay = true;     ///< TCP_NODELAY
  bool keep_alive = true;   ///< SO_KEEPALIVE, as Go has it; with the system's times
};

/// A TCP port on which connections are accepted.
class HEDDLE_EXPORT tcp_listener {
 public:
  tcp_listener() noexcept = default;

  /// Port 0: one that is free, see local_endpoint(). SO_REUSEADDR is set, so that a port whose connections are still
  /// winding down can be used again at once. Throws io::error: "listen on 127.0.0.1:80: Permission denied".
  static tcp_listener listen(const endpoint& on, const listen_options& o = {});
  static tcp_listener listen(const endpoint& on, const listen_options& o, std::error_code& ec);
  /// Takes a socket that listens already, such as one that was inherited. Throws io::error.
  static tcp_listener adopt(int fd);

  /// The next connection. Any number of fibers and threads may accept at the same time; each connection goes to one.
  /// Connections that the peer has given up meanwhile are left out. Errors: io::errc::closed after close(); EMFILE and
  /// ENFILE if there is no descriptor for it (it stays in the queue).
  tcp_stream accept(const limits& l, std::error_code& ec);
  tcp_stream accept(std::error_code& ec) { return accept({}, ec); }
  tcp_stream accept(const limits& l = {});

  endpoint local_endpoint() const noexcept { return local_; }
  /// For messages.
  std::string name() const { return local_.to_string(); }
  bool is_open() const noexcept { return descriptor_.is_open(); }
  int native_handle() const noexcept { return descriptor_.descriptor(); }
  /// Ends the accept() of others, with io::errc::closed. From anywhere, any number of times.
  void close() noexcept { descriptor_.close(); }

 private:
  io::detail::polled descriptor_;
  endpoint local_;
};

}  // namespace heddle::net
