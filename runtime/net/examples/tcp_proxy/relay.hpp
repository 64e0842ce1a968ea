// SPDX-License-Identifier: BSL-1.0
//
// Two connections whose bytes go over to each other: what a proxy does once it has both.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <system_error>

#include "heddle/group.hpp"
#include "heddle/net/tcp.hpp"

namespace examples {

/// A pipe of the kernel, through which splice(2) moves bytes from socket to socket: they never come to the program.
class splice_pipe {
 public:
  /// Without a descriptor for it there is none, and the relay copies.
  splice_pipe() noexcept {
    if (::pipe2(ends_.data(), O_NONBLOCK | O_CLOEXEC) != 0) ends_ = {-1, -1};
  }
  splice_pipe(const splice_pipe&) = delete;
  splice_pipe& operator=(const splice_pipe&) = delete;
  ~splice_pipe() {
    for (const int end : ends_)
      if (end >= 0) ::close(end);
  }
  explicit operator bool() const noexcept { return ends_[0] >= 0; }
  int exit() const noexcept { return ends_[0]; }
  int entry() const noexcept { return ends_[1]; }

 private:
  std::array<int, 2> ends_{-1, -1};
};

/// Carries the bytes of two connections over to each other, both ways at once.
///
///     examples::relay(client, server, 5min, true).run(stop);
///
/// 1. The end of one way is passed on as a half-close; the other way goes on.
/// 2. run() returns when both ways have ended. An error of one way ends both, at once, and comes out of run(). A reset
/// is
///    an error for both, whichever way the system has told.
/// 3. The relay is idle when neither way has moved a byte for `idle`: that is the error std::errc::timed_out.
/// 4. Nobody else closes the connections meanwhile: splice(2) uses their descriptors. A stop ends run() instead, with
///    std::errc::operation_canceled.
///
/// splice(2) raises SIGPIPE where send(2) can be told not to: a program that splices must ignore that signal.
class relay {
 public:
  using stream = heddle::net::tcp_stream;
  using clock = std::chrono::steady_clock;

  relay(stream& a, stream& b, std::chrono::nanoseconds idle, bool by_splice) noexcept
      : a_(a), b_(b), idle_(std::min<std::chrono::nanoseconds>(idle, longest_idle)), by_splice_(by_splice) {}

  /// Throws io::error. Takes a fiber for each way.
  void run(const std::stop_token& stop) {
    moved();
    std::atomic<bool> to_a{true}, to_b{true};
    heddle::group ways({.stop = stop});
    ways.spawn([&](const std::stop_token& end) { carry({a_, to_a}, {b_, to_b}, end); });
    ways.spawn([&](const std::stop_token& end) { carry({b_, to_b}, {a_, to_a}, end); });
    ways.wait();
  }

 private:
  static constexpr std::chrono::hours longest_idle{24 * 365};
  static constexpr std::size_t piece = 64 * 1024;  // what a pipe holds

  /// A connection, and whether it is still written to: by the other way than the one that reads it.
  struct side {
    stream& connection;
    std::atomic<bool>& written;
  };

  void carry(const side& from, const side& to, const std::stop_token& stop) {
    const auto pipe = by_splice_ ? std::make_unique<splice_pipe>() : nullptr;
    if (pipe != nullptr && *pipe)
      splice_all(from.connection, to.connection, *pipe, stop);
    else
      copy_all(from.connection, to.connection, stop);
    check_end(from);
    // release: so that check_end() of the other way, which sees the half-close, sees this too.
    to.written.store(false, std::memory_order_release);
    std::error_code gone;  // a peer that has gone meanwhile needs no end
    to.connection.shutdown_write(gone);
  }

  /// The system tells of a reset once. If it told the other way, which writes to this connection, then reading finds
  /// what looks like an end. But a peer's half-close leaves the connection open for writing, unless we have closed
  /// that half ourselves.
  static void check_end(const side& s) {
    pollfd now{s.connection.native_handle(), 0, 0};
    const bool both_closed = ::poll(&now, 1, 0) > 0 && (now.revents & (POLLHUP | POLLERR)) != 0;
    // acquire: comes after the look at the connection; the release half is in carry().
    if (both_closed && s.written.load(std::memory_order_acquire))
      throw heddle::io::error(std::make_error_code(std::errc::connection_reset), "relay " + s.connection.name());
  }

  // --- by splice(2) ---

  void splice_all(stream& from, stream& to, const splice_pipe& pipe, const std::stop_token& stop) {
    const auto readable = [&](const auto& l, std::error_code& ec) { from.wait_readable(l, ec); };
    const auto writable = [&](const auto& l, std::error_code& ec) { to.wait_writable(l, ec); };
    // The pipe is empty before each read of the socket. So EAGAIN speaks of the socket alone.
    while (std::size_t left = splice_some(from.native_handle(), pipe.entry(), piece, from, stop, readable))
      while (left != 0) left -= splice_some(pipe.exit(), to.native_handle(), left, to, stop, writable);
  }

  /// Moves what can be moved, at most n bytes; `wait` waits for the socket.
  template <class Wait>
  std::size_t splice_some(int in, int out, std::size_t n, const stream& socket, const std::stop_token& stop,
                          Wait wait) {
    for (;;) {
      const ssize_t done = splice_once(in, out, n);
      if (done >= 0) {
        moved();
        return static_cast<std::size_t>(done);
      }
      if (done == -EAGAIN)
        unless_idle(socket, stop, wait);
      else if (done != -EINTR)
        throw heddle::io::error({static_cast<int>(-done), std::system_category()}, "splice " + socket.name());
    }
  }

  /// With the number of the error instead of errno. Apart, and never inlined: a wait may move the fiber to another
  /// thread, and compilers keep the address of errno over a loop.
  [[gnu::noinline]] static ssize_t splice_once(int in, int out, std::size_t n) noexcept {
    const ssize_t done = ::splice(in, nullptr, out, nullptr, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    return done >= 0 ? done : -errno;
  }

  // --- by copying ---

  void copy_all(stream& from, stream& to, const std::stop_token& stop) {
    const auto memory = std::make_unique<std::array<std::byte, piece>>();
    for (;;) {
      std::size_t n = 0;
      unless_idle(from, stop, [&](const auto& l, std::error_code& ec) { n = from.read_some(*memory, l, ec); });
      if (n == 0) return;
      moved();
      for (std::span<const std::byte> left = std::span(*memory).first(n); !left.empty(); left = left.subspan(n)) {
        unless_idle(to, stop, [&](const auto& l, std::error_code& ec) { n = to.write_some(left, l, ec); });
        moved();
      }
    }
  }

  // --- idleness ---

  // relaxed, both: a time of a moment ago is as good.
  void moved() noexcept { last_.store(clock::now().time_since_epoch().count(), std::memory_order_relaxed); }
  clock::time_point idle_from() const noexcept {
    return clock::time_point(clock::duration(last_.load(std::memory_order_relaxed))) + idle_;
  }

  /// Calls operation(limits, ec) until it ends otherwise than by a time that the other way has moved on since.
  template <class Operation>
  void unless_idle(const stream& s, const std::stop_token& stop, Operation operation) {
    for (;;) {
      std::error_code ec;
      operation(heddle::net::limits(idle_from(), stop), ec);
      if (!ec) return;
      if (ec != std::errc::timed_out || idle_from() <= clock::now()) throw heddle::io::error(ec, "relay " + s.name());
    }
  }

  stream& a_;
  stream& b_;
  const std::chrono::nanoseconds idle_;
  const bool by_splice_;
  std::atomic<clock::rep> last_{0};
};

}  // namespace examples
