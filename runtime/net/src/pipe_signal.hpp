// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <csignal>
#include <ctime>

namespace heddle::io::detail {

/// Around a call that may raise SIGPIPE, on one thread: the signal does not come, whatever the program does with it.
class pipe_signal_held_back {
 public:
  pipe_signal_held_back() noexcept {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    was_blocked_ = ::sigismember(&before_, SIGPIPE) == 1;
    was_pending_ = was_blocked_ && is_pending();
  }
  pipe_signal_held_back(const pipe_signal_held_back&) = delete;
  pipe_signal_held_back& operator=(const pipe_signal_held_back&) = delete;
  /// errno stays as it is.
  ~pipe_signal_held_back() {
    if (was_pending_) return;  // the program holds back one of its own
    const int error = errno;
    const timespec at_once{};
    ::sigtimedwait(&pipe_, nullptr, &at_once);  // also after a success: sendfile() may have sent a part before
    if (!was_blocked_) ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
  }

 private:
  static bool is_pending() noexcept {
    sigset_t pending;
    return ::sigpending(&pending) == 0 && ::sigismember(&pending, SIGPIPE) == 1;
  }

  sigset_t pipe_, before_;
  bool was_blocked_ = false;
  bool was_pending_ = false;
};

}  // namespace heddle::io::detail
