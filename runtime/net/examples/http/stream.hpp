// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <span>

namespace examples::http {

using time_point = std::chrono::steady_clock::time_point;

/// A connection as the server needs it. Whoever calls waits, be it a fiber or a thread. Errors are thrown as
/// std::system_error; a deadline that has passed as std::errc::timed_out. `write` and `send_file` send all.
template <class S>
concept stream = requires(S& s, std::span<std::byte> into, std::span<const std::byte> bytes,
                          std::span<const iovec> pieces, time_point when, int file, off_t offset, std::size_t size) {
  { s.read_some(into) } -> std::convertible_to<std::size_t>;  // 0: the peer sends no more
  s.write(bytes);
  s.write(pieces);
  s.send_file(file, offset, size);
  s.set_read_deadline(when);  // of the call that waits now, too; may be called from another thread
  s.set_write_deadline(when);
  s.shutdown_write();
};

/// One that can wait without a buffer.
template <class S>
concept waiting_stream = stream<S> && requires(S& s) {
  s.wait_readable();
};

/// One that can run something while no memory is held where it waits: see stream_transport::run.
template <class S>
concept working_stream = stream<S> && requires(S& s, void (*f)(void*), void* argument) {
  s.run(f, argument);
};

/// A stream behind virtual functions: the server is compiled once, for all kinds of streams.
class transport {
 public:
  transport() = default;
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;
  virtual ~transport() = default;

  virtual void wait_readable() = 0;  ///< may return at once
  /// f(argument), which takes stack, and waits for its end. A fiber that rests afterwards keeps the pages of its stack
  /// that it has ever used; one that had its work done on another stack has a small one.
  virtual void run(void (*f)(void*), void* argument) = 0;
  virtual std::size_t read_some(std::span<std::byte> into) = 0;
  virtual void write(std::span<const std::byte> bytes) = 0;
  virtual void write(std::span<const iovec> pieces) = 0;
  virtual void send_file(int file, off_t offset, std::size_t size) = 0;
  virtual void set_read_deadline(time_point when) = 0;
  virtual void set_write_deadline(time_point when) = 0;
  virtual void shutdown_write() = 0;
};

template <stream S>
class stream_transport final : public transport {
 public:
  explicit stream_transport(S& s) : stream_(s) {}

  void wait_readable() override {
    if constexpr (waiting_stream<S>) stream_.wait_readable();
  }
  [[gnu::noinline]] void run(void (*f)(void*), void* argument) override {
    if constexpr (working_stream<S>) {
      stream_.run(f, argument);
    } else {
      f(argument);
    }
  }
  std::size_t read_some(std::span<std::byte> into) override { return stream_.read_some(into); }
  void write(std::span<const std::byte> bytes) override { stream_.write(bytes); }
  void write(std::span<const iovec> pieces) override { stream_.write(pieces); }
  void send_file(int file, off_t offset, std::size_t size) override { stream_.send_file(file, offset, size); }
  void set_read_deadline(time_point when) override { stream_.set_read_deadline(when); }
  void set_write_deadline(time_point when) override { stream_.set_write_deadline(when); }
  void shutdown_write() override { stream_.shutdown_write(); }

 private:
  S& stream_;
};

}  // namespace examples::http
