// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "heddle/detail/config.hpp"
#include "heddle/detail/polled.hpp"
#include "heddle/io/error.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/mutex.hpp"

namespace heddle::io {

namespace detail {
using namespace heddle::detail;

/// How a descriptor is read and written without a wait.
enum class access_kind : std::uint8_t {
  socket,         ///< only ours, and in non-blocking mode
  own,            ///< the same, but no socket: a pipe, a terminal
  shared_socket,  ///< others have it, too, so its mode stays as it is: each call says that it must not wait
  shared,         ///< the same, but no socket: see attempts.hpp
  unwaitable      ///< a file or a device of which the system reports no events, since it is always ready
};

/// Of a stream: what stays where it is when the stream is moved.
struct HEDDLE_EXPORT stream_core {
  stream_core(int fd, access_kind k) : descriptor(fd), kind(k) {}
  stream_core(const stream_core&) = delete;
  stream_core& operator=(const stream_core&) = delete;
  virtual ~stream_core();
  /// For messages: the peer's address, or what the stream is.
  virtual std::string name() const = 0;

  polled descriptor;
  timed_mutex write_order;  ///< so that write() of several fibers do not mix
  const access_kind kind;
};

/// Ends a core where there is room for it: a virtual call in the destructor of a stream would have functions on stacks
/// that grow ask for a large segment.
struct HEDDLE_EXPORT core_end {
  void operator()(stream_core* core) const noexcept;
};

class splicing;
}  // namespace detail

/// A stream of bytes both ways, or one: a connection, a pipe, a terminal. Each operation blocks the fiber only, or the
/// plain thread that calls it. A fiber may read while another writes; several that write() take turns, so that the
/// bytes of each call stay together; several that read get each what comes next.
///
/// Every operation has two forms: one throws io::error, one sets a std::error_code and throws nothing. Errors:
/// io::errc:: closed after close(), std::errc::timed_out and operation_canceled by the limits, and those of the system.
/// SIGPIPE is never raised: std::errc::broken_pipe says so.
class HEDDLE_EXPORT stream {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  stream() noexcept = default;
  stream(stream&&) noexcept = default;
  stream& operator=(stream&&) noexcept = default;
  ~stream() = default;

  bool is_open() const noexcept { return core_ != nullptr && core_->descriptor.is_open(); }
  explicit operator bool() const noexcept { return is_open(); }
  /// The descriptor's number; -1 if it is closed.
  int native_handle() const noexcept { return core_ != nullptr ? core_->descriptor.descriptor() : -1; }

  /// For messages: the peer's address, or what it is.
  std::string name() const { return core_ != nullptr ? core_->name() : "a closed stream"; }

  /// Reads what there is, at most as much as `to` holds; waits for the first byte. 0: the stream has ended (or `to` is
  /// empty).
  std::size_t read_some(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept;
  std::size_t read_some(std::span<std::byte> to, std::error_code& ec) noexcept { return read_some(to, {}, ec); }
  std::size_t read_some(std::span<std::byte> to, const limits& l = {});
  /// The same into several pieces of memory, at most IOV_MAX of them.
  std::size_t read_some(std::span<const iovec> to, const limits& l, std::error_code& ec) noexcept;
  std::size_t read_some(std::span<const iovec> to, const limits& l = {});
  /// Reads until `to` is full. Fewer bytes come with an error: io::errc::end_of_stream if the stream has ended.
  std::size_t read(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept;
  std::size_t read(std::span<std::byte> to, const limits& l = {});

  /// Writes a part, at least one byte; waits until there is room for it. Returns how many.
  std::size_t write_some(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write_some(std::span<const std::byte> from, const limits& l = {});
  /// Writes all. Returns how many bytes the system has taken: all, or fewer with an error.
  std::size_t write(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write(std::span<const std::byte> from, std::error_code& ec) noexcept { return write(from, {}, ec); }
  std::size_t write(std::span<const std::byte> from, const limits& l = {});
  std::size_t write(std::string_view from, const limits& l = {}) {
    return write(std::as_bytes(std::span<const char>(from)), l);
  }
  std::size_t write(std::span<const iovec> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write(std::span<const iovec> from, const limits& l = {});

  /// Sends bytes of a file from an offset on, all that are asked for; `to_the_end`: as many as there are. They do not
  /// come into this process (sendfile(2)) where the system can do that. Returns how many: fewer with an error, which is
  /// io::errc::end_of_stream if the file is shorter. As with write(), the bytes stay together. Reads from the disk take
  /// a kernel thread, and no processor. The form with an error code throws std::bad_alloc only.
  std::size_t send_file(int file, off_t offset, std::size_t size, const limits& l, std::error_code& ec);
  std::size_t send_file(int file, off_t offset, std::size_t size, const limits& l = {});
  static constexpr std::size_t to_the_end = std::numeric_limits<std::size_t>::max();

  /// Waits until a read would not wait: data, the end or an error are there. Holds no buffer meanwhile.
  void wait_readable(const limits& l, std::error_code& ec) noexcept;
  void wait_readable(const limits& l = {});
  void wait_writable(const limits& l, std::error_code& ec) noexcept;
  void wait_writable(const limits& l = {});

  /// From now on no read (write) of this stream waits longer than until `t`, those that wait now included; time_point::
  /// max(): as long as it takes. Costs no timer while data come in time.
  void set_read_deadline(time_point t) noexcept;
  void set_write_deadline(time_point t) noexcept;
  void set_deadline(time_point t) noexcept {
    set_read_deadline(t);
    set_write_deadline(t);
  }

  /// Wakes all that wait, with io::errc::closed, and closes the descriptor. Any number of times, from any fiber or
  /// thread, also while others use the stream.
  void close() noexcept {
    if (core_ != nullptr) core_->descriptor.close();
  }

 protected:
  explicit stream(std::unique_ptr<detail::stream_core> core) noexcept : core_(core.release()) {}
  detail::stream_core* core() const noexcept { return core_.get(); }
  /// Throws io::error for `ec`, if it is one: "<operation> <name>".
  void check(const std::error_code& ec, const char* operation) const;

 private:
  friend class detail::splicing;
  bool take_turn(const limits& l, std::error_code& ec) const noexcept;
  std::size_t copy_file(int file, off_t offset, std::size_t size, const limits& l, std::error_code& ec);
  std::size_t read_part(std::span<std::byte> to, const detail::wait_bounds& bounds, std::error_code& ec) noexcept;
  std::size_t read_all(std::span<std::byte> to, const detail::wait_bounds& bounds, std::error_code& ec) noexcept;
  std::size_t write_in_turn(std::span<const iovec> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write_all(iovec* parts, std::size_t n, const detail::wait_bounds& bounds, std::error_code& ec) noexcept;
  void wait_ready(detail::poll_side side, const limits& l, std::error_code& ec) noexcept;

  std::unique_ptr<detail::stream_core, detail::core_end> core_;
};

}  // namespace heddle::io
