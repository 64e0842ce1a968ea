// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>

namespace heddle::detail {

/// Formatted text without allocation and without a stream: gathered in a buffer, and given away when that is full.
/// snprintf() allocates nothing for integers, strings and pointers, and may be called in a signal handler for these.
class text_writer {
 public:
  /// Takes n characters. False: it cannot, and nothing more is given to it.
  using sink = bool (*)(void* to, const char* text, std::size_t n) noexcept;

  text_writer(sink put, void* to) noexcept : put_(put), to_(to) {}
  text_writer(const text_writer&) = delete;
  text_writer& operator=(const text_writer&) = delete;

  /// At most 256 characters at a time.
  [[gnu::format(printf, 2, 3)]] void add(const char* format, ...) noexcept {
    constexpr std::size_t longest = 256;
    if (sizeof text_ - length_ < longest) flush();
    va_list arguments;
    va_start(arguments, format);
    const int n = std::vsnprintf(text_ + length_, longest, format, arguments);
    va_end(arguments);
    if (n > 0) length_ += static_cast<std::size_t>(n) < longest ? static_cast<std::size_t>(n) : longest - 1;
  }
  /// Gives away what is left. False: not all could be given away.
  bool flush() noexcept {
    good_ = good_ && put_(to_, text_, length_);
    length_ = 0;
    return good_;
  }

 private:
  sink put_;
  void* to_;
  bool good_ = true;
  std::size_t length_ = 0;
  char text_[1024];
};

/// A sink for file descriptors: `to` is an int*.
inline bool write_to_descriptor(void* to, const char* text, std::size_t n) noexcept {
  while (n != 0) {
    const ssize_t written = ::write(*static_cast<const int*>(to), text, n);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text += written;
    n -= static_cast<std::size_t>(written);
  }
  return true;
}

}  // namespace heddle::detail
