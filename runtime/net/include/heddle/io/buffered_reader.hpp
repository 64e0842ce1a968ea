// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "heddle/io/byte_streams.hpp"

namespace heddle::io {

/// Reads ahead from a stream, so that small reads cost no system call each, and finds the ends of lines and records.
///
///     io::buffered_reader in(connection);
///     while (const auto line = in.read_line(1024, 30s)) answer(*line);
///
/// It holds a buffer only while there are bytes in it: one that waits for the next request has none, if the stream has
/// wait_readable(). It refers to the stream and is used by one fiber or thread at a time. What it has read ahead is
/// lost to others that read from the stream.
///
/// Views that it returns are valid until the next call. The forms with an error code throw std::bad_alloc only; the
/// others throw io::error. Errors: those of the stream; io::errc::end_of_stream and message_too_long as said below.
/// After message_too_long and the limits' errors all bytes are still there. O(bytes), amortized.
///
/// Source: Go's bufio.
template <byte_source S>
class buffered_reader {
 public:
  static constexpr std::size_t usual_size = 4096;
  static constexpr std::size_t longest_line = 65'536;

  /// `size`: bytes to read ahead. More are kept only if a call asks for more at once.
  explicit buffered_reader(S& stream, std::size_t size = usual_size) noexcept
      : stream_(&stream), size_(std::max<std::size_t>(size, 1)) {}
  buffered_reader(const buffered_reader&) = delete;
  buffered_reader& operator=(const buffered_reader&) = delete;

  /// The bytes that have been read ahead, and not been asked for yet.
  std::span<const std::byte> buffered() const noexcept { return {memory_.get() + begin_, end_ - begin_}; }

  /// As that of the stream, but what has been read ahead comes first.
  std::size_t read_some(std::span<std::byte> to, const limits& l, std::error_code& ec) {
    ec.clear();
    if (to.empty()) return 0;
    if (begin_ == end_) {
      if (to.size() >= size_) return stream_->read_some(to, l, ec);
      if (fill(l, ec) == 0) return 0;
    }
    const std::size_t n = std::min(to.size(), end_ - begin_);
    std::memcpy(to.data(), memory_.get() + begin_, n);
    begin_ += n;
    return n;
  }
  std::size_t read_some(std::span<std::byte> to, const limits& l = {}) {
    return checked([&](std::error_code& ec) { return read_some(to, l, ec); });
  }

  /// Reads until `to` is full. Fewer bytes come with an error: io::errc::end_of_stream if the stream has ended.
  std::size_t read_exactly(std::span<std::byte> to, const limits& l, std::error_code& ec) {
    std::size_t done = 0;
    ec.clear();
    while (done != to.size() && !ec) {
      const std::size_t n = read_some(to.subspan(done), l, ec);
      if (n == 0 && !ec) ec = errc::end_of_stream;
      done += n;
    }
    return done;
  }
  std::size_t read_exactly(std::span<std::byte> to, const limits& l = {}) {
    return checked([&](std::error_code& ec) { return read_exactly(to, l, ec); });
  }

  /// All that is buffered, which stays there: at least n bytes, for which it waits; fewer with an error, which is
  /// io::errc::end_of_stream if the stream has ended.
  std::span<const std::byte> peek(std::size_t n, const limits& l, std::error_code& ec) {
    ec.clear();
    while (end_ - begin_ < n && more(l, ec)) {
    }
    return buffered();
  }
  std::span<const std::byte> peek(std::size_t n, const limits& l = {}) {
    return checked([&](std::error_code& ec) { return peek(n, l, ec); });
  }

  /// Leaves out n bytes. Returns how many it has: fewer with an error, io::errc::end_of_stream if the stream has ended.
  std::size_t skip(std::size_t n, const limits& l, std::error_code& ec) {
    std::size_t done = 0;
    for (ec.clear();;) {
      const std::size_t now = std::min(n - done, end_ - begin_);
      begin_ += now;
      done += now;
      if (done == n || !more(l, ec)) return done;
    }
  }
  std::size_t skip(std::size_t n, const limits& l = {}) {
    return checked([&](std::error_code& ec) { return skip(n, l, ec); });
  }

