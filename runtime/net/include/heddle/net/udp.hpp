// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>

#include "heddle/detail/config.hpp"
#include "heddle/detail/polled.hpp"
#include "heddle/io/error.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/net/endpoint.hpp"

namespace heddle::net {

using io::limits;

struct udp_options {
  bool reuse_address = false;  ///< several sockets on one address, which all get what comes for a group
  bool reuse_port = false;     ///< several sockets on one address share what comes
  bool v6_only = false;        ///< of version 6: nothing of version 4
  bool broadcast = false;      ///< may send to broadcast addresses
  int receive_buffer = 0;      ///< bytes that the system keeps until they are received; 0: as the system likes
  int send_buffer = 0;         ///< the same for those that are to be sent
};

/// A datagram that has come.
struct udp_received {
  std::size_t size = 0;       ///< bytes that are in the buffer
  std::size_t full_size = 0;  ///< bytes that it had
  endpoint from;
  /// It was longer than the buffer, and the rest is lost.
  bool truncated() const noexcept { return full_size > size; }
};

struct udp_incoming {
  std::span<std::byte> room;  ///< where it goes to
  udp_received got;
};

struct udp_outgoing {
  std::span<const std::byte> bytes;
  endpoint to;  ///< the default, 0.0.0.0:0: the address that the socket is connected to
};

/// A socket for datagrams of UDP. Each operation blocks the fiber only, or the plain thread that calls it; any number
/// of them may use the socket at the same time.
///
///     auto s = net::udp_socket::bind(net::endpoint::any_v6(5353));
///     std::array<std::byte, 1500> buffer;
///     const auto d = s.receive_from(buffer, 5s);
///     s.send_to(d.from, std::span(buffer).first(d.size));
///
/// Errors are those of the limits, of the system, and io::errc::closed. A datagram that nobody takes is lost without
/// an error, but a connected socket hears from the peer's system (ICMP) that nobody listens there: the next operation
/// ends with std::errc::connection_refused. The throwing forms throw io::error.
class HEDDLE_EXPORT udp_socket {
 public:
  /// Datagrams that one system call receives or sends.
  static constexpr std::size_t most_at_once = 32;

  udp_socket() noexcept = default;

  /// Port 0: one that is free, see local_endpoint().
  static udp_socket bind(const endpoint& on, const udp_options& o, std::error_code& ec);
  static udp_socket bind(const endpoint& on, const udp_options& o = {});
  /// From now on only what comes from `to` is received, and send() sends there. Nothing is sent by it, and it may be
  /// called again.
  void connect(const endpoint& to, std::error_code& ec) noexcept;
  void connect(const endpoint& to);

  /// Sends one datagram, as a whole or not at all (std::errc::message_size if it is too long); waits for room in the
  /// send buffer.
  void send(std::span<const std::byte> bytes, const limits& l, std::error_code& ec) noexcept;
  void send(std::span<const std::byte> bytes, const limits& l = {});
  void send_to(const endpoint& to, std::span<const std::byte> bytes, const limits& l, std::error_code& ec) noexcept;
  void send_to(const endpoint& to, std::span<const std::byte> bytes, const limits& l = {});
  /// Waits for a datagram. One without bytes is none the less one.
  udp_received receive_from(std::span<std::byte> room, const limits& l, std::error_code& ec) noexcept;
  udp_received receive_from(std::span<std::byte> room, const limits& l = {});

  /// Sends all, in order, by one system call for each 32. Returns how many; fewer with an error, which is that of the
  /// first that was not sent.
  std::size_t send_batch(std::span<const udp_outgoing> all, const limits& l, std::error_code& ec) noexcept;
  std::size_t send_batch(std::span<const udp_outgoing> all, const limits& l = {});
  /// Waits for a datagram, and receives further ones that are there already, 32 at most. Returns how many: the first
  /// so many entries have been filled. 0 only if `all` is empty, or with an error.
  std::size_t receive_batch(std::span<udp_incoming> all, const limits& l, std::error_code& ec) noexcept;
  std::size_t receive_batch(std::span<udp_incoming> all, const limits& l = {});

  /// Sends the bytes as datagrams of `size` bytes each; the last may be shorter. The system, or the network card, cuts
  /// them (UDP_SEGMENT: generic segmentation offload), which costs a fraction of sending each; where that cannot be had
  /// they are sent by send_batch(). Returns how many bytes were sent. `size`: from 1 on (std::errc::invalid_argument),
  /// and with its headers no larger than the link carries, or datagrams are cut into fragments.
  std::size_t send_segments(const endpoint& to, std::span<const std::byte> bytes, std::size_t size, const limits& l,
                            std::error_code& ec) noexcept;
  std::size_t send_segments(const endpoint& to, std::span<const std::byte> bytes, std::size_t size,
                            const limits& l = {});

  /// Receives what is sent to a group from now on (no longer): an address for multicast, whose port does not matter. By
  /// the interface of that index; 0: one that the system chooses.
  void join(const endpoint& group, unsigned interface, std::error_code& ec) noexcept;
  void join(const endpoint& group, unsigned interface = 0);
  void leave(const endpoint& group, unsigned interface, std::error_code& ec) noexcept;
  /// Datagrams to groups go out by that interface.
  void send_groups_by(unsigned interface, std::error_code& ec) noexcept;
  /// Whether what is sent to groups comes to those that have joined on this machine, too; it does at first.
  void loop_groups(bool on, std::error_code& ec) noexcept;
  /// How many routers what is sent to groups may pass, and one: 1 at first.
  void hops_of_groups(int n, std::error_code& ec) noexcept;

  endpoint local_endpoint() const noexcept;
  bool is_open() const noexcept { return descriptor_.is_open(); }
  explicit operator bool() const noexcept { return is_open(); }
  int native_handle() const noexcept { return descriptor_.descriptor(); }
  /// Wakes all that wait, with io::errc::closed, and closes the socket. From anywhere, any number of times.
  void close() noexcept { descriptor_.close(); }

 private:
  void check(const std::error_code& ec, const std::string& operation) const;
  std::size_t send_offloaded(const endpoint& to, std::span<const std::byte> bytes, std::size_t size, const limits& l,
                             std::error_code& ec) noexcept;
  std::size_t send_cut(const endpoint& to, std::span<const std::byte> bytes, std::size_t size, const limits& l,
                       std::error_code& ec) noexcept;

  heddle::detail::polled descriptor_;
  int family_ = AF_UNSPEC;
};

}  // namespace heddle::net
