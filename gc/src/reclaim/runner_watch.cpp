// SPDX-License-Identifier: BSL-1.0
#include "reclaim/runner_watch.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace heddle::gc::detail {

constinit runner_watch the_runner;

void runner_watch::note(const void* mark) noexcept {
  clockid_t clock{};
  mark_ = mark;
  if (::pthread_getcpuclockid(::pthread_self(), &clock) != 0) return;
  clock_.store(clock, std::memory_order_relaxed);
  // release: so that the clock is seen; acquire half in used().
  thread_.store(::gettid(), std::memory_order_release);
}

heddle::detail::nanoseconds_t runner_watch::used() const noexcept {
  // acquire: so that the clock is that of the thread, or of a later one; release half in note().
  if (thread_.load(std::memory_order_acquire) == 0) return 0;
  const int error = errno;
  timespec t{};
  const bool is_there = ::clock_gettime(clock_.load(std::memory_order_relaxed), &t) == 0;
  errno = error;
  return is_there ? static_cast<heddle::detail::nanoseconds_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec : 0;
}

char runner_watch::state_of(int thread) noexcept {
  const int error = errno;
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/task/%d/stat", thread);
  std::array<char, 256> text{};
  const int file = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  const ssize_t n = file < 0 ? -1 : ::read(file, text.data(), text.size() - 1);
  if (file >= 0) ::close(file);
  errno = error;
  // "number (name) state ...": the name may have any characters.
  const char* const behind = n > 0 ? std::strrchr(text.data(), ')') : nullptr;
  return behind != nullptr && behind[1] == ' ' && behind[2] != '\0' ? behind[2] : '?';
}

}  // namespace heddle::gc::detail
