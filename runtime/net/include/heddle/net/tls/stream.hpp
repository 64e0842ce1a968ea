// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "heddle/detail/config.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/net/tls/certificate.hpp"
#include "heddle/net/tls/context.hpp"
#include "heddle/net/tls/detail/transport.hpp"

struct ssl_st;          // OpenSSL's SSL
struct ssl_session_st;  // OpenSSL's SSL_SESSION

namespace heddle::net::tls {

using io::limits;

namespace detail {
class session;
}

/// With it a client resumes a session with the same server, which saves the server its signature.
using saved_session = std::shared_ptr<ssl_session_st>;

/// A connection over which everything is encrypted, and whose peer has proved who it is: TLS over any of heddle's
/// streams. The calls, what they wait for and their rules for several fibers are those of io::stream: a fiber may read
/// while another writes, and the bytes of each write() stay together.
///
/// \code
/// tls::stream s(net::dial("example.org", 443), tls::context::default_client(), "example.org");  // or tls::dial()
/// s.write("GET / HTTP/1.0\r\n\r\n", 10s);
/// \endcode
///
/// The first read or write does the handshake, within its limits, unless handshake() has. A limit ends a wait and
/// breaks nothing: the call can be made again. Of a write that was ended so, what it says to have written includes a
/// record of which a part may have to be sent still: the next write(), flush() or shutdown_write() does that first.
///
/// Errors: those of the stream beneath; of OpenSSL, in category(); of certificates, in certificate_category();
/// tls::errc::truncated for an end that is not the peer's. After an error of OpenSSL or of certificates every call
/// returns it.
class HEDDLE_EXPORT stream {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  stream() noexcept;
  stream(stream&&) noexcept;
  stream& operator=(stream&&) noexcept;
  ~stream();

  /// Takes a connection, and is the side that the context is for. Nothing is sent yet.
  /// \param host  of a client: the name or address that the server's certificate must have; names are also told the
  ///              server before anything is encrypted (SNI)
  /// Throws std::bad_alloc, and io::error if `host` cannot be a name.
  template <detail::connection S>
  stream(S lower, const context& c, std::string_view host = {})
      : stream(std::make_unique<detail::transport_over<S>>(std::move(lower)), c, host) {}

  /// Waits until both sides have agreed on keys, and the peer has proved itself. The throwing form: "TLS handshake with
  /// 192.0.2.1:443: certificate verify failed: hostname mismatch". To be called again after a limit.
  void handshake(const limits& l, std::error_code& ec) noexcept;
  void handshake(const limits& l = {});

  std::size_t read_some(std::span<const iovec> to, const limits& l, std::error_code& ec) noexcept;
  std::size_t read_some(std::span<const iovec> to, const limits& l = {});
  std::size_t read_some(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept;
  std::size_t read_some(std::span<std::byte> to, std::error_code& ec) noexcept { return read_some(to, {}, ec); }
  std::size_t read_some(std::span<std::byte> to, const limits& l = {});
  std::size_t read(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept;
  std::size_t read(std::span<std::byte> to, const limits& l = {});

  /// At most a record, 16 KiB.
  std::size_t write_some(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write_some(std::span<const std::byte> from, const limits& l = {});
  std::size_t write(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write(std::span<const std::byte> from, std::error_code& ec) noexcept { return write(from, {}, ec); }
  std::size_t write(std::span<const std::byte> from, const limits& l = {});
  std::size_t write(std::string_view from, const limits& l = {}) {
    return write(std::as_bytes(std::span<const char>(from)), l);
  }
  /// Small parts go into one record.
  std::size_t write(std::span<const iovec> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write(std::span<const iovec> from, const limits& l = {});
  /// Waits until the stream beneath has all that earlier writes have encrypted, which only those leave behind that a
  /// limit has ended.
  void flush(const limits& l, std::error_code& ec) noexcept;
  void flush(const limits& l = {});

  /// Data of the peer, its end or an error are there: a part of a record, or a message of the protocol, is not enough.
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

  /// Half-close: tells the peer that this is the end (close_notify); this side goes on reading. A later write is
  /// std::errc::broken_pipe.
  void shutdown_write(const limits& l, std::error_code& ec) noexcept;
  void shutdown_write(const limits& l = {});
  /// Wakes all that wait, with io::errc::closed, and closes the connection. Tells the peer that this is the end if that
  /// can be done without waiting, and if nobody is in the middle of a write: else the peer sees errc::truncated. Any
  /// number of times, from anywhere. The destructor does it, too.
  void close() noexcept;
  /// The same without a word to the peer, which so learns that it has not got everything.
  void abort() noexcept;

  bool is_open() const noexcept;
  explicit operator bool() const noexcept { return is_open(); }
  /// Of the stream beneath: its descriptor, or -1; for messages, its name.
  int native_handle() const noexcept;
  std::string name() const;

  // After the handshake, until when these are empty:

  /// "TLSv1.3"
  std::string protocol() const;
  /// "TLS_AES_256_GCM_SHA384"
  std::string cipher() const;
  /// Which protocol of the lists both sides have agreed on; empty: none.
  std::string alpn() const;
  /// Of a server: the name that the client has asked for; empty: none.
  std::string server_name() const;
  /// Whether an earlier session was resumed.
  bool resumed() const noexcept;
  /// Nothing if the peer has shown none. It was verified if the context verifies.
  std::optional<certificate> peer_certificate() const;
  /// Of a client: what resume() takes, of this stream's session as it is now. With version 1.3 a server tells it after
  /// the handshake, so only those see it who have read something.
  saved_session session() const;
  /// Of a client, before the handshake: tries to resume that session.
  void resume(const saved_session& s) noexcept;
  /// OpenSSL's own, for what is missing here; while nobody else uses the stream.
  ssl_st* native_ssl() const noexcept;

 private:
  stream(std::unique_ptr<detail::transport> lower, const context& c, std::string_view host);
  void check(const std::error_code& ec, const char* operation) const;

  std::unique_ptr<detail::session> session_;
};

}  // namespace heddle::net::tls
