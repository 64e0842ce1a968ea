// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <fcntl.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "heddle/detail/config.hpp"
#include "heddle/io/error.hpp"
#include "heddle/io/limits.hpp"
#include "heddle/io/owned_descriptor.hpp"

namespace heddle::io {

/// A file, of which reads and writes let other fibers run while the disk works.
///
///     io::file f = io::file::open("data", O_RDWR | O_CREAT);
///     f.write_at(record, 4096);
///     f.sync();
///
/// A read of what the system has in memory is made at once (RWF_NOWAIT). While all processors are at work, reads at an
/// offset that have to wait for the disk, writes at an offset with O_DIRECT, and sync() go by io_uring where the
/// process may use it: the fiber waits, and no thread. All else is done in heddle::blocking(): it takes a kernel
/// thread, and no processor, until it is done. Limits do not end it, since the system cannot. The forms with an error
/// code throw nothing; the others throw io::error: "read from data: Input/output error".
///
/// Several fibers may use it at the same time, but not while one closes or moves it. It can be what is read and written
/// with buffers, see io/buffered.hpp.
class HEDDLE_EXPORT file {
 public:
  file() noexcept = default;

  /// As open(2): `flags` are O_RDONLY, O_WRONLY or O_RDWR, and O_CREAT, O_EXCL, O_TRUNC, O_APPEND ...; `mode` the
  /// rights of one that is made, of which the umask takes some. It is closed on exec.
  static file open(const std::string& path, int flags, mode_t mode, std::error_code& ec);
  static file open(const std::string& path, int flags = O_RDONLY, mode_t mode = 0666);
  /// Takes a descriptor of a file. `name` is for messages.
  static file adopt(int fd, std::string name) noexcept;

  /// Reads until `to` is full, or the file ends: returns how many bytes, which are all that could be read before an
  /// error. Does not move the position.
  std::size_t read_at(std::span<std::byte> to, std::uint64_t offset, std::error_code& ec) const noexcept;
  std::size_t read_at(std::span<std::byte> to, std::uint64_t offset) const;
  /// Writes all; returns how many bytes: fewer with an error. Opened with O_APPEND it writes at the end, whatever the
  /// offset.
  std::size_t write_at(std::span<const std::byte> from, std::uint64_t offset, std::error_code& ec) const noexcept;
  std::size_t write_at(std::span<const std::byte> from, std::uint64_t offset) const;

  /// At the position, which moves along: some bytes, at least one, 0 at the end. The limits say nothing; they are what
  /// a stream has.
  std::size_t read_some(std::span<std::byte> to, const limits& l, std::error_code& ec) noexcept;
  std::size_t read_some(std::span<std::byte> to, const limits& l = {});
  /// At the position: all.
  std::size_t write(std::span<const std::byte> from, const limits& l, std::error_code& ec) noexcept;
  std::size_t write(std::span<const std::byte> from, const limits& l = {});
  std::size_t write(std::string_view from, const limits& l = {}) {
    return write(std::as_bytes(std::span<const char>(from)), l);
  }

  std::uint64_t size(std::error_code& ec) const noexcept;
  std::uint64_t size() const;
  /// Cuts it off, or fills it up with zeros.
  void resize(std::uint64_t n, std::error_code& ec) noexcept;
  void resize(std::uint64_t n);
  /// How much is kept when the machine loses its power; in any case the bytes, and the size.
  enum class durability : std::uint8_t {
    data,  ///< not the times and rights (fdatasync)
    all    ///< those too (fsync)
  };
  /// Returns when all that was written has reached the disk.
  void sync(durability d, std::error_code& ec) noexcept;
  void sync(durability d = durability::data);

  bool is_open() const noexcept { return static_cast<bool>(fd_); }
  explicit operator bool() const noexcept { return is_open(); }
  int native_handle() const noexcept { return fd_.get(); }
  const std::string& name() const noexcept { return name_; }
  void close() noexcept { fd_.reset(); }

 private:
  file(owned_descriptor fd, std::string name, bool direct) noexcept
      : fd_(std::move(fd)), direct_(direct), name_(std::move(name)) {}
  void check(const std::error_code& ec, const char* operation) const;

  owned_descriptor fd_;
  bool direct_ = false;  ///< past the page cache
  std::string name_;
};

}  // namespace heddle::io
