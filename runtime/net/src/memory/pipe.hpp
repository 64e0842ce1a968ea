// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "heddle/detail/deadline.hpp"
#include "heddle/net/memory.hpp"
#include "memory/chance.hpp"

namespace heddle::net::detail {

using heddle::detail::nanoseconds_t;
using heddle::detail::no_deadline;

/// One way of a connection: the bytes that have been written and not read, some of them still under way. Times are
/// those of its connection. Guarded by the connection's lock.
///
/// 1. Bytes arrive in the order in which they were sent, the end last.
/// 2. All memory is taken at the beginning, so nothing here fails.
class pipe {
 public:
  pipe(const memory_options& o, std::uint64_t seed);

  std::size_t size() const noexcept { return size_; }
  std::size_t room() const noexcept { return capacity_ - size_; }
  /// Sends n bytes, not more than there is room for.
  void put(const std::byte* from, std::size_t n, nanoseconds_t now) noexcept;
  /// Sends the end.
  void end(nanoseconds_t now) noexcept;
  /// When what is sent now will have arrived; not before what was sent already.
  nanoseconds_t arrival(nanoseconds_t now) noexcept;
  /// Drops what is in it.
  void clear() noexcept;

  /// How many bytes can be read.
  std::size_t arrived(nanoseconds_t now) noexcept;
  /// Takes n bytes, not more than have arrived.
  void take(std::byte* to, std::size_t n) noexcept;
  /// All has been read, and the end has arrived.
  bool ended(nanoseconds_t now) const noexcept {
    return (size_ == 0 || HEDDLE_PLANTED(memory_end_overtakes)) && end_at_ <= now;
  }
  /// When there will be more to read, or the end; no_deadline: when something is sent.
  nanoseconds_t next_arrival() const noexcept;

  /// All that has ever been sent and taken.
  std::uint64_t sent() const noexcept { return taken_ + size_; }
  std::uint64_t taken() const noexcept { return taken_; }

  /// How many of n bytes an attempt takes: a short one less, but one at least.
  std::size_t read_size(std::size_t n) noexcept { return shortened(n, reading_, short_reads_); }
  std::size_t write_size(std::size_t n) noexcept { return shortened(n, writing_, short_writes_); }

 private:
  struct part {
    std::size_t bytes;
    nanoseconds_t arrives_at;
  };
  static std::size_t shortened(std::size_t n, chance& c, unsigned one_in) noexcept {
    return n > 1 && c.one_in(one_in) ? 1 + static_cast<std::size_t>(c.below(n - 1)) : n;
  }

  const std::size_t capacity_;
  const nanoseconds_t latency_;
  const nanoseconds_t jitter_;
  const unsigned short_reads_;
  const unsigned short_writes_;
  const std::unique_ptr<std::byte[]> bytes_;  // a ring
  std::size_t first_ = 0;
  std::size_t size_ = 0;
  std::size_t arrived_ = 0;
  std::uint64_t taken_ = 0;
  std::vector<part> under_way_;
  nanoseconds_t last_arrival_ = 0;
  nanoseconds_t end_at_ = no_deadline;
  chance travelling_;
  chance reading_;
  chance writing_;
};

}  // namespace heddle::net::detail
