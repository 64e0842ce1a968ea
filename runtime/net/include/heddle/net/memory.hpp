// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "heddle/detail/config.hpp"
#include "heddle/io/error.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/net/endpoint.hpp"

namespace heddle::net {

using io::limits;

namespace detail {
struct memory_end;
class memory_hub;
class memory_port;
}  // namespace detail

/// How a memory_network behaves. Without more it is quick and without faults.
struct memory_options {
  std::uint64_t seed = 1;               ///< of all that is left to chance
  std::chrono::nanoseconds latency{0};  ///< one way, of bytes, ends, resets and requests to connect
  std::chrono::nanoseconds jitter{0};   ///< what is sent takes up to that much longer; it stays in order
  std::size_t buffer = 64 * 1024;       ///< each way: a writer waits while so many bytes have not been read; at least 1
  unsigned short_reads = 0;             ///< one read_some() in so many takes a part of what is there; 0: none
  unsigned short_writes = 0;            ///< one write_some() in so many takes a part of what there is room for; 0: none
  unsigned refusals = 0;                ///< one connect() in so many is refused; 0: none
  unsigned resets = 0;                  ///< one connection in so many breaks; 0: none
  std::uint64_t reset_after = 64 * 1024;  ///< bytes, both ways together, after which such a connection breaks
  /// How long connect() waits for a listener that does not answer, as TCP gives up by itself; nanoseconds::max(): as
  /// long as it takes.
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(127);
};

/// A connection of a memory_network. The calls, what they wait for and their errors are those of tcp_stream, and so are
/// the rules for several fibers or threads. No descriptor is behind it.
///
/// Unlike a connection of the system it tells a writer at once that its peer has read. A read or write costs O(bytes).
class HEDDLE_EXPORT memory_stream {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  memory_stream() noexcept;
  memory_stream(memory_stream&&) noexcept;
  memory_stream& operator=(memory_stream&&) noexcept;
  ~memory_stream();

  bool is_open() const noexcept;
  explicit operator bool() const noexcept { return is_open(); }
  /// For messages: the peer's address.
  std::string name() const;
  endpoint local_endpoint() const noexcept;
  endpoint peer_endpoint() const noexcept;

  /// As those of io::stream.
  std::size_t read_some(std::span<const iovec> to, const limits& l, std::error_code& ec) noexcept;
  std::size_t read_some(std::span<const iovec> to, const limits& l = {});
  std::size_t read_some(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept;
  std::size_t read_some(std::span<std::byte> to, std::error_code& ec) noexcept { return read_some(to, {}, ec); }
  std::size_t read_some(std::span<std::byte> to, const limits& l = {});
  std::size_t read(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept;
  std::size_t read(std::span<std::byte> to, const limits& l = {});

  std::size_t write_some(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write_some(std::span<const std::byte> from, const limits& l = {});
  std::size_t write(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write(std::span<const std::byte> from, std::error_code& ec) noexcept { return write(from, {}, ec); }
  std::size_t write(std::span<const std::byte> from, const limits& l = {});
  std::size_t write(std::string_view from, const limits& l = {}) {
    return write(std::as_bytes(std::span<const char>(from)), l);
  }
  std::size_t write(std::span<const iovec> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write(std::span<const iovec> from, const limits& l = {});

  void wait_readable(const limits& l, std::error_code& ec) noexcept;
  void wait_readable(const limits& l = {});
  void wait_writable(const limits& l, std::error_code& ec) noexcept;
  void wait_writable(const limits& l = {});

  void set_read_deadline(time_point t) noexcept;
  void set_write_deadline(time_point t) noexcept;
  void set_deadline(time_point t) noexcept {
    set_read_deadline(t);
    set_write_deadline(t);
  }

  /// As those of tcp_stream. Data that has not been read when a stream is closed resets the connection, as there.
  void shutdown_write(std::error_code& ec) noexcept;
  void shutdown_write();
  void shutdown_read(std::error_code& ec) noexcept;
  void reset_on_close(std::error_code& ec) noexcept;
  void close() noexcept;
  /// For code that is written for both kinds: nothing here waits for more bytes, or asks whether the peer is alive.
  void set_no_delay(bool on, std::error_code& ec) noexcept;
  void set_keep_alive(bool on, std::error_code& ec) noexcept;

 private:
  friend class memory_network;
  friend class memory_listener;
  explicit memory_stream(std::unique_ptr<detail::memory_end> end) noexcept;
  void check(const std::error_code& ec, const char* operation) const;

  std::unique_ptr<detail::memory_end> end_;
};

/// Where a memory_network accepts connections. The calls and their errors are those of tcp_listener.
class HEDDLE_EXPORT memory_listener {
 public:
  memory_listener() noexcept;
  memory_listener(memory_listener&&) noexcept;
  memory_listener& operator=(memory_listener&&) noexcept;
  ~memory_listener();

  memory_stream accept(const limits& l, std::error_code& ec);
  memory_stream accept(std::error_code& ec) { return accept({}, ec); }
  memory_stream accept(const limits& l = {});

  endpoint local_endpoint() const noexcept;
  std::string name() const { return local_endpoint().to_string(); }
  bool is_open() const noexcept;
  /// Ends the accept() of others; connections that nobody has accepted are reset.
  void close() noexcept;

 private:
  friend class memory_network;
  explicit memory_listener(std::shared_ptr<detail::memory_port> port) noexcept;

  std::shared_ptr<detail::memory_port> port_;
};

/// A network in memory: listeners and connections with the interface of TCP, and faults where one wants them. Tests of
/// servers and clients run on it without ports of the machine; under the explorer, and wherever the clock is a virtual
/// one, latencies cost no time.
///
/// \code
/// net::memory_network net({.latency = 5ms, .short_reads = 2});
/// net::memory_listener l = net.listen(endpoint::loopback_v4(80));
/// auto serving = heddle::spawn([&] {
///   net::serve(l, [](net::memory_stream& peer) { peer.write("hello"); }, stop);
/// });
/// net::memory_stream s = net.connect(endpoint::loopback_v4(80), 1s);
/// \endcode
///
/// With the same seed the same connections have the same faults, as far as connections are made, and bytes read and
/// written, in the same order. Made of heddle's mutexes and condition variables alone: from fibers and plain threads.
/// Listeners and streams may outlive it.
class HEDDLE_EXPORT memory_network {
 public:
  explicit memory_network(const memory_options& o = {});
  ~memory_network();
  memory_network(const memory_network&) = delete;
  memory_network& operator=(const memory_network&) = delete;

  /// Port 0: one that is free. `backlog`: so many connections wait for accept(), further ones wait to be made; at least
  /// 1. Throws io::error: "listen on 127.0.0.1:80: Address already in use".
  memory_listener listen(const endpoint& on, std::size_t backlog = 4096);
  memory_listener listen(const endpoint& on, std::size_t backlog, std::error_code& ec);
  /// Takes the time of a way forth and back. Throws io::error: "connect to 127.0.0.1:80: Connection refused".
  memory_stream connect(const endpoint& to, const limits& l, std::error_code& ec);
  memory_stream connect(const endpoint& to, const limits& l = {});

  /// From now on nothing goes to or from `where`, as clients call it when they connect, until heal(): connections stay,
  /// and what was sent comes later. O(connections), as the other two.
  void partition(const endpoint& where);
  void heal(const endpoint& where);
  /// Breaks the connections to `where`.
  void reset(const endpoint& where);

 private:
  std::shared_ptr<detail::memory_hub> hub_;
};

}  // namespace heddle::net
