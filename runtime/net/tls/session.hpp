// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <system_error>

#include "byte_queue.hpp"
#include "heddle/detail/platform.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/mutex.hpp"
#include "heddle/net/tls/context.hpp"
#include "heddle/net/tls/detail/transport.hpp"
#include "openssl.hpp"
#include "pieces.hpp"

namespace heddle::net::tls::detail {

/// OpenSSL's SSL between two queues of bytes, the stream beneath, and the turns of those that use them.
///
///     read:   lower --fill()--> in_ --SSL_read--> caller
///     write:  caller --SSL_write--> out_ --swap--> sending_ --flush()--> lower
///
/// 1. OpenSSL is called under ssl_lock_, by call() or inspect(), and then touches ssl_, in_ and out_ alone: it never
///    waits. Nobody waits for the stream beneath under ssl_lock_.
/// 2. The holder of read_turn_ fills in_: it writes behind the bytes of in_ without ssl_lock_, and then counts them
///    under that lock.
/// 3. sending_ belongs to the holder of write_turn_. It is older than out_, and is sent before.
/// 4. Until established_ is set the holder of handshake_turn_ has the rights of the other two turns, since others wait
///    for it first.
/// 5. A reader that makes OpenSSL say something (an alert, an answer to a request) sends it without a wait, if nobody
///    writes; the one that writes sends it otherwise. So a reader never waits for a peer that does not read.
class session {
 public:
  session(std::unique_ptr<transport> lower, const context& c, std::string_view host);
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  ~session();

  void handshake(const io::limits& l, std::error_code& ec) noexcept;
  std::size_t read_some(std::span<const iovec> to, const io::limits& l, std::error_code& ec) noexcept;
  /// At most `records` records; returns when the stream beneath has them.
  std::size_t write(std::span<const iovec> from, std::size_t records, const io::limits& l,
                    std::error_code& ec) noexcept;
  void wait_readable(const io::limits& l, std::error_code& ec) noexcept;
  void wait_writable(const io::limits& l, std::error_code& ec) noexcept;
  void shutdown_write(const io::limits& l, std::error_code& ec) noexcept;
  void close() noexcept;
  void abort() noexcept { lower_->close(); }

  transport& lower() const noexcept { return *lower_; }
  const context& settings() const noexcept { return context_; }
  SSL* native() const noexcept { return ssl_.get(); }
  bool is_established() const noexcept {
    // acquire: so that what the handshake wrote is seen; the release half is in handshake().
    return established_.load(std::memory_order_acquire);
  }
  /// f(SSL*), while nobody else calls OpenSSL for this stream; f must not wait.
  template <class F>
  auto inspect(F f) const {
    const std::lock_guard hold(ssl_lock_);
    return f(ssl_.get());
  }

  static constexpr std::size_t record = 16'384;  ///< the most that one holds

 private:
  static constexpr std::chrono::steady_clock::time_point at_once{};  ///< a limit that leaves no time to wait
  enum class progress {
    done,         ///< what was asked for, or a part of it
    wants_input,  ///< nothing: the peer must say something first
    ended,        ///< nothing: the peer has said that this is the end
    failed        ///< for good: failure_ says why
  };
  struct outcome {
    progress how;
    std::size_t bytes;  ///< done
    bool has_output;    ///< out_ is not empty
    std::error_code error;
  };

  template <class F>
  outcome call(F f) noexcept;
  progress progress_of(int result) noexcept;
  void shake_hands(const io::limits& l, std::error_code& ec) noexcept;
  void fill(const io::limits& l, std::error_code& ec) noexcept;
  void give_back_room() noexcept;
  template <class F>
  outcome await(F f, const io::limits& l, std::error_code& ec) noexcept;
  void flush(const io::limits& l, std::error_code& ec) noexcept;
  void flush_without_waiting() noexcept;
  bool has_output() const noexcept;
  void end_write_turn() noexcept;
  void encrypt(pieces& from, std::size_t records, std::size_t& taken, std::error_code& ec) noexcept;
  void say_end(std::error_code& ec) noexcept;

  static const BIO_METHOD* bio_method();
  static int bio_read(BIO* bio, char* to, std::size_t size, std::size_t* done);
  static int bio_write(BIO* bio, const char* from, std::size_t size, std::size_t* done);
  static long bio_control(BIO* bio, int command, long, void*);

  const std::unique_ptr<transport> lower_;
  const context context_;
  std::error_code nameless_;  ///< what the handshake fails with, since it has no name to verify

  timed_mutex handshake_turn_, read_turn_, write_turn_;
  byte_queue sending_;
  heddle::detail::atomic<bool> established_{false};

  mutable mutex ssl_lock_;  // guards what follows
  byte_queue in_, out_;
  std::error_code failure_;
  bool end_said_ = false;  ///< SSL_shutdown() was called
  ssl_pointer ssl_;
};

/// Calls OpenSSL: f(SSL*, bytes) returns what OpenSSL has, and adds to the bytes those that it has done. Bytes
/// that were done before an error count; the next call has the error.
template <class F>
session::outcome session::call(F f) noexcept {
  const std::lock_guard hold(ssl_lock_);
  std::size_t bytes = 0;
  if (failure_) return {progress::failed, 0, !out_.empty(), failure_};
  ERR_clear_error();
  progress how = progress_of(f(ssl_.get(), bytes));
  if (bytes != 0) how = progress::done;
  return {how, bytes, !out_.empty(), how == progress::failed ? failure_ : std::error_code()};
}

}  // namespace heddle::net::tls::detail
