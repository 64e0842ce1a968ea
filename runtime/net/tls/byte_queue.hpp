// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace heddle::net::tls::detail {

/// Bytes that come in at one end and go out at the other. It has memory only while it is told to keep some.
class byte_queue {
 public:
  bool empty() const noexcept { return begin_ == end_; }
  std::span<const std::byte> bytes() const noexcept { return {memory_.get() + begin_, end_ - begin_}; }
  void consume(std::size_t n) noexcept {
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  /// Throws std::bad_alloc.
  void append(std::span<const std::byte> more) {
    const std::span<std::byte> to = room(more.size());
    std::memcpy(to.data(), more.data(), more.size());
    added(more.size());
  }
  /// Memory for n bytes or more behind those that are there; to be followed by added(). Throws std::bad_alloc.
  std::span<std::byte> room(std::size_t n) {
    if (capacity_ - end_ < n) grow(n);
    return {memory_.get() + end_, capacity_ - end_};
  }
  void added(std::size_t n) noexcept { end_ += n; }
  /// Gives the memory back, if there are no bytes in it.
  void release() noexcept {
    if (empty()) *this = byte_queue();
  }

  byte_queue() noexcept = default;
  byte_queue(byte_queue&& other) noexcept { *this = std::move(other); }
  byte_queue& operator=(byte_queue&& other) noexcept {
    memory_ = std::move(other.memory_);
    capacity_ = std::exchange(other.capacity_, 0);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    return *this;
  }

 private:
  void grow(std::size_t n) {
    const std::size_t held = end_ - begin_;
    const std::size_t wanted = std::max(held + n, std::min<std::size_t>(2 * capacity_, held + n + 65'536));
    auto memory = std::make_unique_for_overwrite<std::byte[]>(wanted);
    if (held != 0) std::memcpy(memory.get(), memory_.get() + begin_, held);
    memory_ = std::move(memory);
    capacity_ = wanted;
    begin_ = 0;
    end_ = held;
  }

  std::unique_ptr<std::byte[]> memory_;
  std::size_t capacity_ = 0, begin_ = 0, end_ = 0;
};

}  // namespace heddle::net::tls::detail
