// SPDX-License-Identifier: BSL-1.0
//
// Calls that wait for several descriptors. The try has a time-out of 0 and no signal mask: a signal that the mask lets
// in ends such a call only if nothing is ready, and then libc's own function is called with the mask.
#include <sys/epoll.h>
#include <sys/select.h>

#include <cstring>

#include "calls.hpp"
#include "served.hpp"

namespace heddle::blocking_calls {
namespace {

extern "C" {
using poll_chk = int(pollfd*, nfds_t, int, std::size_t);
using ppoll_chk = int(pollfd*, nfds_t, const timespec*, const sigset_t*, std::size_t);
}

constinit next_function next_poll{"poll", &::poll};
constinit next_function next_ppoll{"ppoll", &::ppoll};
constinit next_function<poll_chk> next_poll_chk{"__poll_chk"};
constinit next_function<ppoll_chk> next_ppoll_chk{"__ppoll_chk"};
constinit next_function next_select{"select", &::select};
constinit next_function next_pselect{"pselect", &::pselect};
constinit next_function next_epoll_wait{"epoll_wait", &::epoll_wait};
constinit next_function next_epoll_pwait{"epoll_pwait", &::epoll_pwait};
constinit next_function next_epoll_pwait2{"epoll_pwait2", &::epoll_pwait2};  // glibc 2.35

bool is_zero(const timespec* time) noexcept { return time != nullptr && time->tv_sec == 0 && time->tv_nsec == 0; }
bool is_zero(const timeval* time) noexcept { return time != nullptr && time->tv_sec == 0 && time->tv_usec == 0; }

/// now() is the call with a time-out of 0, and says what the call would say; 0: nothing is ready.
template <class Now, class Real>
int waiting(const blocked_calls& runtime, Now now, Real real) {
  if (const long found = now(); found != 0) return static_cast<int>(tell(found));
  const lent_processor lent(runtime);
  return real();
}

/// The sets of select(), which it overwrites.
class descriptor_sets {
 public:
  descriptor_sets(int n, fd_set* in, fd_set* out, fd_set* except) noexcept
      : n_(n), sets_{in, out, except}, bytes_((static_cast<std::size_t>(n) + bits - 1) / bits * sizeof(long)) {}

  /// select() with a time-out of 0. The sets stay as they were if nothing is ready.
  long look() noexcept {
    for (std::size_t i = 0; i != count; ++i)
      if (sets_[i] != nullptr) std::memcpy(&before_[i], sets_[i], bytes_);
    timeval none{0, 0};
    const long found = attempt(SYS_select, n_, sets_[0], sets_[1], sets_[2], &none);
    for (std::size_t i = 0; i != count; ++i)
      if (found == 0 && sets_[i] != nullptr) std::memcpy(sets_[i], &before_[i], bytes_);
    return found;
  }

 private:
  static constexpr std::size_t count = 3;
  static constexpr std::size_t bits = 8 * sizeof(long);
  int n_;
  fd_set* sets_[count];
  std::size_t bytes_;
  fd_set before_[count];
};

/// 0 too for sets that are larger than the type: callers that allocate them are not looked after.
long select_now(int n, fd_set* in, fd_set* out, fd_set* except) noexcept {
  if (n <= 0 || n > FD_SETSIZE) return 0;
  return descriptor_sets(n, in, out, except).look();
}

}  // namespace

void find_wait_functions() noexcept {
  next_poll.find();
  next_ppoll.find();
  next_poll_chk.find();
  next_ppoll_chk.find();
  next_select.find();
  next_pselect.find();
  next_epoll_wait.find();
  next_epoll_pwait.find();
  next_epoll_pwait2.find();
}

}  // namespace heddle::blocking_calls

using namespace heddle::blocking_calls;

HEDDLE_CALL int poll(pollfd* all, nfds_t n, int timeout) {
  auto* const next = next_poll.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || timeout == 0) return next(all, n, timeout);
  return waiting(
      *runtime, [=] { return n != 0 ? attempt(SYS_poll, all, n, 0) : 0; }, [=] { return next(all, n, timeout); });
}

HEDDLE_CALL int ppoll(pollfd* all, nfds_t n, const timespec* timeout, const sigset_t* mask) {
  auto* const next = next_ppoll.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || is_zero(timeout)) return next(all, n, timeout, mask);
  return waiting(
      *runtime, [=] { return n != 0 ? attempt(SYS_poll, all, n, 0) : 0; }, [=] { return next(all, n, timeout, mask); });
}

// Code that is compiled with _FORTIFY_SOURCE calls these. If the buffer is too small, libc's own says so and aborts.
HEDDLE_CALL int __poll_chk(pollfd* all, nfds_t n, int timeout, std::size_t bytes) {
  return bytes / sizeof *all < n ? next_poll_chk.get()(all, n, timeout, bytes) : ::poll(all, n, timeout);
}
HEDDLE_CALL int __ppoll_chk(pollfd* all, nfds_t n, const timespec* timeout, const sigset_t* mask, std::size_t bytes) {
  return bytes / sizeof *all < n ? next_ppoll_chk.get()(all, n, timeout, mask, bytes) : ::ppoll(all, n, timeout, mask);
}

HEDDLE_CALL int select(int n, fd_set* in, fd_set* out, fd_set* except, timeval* timeout) {
  auto* const next = next_select.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || is_zero(timeout)) return next(n, in, out, except, timeout);
  return waiting(
      *runtime, [=] { return select_now(n, in, out, except); }, [=] { return next(n, in, out, except, timeout); });
}

HEDDLE_CALL int pselect(int n, fd_set* in, fd_set* out, fd_set* except, const timespec* timeout, const sigset_t* mask) {
  auto* const next = next_pselect.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || is_zero(timeout)) return next(n, in, out, except, timeout, mask);
  return waiting(
      *runtime, [=] { return select_now(n, in, out, except); },
      [=] { return next(n, in, out, except, timeout, mask); });
}

HEDDLE_CALL int epoll_wait(int fd, epoll_event* to, int most, int timeout) {
  auto* const next = next_epoll_wait.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || timeout == 0) return next(fd, to, most, timeout);
  return waiting(
      *runtime, [=] { return attempt(SYS_epoll_wait, fd, to, most, 0); }, [=] { return next(fd, to, most, timeout); });
}

HEDDLE_CALL int epoll_pwait(int fd, epoll_event* to, int most, int timeout, const sigset_t* mask) {
  auto* const next = next_epoll_pwait.get();
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || timeout == 0) return next(fd, to, most, timeout, mask);
  return waiting(
      *runtime, [=] { return attempt(SYS_epoll_wait, fd, to, most, 0); },
      [=] { return next(fd, to, most, timeout, mask); });
}

HEDDLE_CALL int epoll_pwait2(int fd, epoll_event* to, int most, const timespec* timeout, const sigset_t* mask) {
  auto* const next = next_epoll_pwait2.get();
  if (next == nullptr) return static_cast<int>(tell(-ENOSYS));
  const blocked_calls* const runtime = fibers_runtime();
  if (runtime == nullptr || is_zero(timeout)) return next(fd, to, most, timeout, mask);
  return waiting(
      *runtime, [=] { return attempt(SYS_epoll_wait, fd, to, most, 0); },
      [=] { return next(fd, to, most, timeout, mask); });
}
