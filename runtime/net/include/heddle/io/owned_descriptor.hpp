// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <utility>

#include "heddle/detail/config.hpp"

namespace heddle::io {

/// A file descriptor that is closed with its owner, of whatever kind. For one to wait at, see stream.
class HEDDLE_EXPORT owned_descriptor {
 public:
  owned_descriptor() noexcept = default;
  explicit owned_descriptor(int fd) noexcept : fd_(fd) {}
  owned_descriptor(owned_descriptor&& other) noexcept : fd_(other.release()) {}
  owned_descriptor& operator=(owned_descriptor&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~owned_descriptor() { reset(); }

  /// The number; -1: none.
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Gives the number away, which the caller closes.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes it, and takes another.
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

}  // namespace heddle::io
