// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <span>

#include "date_text.hpp"

namespace examples::http {

/// Bytes that have come and were not used yet, in a buffer of fixed size.
class input_window {
 public:
  static constexpr std::size_t capacity = 16 * 1024;

  std::span<const std::byte> unread() const noexcept { return {buffer_.data() + begin_, end_ - begin_}; }
  bool empty() const noexcept { return begin_ == end_; }
  void consume(std::size_t n) noexcept {
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void clear() noexcept { begin_ = end_ = 0; }
  /// Where to put more; empty: the buffer is full of what was not used.
  std::span<std::byte> room() noexcept;
  void add(std::size_t n) noexcept { end_ += n; }

 private:
  std::size_t begin_ = 0, end_ = 0;
  std::array<std::byte, capacity> buffer_;
};

/// All memory that a connection needs while a request is under way; one that rests has none. Taken from a pool of those
/// that were used last, so that the memory is in the cache.
struct work_area {
  static std::unique_ptr<work_area> take();
  static void give_back(std::unique_ptr<work_area> area) noexcept;
  /// Frees those in the pool. (It frees them at the end of the program, too.)
  static void free_rested() noexcept;

  input_window input;
  std::array<std::byte, 4 * 1024> output;  ///< the header of an answer, and a short body
  date_text date;

  /// For fields: a request with many takes more, from the heap. Released between requests.
  std::array<std::byte, 4 * 1024> fields;
  std::pmr::monotonic_buffer_resource memory{fields.data(), fields.size()};
};

}  // namespace examples::http
