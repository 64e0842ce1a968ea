// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

namespace heddle::testing {

/// A socket for threads that has what the HTTP server asks of a stream.
class socket_stream {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit socket_stream(int fd) : fd_(fd) {}
  socket_stream(const socket_stream&) = delete;
  socket_stream& operator=(const socket_stream&) = delete;
  ~socket_stream() {
    ::close(fd_);
    ::close(changed_);
  }

  std::size_t read_some(std::span<std::byte> into) {
    for (;;) {
      const ssize_t got = ::recv(fd_, into.data(), into.size(), MSG_DONTWAIT);
      if (got >= 0) return static_cast<std::size_t>(got);
      wait(POLLIN, read_deadline_);
    }
  }
  void wait_readable() {
    std::byte first;
    while (::recv(fd_, &first, 1, MSG_DONTWAIT | MSG_PEEK) < 0) wait(POLLIN, read_deadline_);
  }
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0) {
        wait(POLLOUT, write_deadline_);
      } else {
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
      }
    }
    ++writes;
  }
  void write(std::span<const iovec> pieces) {
    for (const iovec& piece : pieces) write({static_cast<const std::byte*>(piece.iov_base), piece.iov_len});
  }
  void send_file(int file, off_t offset, std::size_t size) {
    while (size > 0) {
      const ssize_t sent = ::sendfile(fd_, file, &offset, size);
      if (sent == 0) throw std::system_error(EIO, std::generic_category(), "the file has become shorter");
      if (sent < 0) throw std::system_error(errno, std::generic_category(), "sendfile");
      size -= static_cast<std::size_t>(sent);
    }
  }
  void set_read_deadline(time_point when) {
    read_deadline_ = when;
    const std::uint64_t one = 1;
    static_cast<void>(::write(changed_, &one, sizeof one));
  }
  void set_write_deadline(time_point when) { write_deadline_ = when; }
  void shutdown_write() { ::shutdown(fd_, SHUT_WR); }

  int writes = 0;  ///< calls

 private:
  /// After a call that failed: throws, or waits until it may be tried again.
  void wait(short events, const std::atomic<time_point>& deadline) {
    if (errno != EAGAIN && errno != EINTR) throw std::system_error(errno, std::generic_category(), "socket");
    const auto now = std::chrono::steady_clock::now();
    const time_point end = deadline;
    if (end <= now) throw std::system_error(std::make_error_code(std::errc::timed_out), "socket");
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(std::min(end - now, longest_));
    pollfd watched[] = {{fd_, events, 0}, {changed_, POLLIN, 0}};
    ::poll(watched, 2, static_cast<int>(left.count()));
    std::uint64_t count = 0;
    if ((watched[1].revents & POLLIN) != 0) static_cast<void>(::read(changed_, &count, sizeof count));
  }

  static constexpr std::chrono::steady_clock::duration longest_ = std::chrono::seconds(10);
  const int fd_;
  const int changed_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::atomic<time_point> read_deadline_{time_point::max()}, write_deadline_{time_point::max()};
};

}  // namespace heddle::testing
