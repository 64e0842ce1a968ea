// SPDX-License-Identifier: BSL-1.0
//
// Between a program and the kernel: the calls on sockets that heddle makes, each of which a test may let fail, shorten,
// delay or accompany. A program that links socket_calls.cpp has these functions in front of libc's. Not together with
// sanitizers, which have their own.
#pragma once

#include <cstddef>

namespace heddle::testing {

enum class socket_call {
  receive,     ///< recv, readv
  send,        ///< send, sendmsg, sendmmsg; of the last the size is the number of messages
  accept,      ///< accept4
  connect,     ///< connect
  set_option,  ///< setsockopt
  wait         ///< epoll_wait, epoll_pwait2; the size is the number of events
};

/// A test's changes to calls, on whichever thread makes them. One is alive at a time. It may go while calls are under
/// way, which end without it then; its destructor waits for those that are in before() or after(), so members that
/// these use have no destructors of their own.
class interference {
 public:
  interference() noexcept;
  interference(const interference&) = delete;
  interference& operator=(const interference&) = delete;
  virtual ~interference();

  /// 0, or the errno that the call fails with instead of being made. May make the size smaller.
  virtual int before(socket_call, int fd, std::size_t& size) noexcept;
  /// After a call that was made: the size that was asked for, and its result or minus its errno. Returns 0, or the
  /// errno that is reported instead.
  virtual int after(socket_call, int fd, std::size_t asked, std::ptrdiff_t result) noexcept;
};

/// After a call that did less than it could: lets epoll report the descriptor once more if it is ready, since no
/// further change of the descriptor need come.
void report_again(int fd) noexcept;

/// The use of epoll in this process: calls that have returned, the events of
/// descriptors that these reported, and descriptors that are registered now. Those with the tag 0 are not counted.
struct epoll_counts {
  std::size_t waits = 0;
  std::size_t events = 0;
  std::size_t registered = 0;
  friend bool operator==(const epoll_counts&, const epoll_counts&) = default;
};
epoll_counts counted_epoll() noexcept;

}  // namespace heddle::testing
