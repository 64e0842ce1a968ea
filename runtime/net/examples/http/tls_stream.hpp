// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <heddle/net/tls/stream.hpp>
#include <memory>

#include "net_stream.hpp"
#include "stream.hpp"

namespace examples::http {

/// A connection of heddle::net::tls as the server's stream: https. A file comes into the process, to be encrypted.
///
///     const auto talk = [&](net::tls::stream& s, const std::stop_token& stop) {
///       http::tls_stream stream(s);
///       http::serve(stream, handle, options, stop, s.name());
///     };
///     net::tls::serve(listener, context, talk, stop, {.connections = {.fiber = http::resting}});
class tls_stream {
 public:
  explicit tls_stream(heddle::net::tls::stream& connection) : connection_(connection) {}

  std::size_t read_some(std::span<std::byte> into) { return connection_.read_some(into); }
  void wait_readable() { connection_.wait_readable(); }
  void run(void (*f)(void*), void* argument) { run_beside(f, argument); }
  void write(std::span<const std::byte> bytes) { connection_.write(bytes); }
  void write(std::span<const iovec> pieces) { connection_.write(pieces); }
  void send_file(int file, off_t offset, std::size_t size) {
    constexpr std::size_t most = 65'536;
    const auto part = std::make_unique_for_overwrite<std::byte[]>(std::min(size, most));
    while (size > 0) {
      const ssize_t read = ::pread(file, part.get(), std::min(size, most), offset);
      if (read < 0 && errno == EINTR) continue;
      if (read < 0) throw std::system_error(errno, std::generic_category(), "pread");
      if (read == 0) throw std::system_error(EIO, std::generic_category(), "a file has become shorter");
      connection_.write(std::span(part.get(), static_cast<std::size_t>(read)));
      size -= static_cast<std::size_t>(read);
      offset += read;
    }
  }
  void set_read_deadline(time_point when) { connection_.set_read_deadline(when); }
  void set_write_deadline(time_point when) { connection_.set_write_deadline(when); }
  void shutdown_write() { connection_.shutdown_write(); }

 private:
  heddle::net::tls::stream& connection_;
};

}  // namespace examples::http
