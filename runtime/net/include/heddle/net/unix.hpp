// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "heddle/io/owned_descriptor.hpp"
#include "heddle/io/stream.hpp"
#include "heddle/net/unix_endpoint.hpp"

namespace heddle::net {

using io::limits;

/// The process at the other end, as the system knows it.
struct unix_credentials {
  pid_t process = 0;  ///< that has connected, listened, or made the pair; 0: not to be seen from here
  uid_t user = 0;
  gid_t group = 0;
};

/// A connection between processes of one system (SOCK_STREAM), which can carry descriptors beside bytes.
class HEDDLE_EXPORT unix_stream : public io::stream {
 public:
  unix_stream() noexcept = default;

  /// While the listener's queue is full it tries again, up to 20 times a second: the system reports no event for that.
  static unix_stream connect(const unix_endpoint& to, const limits& l, std::error_code& ec);
  static unix_stream connect(const unix_endpoint& to, const limits& l = {});
  /// Two that are connected to each other. Throws io::error.
  static std::pair<unix_stream, unix_stream> pair();
  /// Takes a connected socket, and sets it to non-blocking mode. Throws io::error.
  static unix_stream adopt(int fd);

  /// Descriptors that go with one call.
  static constexpr std::size_t most_descriptors = 253;

  /// As write_some(), and sends duplicates of the descriptors with the first of the bytes. There must be a byte at
  /// least (std::errc::invalid_argument), and at most 253 descriptors (std::errc::argument_list_too_long): nothing is
  /// sent otherwise. The system refuses, with ETOOMANYREFS, if this user has too many on their way.
  std::size_t send(std::span<const std::byte> from, std::span<const int> descriptors, const limits& l,
                   std::error_code& ec) noexcept;
  std::size_t send(std::span<const std::byte> from, std::span<const int> descriptors, const limits& l = {});

  /// As read_some(), and appends the descriptors that came with the bytes to `descriptors`: all that one call of send()
  /// has sent, closed on exec. (read_some() drops and closes them.) If this process can have no more descriptors the
  /// error is EMFILE; the bytes count as read, and those that could be had are there. Throws std::bad_alloc before
  /// anything is received.
  std::size_t receive(std::span<std::byte> to, std::vector<io::owned_descriptor>& descriptors, const limits& l,
                      std::error_code& ec);
  std::size_t receive(std::span<std::byte> to, std::vector<io::owned_descriptor>& descriptors, const limits& l = {});

  unix_credentials peer_credentials(std::error_code& ec) const noexcept;
  /// Throws io::error.
  unix_credentials peer_credentials() const;

  /// Half-close: the peer reads the end; this side goes on reading.
  void shutdown_write(std::error_code& ec) noexcept;
  void shutdown_write();

 private:
  friend class unix_listener;
  struct core_type;
  explicit unix_stream(std::unique_ptr<io::detail::stream_core> core) noexcept : stream(std::move(core)) {}
  static unix_stream take(int fd, std::string name);
};

struct unix_listen_options {
  int backlog = 4096;      ///< connections that wait for accept(); the system may allow fewer (net.core.somaxconn)
  unsigned mode = 0777;    ///< who may connect: the rights of the socket's file, of which the umask takes some
  bool replace = true;     ///< removes the file of a socket on which nobody listens any more
  bool keep_file = false;  ///< leaves its own file behind
};

/// A Unix socket on which connections are accepted. As tcp_listener otherwise.
class HEDDLE_EXPORT unix_listener {
 public:
  unix_listener() noexcept = default;
  unix_listener(unix_listener&&) noexcept = default;
  unix_listener& operator=(unix_listener&&) noexcept;
  ~unix_listener() { close(); }

  /// A file that is there already is an error, std::errc::address_in_use, unless it is a socket on which nobody
  /// listens: that one is removed. (Of two programs that begin to listen on the same path at the same moment, the one
  /// may so remove the file of the other.) Throws io::error: "listen on /run/app: Address already in use".
  static unix_listener listen(const unix_endpoint& on, const unix_listen_options& o, std::error_code& ec);
  static unix_listener listen(const unix_endpoint& on, const unix_listen_options& o = {});

  unix_stream accept(const limits& l, std::error_code& ec);
  unix_stream accept(std::error_code& ec) { return accept({}, ec); }
  unix_stream accept(const limits& l = {});

  const unix_endpoint& local_endpoint() const noexcept { return local_; }
  bool is_open() const noexcept { return descriptor_.is_open(); }
  int native_handle() const noexcept { return descriptor_.descriptor(); }
  /// Removes the file, if it is still the one that listen() has made, and ends the accept() of others, with
  /// io::errc::closed. From anywhere, any number of times.
  void close() noexcept;

 private:
  io::detail::polled descriptor_;
  unix_endpoint local_;
  dev_t device_ = 0;  ///< of the file; both 0: there is none to remove
  ino_t inode_ = 0;
};

}  // namespace heddle::net
