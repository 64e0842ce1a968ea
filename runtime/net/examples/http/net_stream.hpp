// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <heddle/fiber.hpp>
#include <heddle/net/tcp.hpp>

#include "stream.hpp"

namespace examples::http {

/// The stack of a fiber that serves a net_stream, which only waits.
inline constexpr heddle::fiber_options resting{.stack_size = heddle::detail::compiled_segmented ? 0 : 32 * 1024};

/// f(argument) on a fiber of its own, whose stack was used before.
inline void run_beside(void (*f)(void*), void* argument) {
  if constexpr (heddle::detail::compiled_segmented) {
    f(argument);
  } else {
    heddle::spawn(f, argument).join();  // its stack is of another size: it would get ours otherwise
  }
}

/// A connection of heddle::net as the server's stream, for fibers. A request is worked on by a fiber of its own, on a
/// stack that was used before: of the fiber that waits one page is ever touched. (On stacks that grow, what a request
/// takes goes back by itself.)
///
///     const auto talk = [&](net::tcp_stream& s, const std::stop_token& stop) {
///       http::net_stream stream(s);
///       http::serve(stream, handle, options, stop, s.peer_endpoint().to_string());
///     };
///     net::serve(listener, talk, stop, {.fiber = http::resting});
class net_stream {
 public:
  explicit net_stream(heddle::net::tcp_stream& connection) : connection_(connection) {}

  std::size_t read_some(std::span<std::byte> into) { return connection_.read_some(into); }
  void wait_readable() { connection_.wait_readable(); }
  void run(void (*f)(void*), void* argument) { run_beside(f, argument); }
  void write(std::span<const std::byte> bytes) { connection_.write(bytes); }
  void write(std::span<const iovec> pieces) { connection_.write(pieces); }
  void send_file(int file, off_t offset, std::size_t size) { connection_.send_file(file, offset, size); }
  void set_read_deadline(time_point when) { connection_.set_read_deadline(when); }
  void set_write_deadline(time_point when) { connection_.set_write_deadline(when); }
  void shutdown_write() { connection_.shutdown_write(); }

 private:
  heddle::net::tcp_stream& connection_;
};

}  // namespace examples::http
