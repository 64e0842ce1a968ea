// SPDX-License-Identifier: BSL-1.0
//
// Single reads and writes that do not wait: a result, or -1 and errno, which is EAGAIN if nothing can be done now. None
// raises SIGPIPE.
//
// A descriptor that others share (standard input, what was inherited) keeps its mode: O_NONBLOCK is of the open file,
// so they would get EAGAIN too, and a shell after us. Such attempts are made with RWF_NOWAIT. Some terminals and older
// kernels do not know that; there poll(2) must say first that there is something, and as another process may be faster
// all the same, the call is made as one that may block. Then limits do not end it, nor does close().
#pragma once

#include <sys/uio.h>

#include <cstddef>

#include "heddle/io/stream.hpp"
#include "raw_calls.hpp"

namespace heddle::io::detail {

std::ptrdiff_t read_parts(access_kind kind, int fd, const iovec* parts, std::size_t n) noexcept;
std::ptrdiff_t write_parts(access_kind kind, int fd, iovec* parts, std::size_t n) noexcept;

inline std::ptrdiff_t read_once(access_kind kind, int fd, const iovec* parts, std::size_t n) noexcept {
  return read_parts(kind, fd, parts, n);
}
inline std::ptrdiff_t read_once(access_kind kind, int fd, std::byte* to, std::size_t n) noexcept {
  if (kind == access_kind::socket) [[likely]]
    return raw_receive(fd, to, n);
  const iovec part{to, n};
  return read_parts(kind, fd, &part, 1);
}
inline std::ptrdiff_t write_once(access_kind kind, int fd, iovec* parts, std::size_t n) noexcept {
  if (kind == access_kind::socket && n == 1) [[likely]]
    return raw_send(fd, parts->iov_base, parts->iov_len);
  return write_parts(kind, fd, parts, n);
}

/// Whether the kernel says now that it is ready.
bool is_ready(int fd, poll_side side) noexcept;

/// -1 and errno for a negative result that is the number of an error. Apart, and never inlined: after a call that may
/// have blocked, the fiber may be on another thread, whose errno is another.
std::ptrdiff_t with_errno(std::ptrdiff_t result) noexcept;

/// Whether the system reports events of the descriptor.
bool is_waitable(int fd) noexcept;

}  // namespace heddle::io::detail
