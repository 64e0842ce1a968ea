// SPDX-License-Identifier: BSL-1.0
//
// Where the kernel reports what has become of file descriptors. The explorer brings its own.
#pragma once

#include "heddle/detail/platform.hpp"

#if defined(HEDDLE_MODEL) && HEDDLE_MODEL
#include "model/event_queue.hpp"
#else
#include <sys/epoll.h>

namespace heddle::detail::platform {

/// The state of a descriptor, in bits of epoll.
inline constexpr std::uint32_t readable_events = EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
inline constexpr std::uint32_t writable_events = EPOLLOUT | EPOLLHUP | EPOLLERR;
/// The peer, or the connection, has come to an end: reads succeed from now on, with the rest, the end, or an error.
inline constexpr std::uint32_t last_read_events = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
inline constexpr std::uint32_t last_write_events = EPOLLHUP | EPOLLERR;

using event = epoll_event;

/// An epoll, edge-triggered, and an eventfd that makes a wait return.
class event_queue {
 public:
  /// 0, or the error. Once.
  int open() noexcept;
  /// In a child: its copies of the two descriptors go.
  void close() noexcept;
  /// Reports each change of fd with this tag from now on, and how it is at once. 0, or the error.
  int add(int fd, std::uint64_t tag) noexcept;
  void remove(int fd) noexcept;
  /// Copies up to n events to `out` and returns how many. Sleeps for the first one until the deadline has passed; not
  /// at all if that is 0. 0 too if it was interrupted.
  int wait(event* out, int n, nanoseconds_t deadline) noexcept;
  /// Makes a wait that is under way return, or else the next one.
  void interrupt() noexcept;

 private:
  int epoll_ = -1;
  int interrupts_ = -1;
};

/// An eventfd, by which a thread that waits for a descriptor by itself is told to look again.
class doorbell {
 public:
  /// 0, or the error.
  int open() noexcept;
  void close() noexcept;
  /// From anywhere, while it is open. One that rings while nobody waits is heard by the next wait. Memory that was
  /// written before is seen after the wait that hears it: the kernel's locks see to that.
  void ring() noexcept;
  /// Sleeps until fd can be read or written, it rings, or the deadline has passed. True: fd can, or is at its end.
  bool wait_for(int fd, bool write, nanoseconds_t deadline) noexcept;

 private:
  int fd_ = -1;
};

void close_descriptor(int fd) noexcept;

}  // namespace heddle::detail::platform
#endif
