// SPDX-License-Identifier: BSL-1.0
//
// The parts of the functions of this library. Each of them goes three steps:
//
// 1. A caller that is no fiber gets libc's own function, by a jump: its cancellation points, EINTR and all.
// 2. For a fiber the call is tried first, so that it cannot block: by MSG_DONTWAIT, by a time-out of 0, or by a look
//    with poll(). If it is over then, that was the call.
// 3. If it would block, and the descriptor is a blocking one, the fiber's processor goes to others, and libc's own
// function
//    blocks the thread with the caller's arguments. So time-outs, signals and what they do to a call are the kernel's.
//
// No flag of a descriptor is changed, since others share it. The fiber stays on its kernel thread all the time: callers
// keep the address of errno in a register. A try is a raw system call: it is no cancellation point, and leaves errno as
// it was, so that a call that succeeds in the end does not change it.
#pragma once

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "heddle/detail/blocked_section.hpp"

#define HEDDLE_CALL extern "C" __attribute__((visibility("default")))

namespace heddle::blocking_calls {

/// The function of that name behind this library: libc's, or that of another library that is preloaded. Not the raw
/// system call, since a plain thread's cancellation points must stay what they are.
template <class F>
class next_function {
 public:
  constexpr explicit next_function(const char* name, F* /*of the type*/ = nullptr) noexcept : name_(name) {}
  F* get() noexcept {
    F* const f = known_.load(std::memory_order_relaxed);
    return f != nullptr ? f : find();
  }
  F* find() noexcept {
    F* const f = reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name_));
    known_.store(f, std::memory_order_relaxed);
    return f;
  }

 private:
  const char* name_;
  std::atomic<F*> known_{nullptr};
};

using detail::blocked_calls;

/// More heddles than this, each linked into a module of its own, are not known to the library.
inline constexpr std::size_t most_runtimes = 4;
/// From the front on; null behind the last. Their objects never go away.
extern std::atomic<const blocked_calls*> runtimes[most_runtimes] __attribute__((visibility("hidden")));

/// The runtime of which the caller is a fiber, or null: then the call goes straight to libc.
inline const blocked_calls* fibers_runtime() noexcept {
  for (const auto& slot : runtimes) {
    const blocked_calls* const runtime = slot.load(std::memory_order_relaxed);
    if (runtime == nullptr) return nullptr;
    if (runtime->is_useful()) return runtime;
  }
  return nullptr;
}

/// While it lives others have the processor.
class lent_processor {
 public:
  explicit lent_processor(const blocked_calls& runtime) noexcept : runtime_(runtime), lent_(runtime.begin()) {}
  ~lent_processor() {
    if (!lent_) return;
    const int error = errno;  // of the call, for its caller
    runtime_.end();
    errno = error;
  }
  lent_processor(const lent_processor&) = delete;
  lent_processor& operator=(const lent_processor&) = delete;

 private:
  const blocked_calls& runtime_;
  const bool lent_;
};

/// A system call that leaves errno as it was. Returns -errno instead.
template <class... Args>
long attempt(long number, Args... args) noexcept {
  const int error = errno;
  const long result = ::syscall(number, args...);
  if (result != -1) return result;
  return -std::exchange(errno, error);
}

/// The result of an attempt, told as libc tells it.
inline long tell(long result) noexcept {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

/// Whether a call at fd may block. If that cannot be known the call itself says why.
inline bool is_blocking(int fd) noexcept {
  const long flags = attempt(SYS_fcntl, fd, F_GETFL);
  return flags >= 0 && (flags & O_NONBLOCK) == 0;
}

/// Whether fd is ready for `events`, or in error: then a call would not block.
inline bool is_ready(int fd, short events) noexcept {
  pollfd one{fd, events, 0};
  return attempt(SYS_poll, &one, 1, 0) != 0;
}

/// real() with the processor lent if fd is not ready for `events`, and a blocking one.
template <class Real>
auto when_ready(const blocked_calls& runtime, int fd, short events, Real real) {
  if (is_ready(fd, events) || !is_blocking(fd)) return real();
  const lent_processor lent(runtime);
  return real();
}

}  // namespace heddle::blocking_calls
