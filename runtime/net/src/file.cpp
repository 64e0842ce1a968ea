// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/file.hpp"

#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "file_ring.hpp"
#include "heddle/blocking.hpp"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x8
#endif

namespace heddle::io {
namespace {

/// A result, or the negative number of an error. Not errno: after a call that may have blocked, the fiber may be on
/// another thread.
using result = std::ptrdiff_t;

std::error_code error_of(result r) noexcept {
  return r >= 0 ? std::error_code() : std::error_code(static_cast<int>(-r), std::system_category());
}

/// f(), which may block, and once more while signals interrupt it.
template <class F>
[[gnu::noinline]] result call_blocking(F f) noexcept {
  return blocking([&]() -> result {
    for (;;) {
      const auto r = f();
      if (r >= 0) return r;
      if (errno != EINTR) return -errno;
    }
  });
}

/// Where the system has to be asked again, and may block: for what is not in memory, and for files and kernels that do
/// not know how to tell.
bool needs_wait(int error) noexcept {
  return error == EAGAIN || error == EOPNOTSUPP || error == EINVAL || error == ENOSYS || error == EINTR;
}

constexpr off_t at_position = -1;

/// The ring, for an operation that is bound to wait.
detail::file_ring* ring_for(off_t offset) noexcept {
  // The kernel would not keep operations at the position apart.
  return offset != at_position && detail::file_ring::helps() ? detail::file_ring::instance() : nullptr;
}

/// One that goes past the page cache is never tried: the system would wait for the disk, RWF_NOWAIT or not.
result read_part(int fd, bool direct, std::span<std::byte> to, off_t offset) noexcept {
  const iovec part{to.data(), to.size()};
  bool cold = direct;
  if (!direct) {
    const ssize_t n = ::preadv2(fd, &part, 1, offset, RWF_NOWAIT);
    if (n >= 0) return n;
    if (!needs_wait(errno)) return -errno;
    cold = errno == EAGAIN;
  }
  if (detail::file_ring* const ring = cold ? ring_for(offset) : nullptr)
    // An error may be that of a kernel thread which has ended: the system says by a call what it thinks.
    if (const auto n = ring->read(fd, to, offset); n && *n >= 0) return *n;
  return call_blocking([&] { return ::preadv2(fd, &part, 1, offset, 0); });
}

result write_part(int fd, bool direct, std::span<const std::byte> from, off_t offset) noexcept {
  const iovec part{const_cast<std::byte*>(from.data()), from.size()};
  if (!direct) {
    const ssize_t n = ::pwritev2(fd, &part, 1, offset, RWF_NOWAIT);
    if (n >= 0) return n;
    if (!needs_wait(errno)) return -errno;
  } else if (detail::file_ring* const ring = ring_for(offset)) {
    if (const auto n = ring->write(fd, from, offset); n && *n >= 0) return *n;  // else it is written again
  }
  return call_blocking([&] { return ::pwritev2(fd, &part, 1, offset, 0); });
}

result sync_all(int fd, bool data_only) noexcept {
  if (detail::file_ring* const ring = detail::file_ring::helps() ? detail::file_ring::instance() : nullptr) {
    const auto n = ring->sync(fd, data_only);
    // The system reports such errors once, so nobody may ask again.
    if (n && (*n >= 0 || *n == -EIO || *n == -ENOSPC || *n == -EDQUOT)) return *n;
  }
  return call_blocking([=] { return data_only ? ::fdatasync(fd) : ::fsync(fd); });
}

/// False, with an error: no file has so large an offset.
bool fits(std::uint64_t offset, std::size_t n, std::error_code& ec) noexcept {
  constexpr std::uint64_t most = INT64_MAX;
  ec = offset <= most && n <= most - offset ? std::error_code() : std::make_error_code(std::errc::invalid_argument);
  return !ec;
}

}  // namespace

void file::check(const std::error_code& ec, const char* operation) const {
  if (ec) throw error(ec, std::string(operation) + ' ' + (is_open() ? name_ : "a closed file"));
}

file file::open(const std::string& path, int flags, mode_t mode, std::error_code& ec) {
  const result fd = call_blocking([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
  ec = error_of(fd);
  if (ec) return {};
  owned_descriptor owned(static_cast<int>(fd));
  return {std::move(owned), path, (flags & O_DIRECT) != 0};
}

file file::adopt(int fd, std::string name) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  return {owned_descriptor(fd), std::move(name), flags >= 0 && (flags & O_DIRECT) != 0};
}

file file::open(const std::string& path, int flags, mode_t mode) {
  std::error_code ec;
  file f = open(path, flags, mode, ec);
  if (ec) throw error(ec, "open " + path);
  return f;
}

// --- at an offset ---------------------------------------------------------------------------------------------------

std::size_t file::read_at(std::span<std::byte> to, std::uint64_t offset, std::error_code& ec) const noexcept {
  std::size_t done = 0;
  if (!fits(offset, to.size(), ec)) return 0;
  while (done != to.size()) {
    const result n = read_part(fd_.get(), direct_, to.subspan(done), static_cast<off_t>(offset + done));
    ec = error_of(n);
    if (n <= 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}
std::size_t file::read_at(std::span<std::byte> to, std::uint64_t offset) const {
  std::error_code ec;
  const std::size_t n = read_at(to, offset, ec);
  check(ec, "read from");
  return n;
}

std::size_t file::write_at(std::span<const std::byte> from, std::uint64_t offset, std::error_code& ec) const noexcept {
  std::size_t done = 0;
  if (!fits(offset, from.size(), ec)) return 0;
  while (done != from.size()) {
    const result n = write_part(fd_.get(), direct_, from.subspan(done), static_cast<off_t>(offset + done));
    ec = error_of(n);
    if (n < 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}
std::size_t file::write_at(std::span<const std::byte> from, std::uint64_t offset) const {
  std::error_code ec;
  const std::size_t n = write_at(from, offset, ec);
  check(ec, "write to");
  return n;
}

// --- at the position ------------------------------------------------------------------------------------------------

std::size_t file::read_some(std::span<std::byte> to, const limits&, std::error_code& ec) noexcept {
  const result n = read_part(fd_.get(), direct_, to, at_position);
  ec = error_of(n);
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}
std::size_t file::read_some(std::span<std::byte> to, const limits& l) {
  std::error_code ec;
  const std::size_t n = read_some(to, l, ec);
  check(ec, "read from");
  return n;
}

std::size_t file::write(std::span<const std::byte> from, const limits&, std::error_code& ec) noexcept {
  std::size_t done = 0;
  ec.clear();
  while (done != from.size()) {
    const result n = write_part(fd_.get(), direct_, from.subspan(done), at_position);
    ec = error_of(n);
    if (n < 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}
std::size_t file::write(std::span<const std::byte> from, const limits& l) {
  std::error_code ec;
  const std::size_t n = write(from, l, ec);
  check(ec, "write to");
  return n;
}

// --- the rest -------------------------------------------------------------------------------------------------------

std::uint64_t file::size(std::error_code& ec) const noexcept {
  struct ::stat status {};
  ec = error_of(::fstat(fd_.get(), &status) == 0 ? 0 : -errno);
  return static_cast<std::uint64_t>(status.st_size);
}
std::uint64_t file::size() const {
  std::error_code ec;
  const std::uint64_t n = size(ec);
  check(ec, "ask for the size of");
  return n;
}

void file::resize(std::uint64_t n, std::error_code& ec) noexcept {
  if (fits(n, 0, ec)) ec = error_of(call_blocking([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(n)); }));
}
void file::resize(std::uint64_t n) {
  std::error_code ec;
  resize(n, ec);
  check(ec, "resize");
}

void file::sync(durability d, std::error_code& ec) noexcept {
  ec = error_of(sync_all(fd_.get(), d == durability::data));
}
void file::sync(durability d) {
  std::error_code ec;
  sync(d, ec);
  check(ec, "sync");
}

}  // namespace heddle::io
