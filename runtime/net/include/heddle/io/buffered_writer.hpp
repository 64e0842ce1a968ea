// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "heddle/io/byte_streams.hpp"

namespace heddle::io {

/// Gathers small writes to a stream, so that they cost one system call together.
///
///     io::buffered_writer out(connection);
///     out.write("HTTP/1.1 200 OK\r\n");
///     out.write(headers);
///     out.flush(30s);
///
/// Nothing is sure to have reached the stream before flush() has returned. The destructor flushes too, without limits
/// but those of the stream (set_write_deadline()), unless the last call has failed; an error there is lost, so call
/// flush() where it matters. It holds a buffer only while there are bytes in it. It refers to the stream and is used by
/// one fiber or thread at a time.
///
/// The forms with an error code throw std::bad_alloc only; the others throw io::error. After an error the bytes that
/// the stream has not taken are still there, up to the size of the buffer: flush() tries them again, discard() drops
/// them.
///
/// Source: Go's bufio.
template <byte_sink S>
class buffered_writer {
 public:
  static constexpr std::size_t usual_size = 4096;

  explicit buffered_writer(S& stream, std::size_t size = usual_size) noexcept
      : stream_(&stream), size_(std::max<std::size_t>(size, 1)) {}
  buffered_writer(const buffered_writer&) = delete;
  buffered_writer& operator=(const buffered_writer&) = delete;
  ~buffered_writer() {
    std::error_code ignored;
    if (!failed_) flush({}, ignored);
  }

  /// Bytes that wait for flush().
  std::size_t buffered() const noexcept { return held_; }

  /// Takes all, or some and an error; returns how many. The limits are for what it writes to the stream, if that is
  /// necessary: more than the buffer holds goes there at once.
  std::size_t write(std::span<const std::byte> from, const limits& l, std::error_code& ec) {
    ec.clear();
    std::size_t taken = 0;
    if (held_ + from.size() > size_) {
      // First fills the buffer, so that the stream gets large pieces.
      if (held_ != 0) taken = put(from);
      if (held_ != 0 && !flush(l, ec)) return taken;
      if (from.size() - taken >= size_) {
        taken += stream_->write(from.subspan(taken), l, ec);
        failed_ = static_cast<bool>(ec);
        return taken;
      }
    }
    return taken + put(from.subspan(taken));
  }
  std::size_t write(std::span<const std::byte> from, const limits& l = {}) {
    std::error_code ec;
    const std::size_t n = write(from, l, ec);
    detail::check(*stream_, ec, "write to");
    return n;
  }
  std::size_t write(std::string_view from, const limits& l = {}) {
    return write(std::as_bytes(std::span<const char>(from)), l);
  }

  /// Writes to the stream all that has been gathered. False: an error.
  bool flush(const limits& l, std::error_code& ec) noexcept {
    ec.clear();
    if (held_ == 0) return true;
    const std::size_t n = stream_->write(std::span<const std::byte>(memory_.get(), held_), l, ec);
    failed_ = static_cast<bool>(ec);
    held_ -= n;
    if (held_ != 0)
      std::memmove(memory_.get(), memory_.get() + n, held_);
    else
      memory_.reset();
    return !failed_;
  }
  void flush(const limits& l = {}) {
    std::error_code ec;
    flush(l, ec);
    detail::check(*stream_, ec, "write to");
  }

  /// Drops what has been gathered.
  void discard() noexcept {
    held_ = 0;
    memory_.reset();
  }

 private:
  /// Copies what there is room for.
  std::size_t put(std::span<const std::byte> from) {
    const std::size_t n = std::min(from.size(), size_ - held_);
    if (n == 0) return 0;
    if (memory_ == nullptr) memory_ = std::make_unique_for_overwrite<std::byte[]>(size_);
    std::memcpy(memory_.get() + held_, from.data(), n);
    held_ += n;
    return n;
  }

  S* stream_;
  std::size_t size_;
  std::unique_ptr<std::byte[]> memory_;
  std::size_t held_ = 0;
  bool failed_ = false;  ///< what was tried last
};

}  // namespace heddle::io
