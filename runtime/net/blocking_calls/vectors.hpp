// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/uio.h>

#include <climits>
#include <cstddef>

namespace heddle::blocking_calls {

/// The bytes of all parts. False if there are too many or too few parts: the kernel says what is wrong with them.
inline bool count_bytes(const iovec* parts, std::size_t n, std::size_t& bytes) noexcept {
  bytes = 0;
  if (n > IOV_MAX) return false;
  for (std::size_t i = 0; i != n; ++i) bytes += parts[i].iov_len;
  return true;
}

/// The rest of the parts of a message after its first bytes, some parts at a time: the caller's array is const.
class rest_of_parts {
 public:
  rest_of_parts(const iovec* parts, std::size_t n, std::size_t sent) noexcept
      : next_(parts), end_(parts + n), sent_(sent) {
    while (next_ != end_ && next_->iov_len <= sent_) sent_ -= (next_++)->iov_len;
  }
  /// The next parts; how many there are, and with how many bytes.
  std::size_t take(std::size_t& bytes) noexcept {
    std::size_t n = 0;
    bytes = 0;
    for (; next_ != end_ && n != at_once; ++next_, sent_ = 0) {
      parts_[n] = {static_cast<char*>(next_->iov_base) + sent_, next_->iov_len - sent_};
      bytes += parts_[n++].iov_len;
    }
    return n;
  }
  iovec* parts() noexcept { return parts_; }

 private:
  static constexpr std::size_t at_once = 16;
  const iovec* next_;
  const iovec* end_;
  std::size_t sent_;  // of next_
  iovec parts_[at_once];
};

}  // namespace heddle::blocking_calls
