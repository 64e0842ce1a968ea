// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace examples::http {

/// The bounds of a client's requests. One that wants more, or is slower, gets an answer that says so (408, 413, 431)
/// and loses its connection.
struct limits {
  /// Of the request line and the fields together, in bytes; at most what a work_area holds (16 KiB).
  std::size_t header_size = 16 * 1024;
  std::size_t fields = 100;
  std::uint64_t body_size = 8 << 20;

  /// From the first byte of a request to the end of its header.
  std::chrono::milliseconds header_time{10'000};
  /// For a body, or an answer, beside the time that it takes at `least_rate`.
  std::chrono::milliseconds transfer_time{20'000};
  std::uint64_t least_rate = 4'096;  ///< bytes a second
  /// From an answer to the next request.
  std::chrono::milliseconds idle_time{60'000};

  /// So much of a body that nobody wanted is read, so that the connection can live on.
  std::size_t discarded = 64 * 1024;
};

}  // namespace examples::http
