// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace heddle::net::tls::detail {

/// The bytes that are to be written, in pieces of the size of a record. Small parts are copied together, since each
/// record costs time and bytes of its own.
class pieces {
 public:
  explicit pieces(std::span<const iovec> parts) noexcept : parts_(parts) { skip_empty(); }

  bool empty() const noexcept { return parts_.empty(); }
  /// The next bytes, at most so many; valid until the next call. Throws std::bad_alloc.
  std::span<const std::byte> next(std::size_t most) {
    const std::size_t here = parts_.front().iov_len - done_;
    if (here >= most || parts_.size() == 1) return take(std::min(here, most));
    if (copy_ == nullptr) copy_ = std::make_unique_for_overwrite<std::byte[]>(most);
    std::size_t n = 0;
    while (n != most && !parts_.empty()) {
      const std::span<const std::byte> part = take(std::min(parts_.front().iov_len - done_, most - n));
      std::memcpy(copy_.get() + n, part.data(), part.size());
      n += part.size();
    }
    return {copy_.get(), n};
  }

 private:
  std::span<const std::byte> take(std::size_t n) noexcept {
    const std::span<const std::byte> taken(static_cast<const std::byte*>(parts_.front().iov_base) + done_, n);
    done_ += n;
    skip_empty();
    return taken;
  }
  void skip_empty() noexcept {
    while (!parts_.empty() && done_ == parts_.front().iov_len) {
      parts_ = parts_.subspan(1);
      done_ = 0;
    }
  }

  std::span<const iovec> parts_;
  std::size_t done_ = 0;  ///< of the first part
  std::unique_ptr<std::byte[]> copy_;
};

}  // namespace heddle::net::tls::detail