  /// The bytes up to a delimiter, and the delimiter. If that is not among the next `most` bytes: none, and
  /// io::errc::message_too_long. If the stream ends without it: the rest, and io::errc::end_of_stream.
  std::string_view read_until(char delimiter, std::size_t most, const limits& l, std::error_code& ec) {
    ec.clear();
    for (std::size_t looked = 0;;) {
      const std::size_t end = std::min(end_ - begin_, most);
      if (looked < end) {
        const void* const found = std::memchr(memory_.get() + begin_ + looked, delimiter, end - looked);
        if (found != nullptr) return take(static_cast<std::size_t>(static_cast<const std::byte*>(found) - at()) + 1);
      }
      looked = end;
      if (end == most) {
        ec = errc::message_too_long;
        return {};
      }
      if (!more(l, ec)) return ec == errc::end_of_stream ? take(end_ - begin_) : std::string_view();
    }
  }
  std::string_view read_until(char delimiter, std::size_t most, const limits& l = {}) {
    return checked([&](std::error_code& ec) { return read_until(delimiter, most, l, ec); });
  }

  /// The next line without its end, which is "\n" or "\r\n"; the last one may have none. Nothing at the end of the
  /// stream, or with an error: io::errc::message_too_long if the line, with its end, has more than `most` bytes.
  std::optional<std::string_view> read_line(std::size_t most, const limits& l, std::error_code& ec) {
    std::string_view line = read_until('\n', most, l, ec);
    if (ec == errc::end_of_stream) ec.clear();
    if (line.empty()) return std::nullopt;
    if (line.ends_with('\n')) {
      line.remove_suffix(1);
      if (line.ends_with('\r')) line.remove_suffix(1);
    }
    return line;
  }
  std::optional<std::string_view> read_line(std::size_t most = longest_line, const limits& l = {}) {
    return checked([&](std::error_code& ec) { return read_line(most, l, ec); });
  }

 private:
  template <class F>
  auto checked(F f) {
    std::error_code ec;
    auto result = f(ec);
    detail::check(*stream_, ec, "read from");
    return result;
  }

  const std::byte* at() const noexcept { return memory_.get() + begin_; }
  std::string_view take(std::size_t n) noexcept {
    const std::string_view taken(reinterpret_cast<const char*>(at()), n);
    begin_ += n;
    return taken;
  }

  /// Reads some more. False: it could not, see ec.
  bool more(const limits& l, std::error_code& ec) {
    if (fill(l, ec) != 0) return true;
    if (!ec) ec = errc::end_of_stream;
    return false;
  }

  /// As read_some() of the stream, into the buffer.
  std::size_t fill(const limits& l, std::error_code& ec) {
    if (begin_ == end_) begin_ = end_ = 0;
    make_room();
    std::size_t n = 0;
    if constexpr (waiting_source<S>) {
      constexpr std::chrono::steady_clock::time_point at_once{};
      if (end_ == 0) {
        n = stream_->read_some(room(), at_once, ec);
        if (ec != std::errc::timed_out) return added(n);
        drop();
        stream_->wait_readable(l, ec);
        if (ec) return 0;
        make_room();
      }
    }
    n = stream_->read_some(room(), l, ec);
    return added(n);
  }
  std::size_t added(std::size_t n) noexcept {
    end_ += n;
    return n;
  }
  std::span<std::byte> room() const noexcept { return {memory_.get() + end_, capacity_ - end_}; }

  void make_room() {
    if (end_ < capacity_) return;
    const std::size_t held = end_ - begin_;
    if (held < capacity_ && capacity_ != 0) {
      std::memmove(memory_.get(), at(), held);
    } else {
      const std::size_t larger = std::max(size_, 2 * capacity_);
      auto memory = std::make_unique_for_overwrite<std::byte[]>(larger);
      if (held != 0) std::memcpy(memory.get(), at(), held);
      memory_ = std::move(memory);
      capacity_ = larger;
    }
    begin_ = 0;
    end_ = held;
  }
  void drop() noexcept {
    memory_.reset();
    capacity_ = begin_ = end_ = 0;
  }

  S* stream_;
  std::size_t size_;
  std::unique_ptr<std::byte[]> memory_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0, end_ = 0;  ///< of what has been read ahead
};

}  // namespace heddle::io
