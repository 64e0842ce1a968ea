// SPDX-License-Identifier: BSL-1.0
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "event_queue.hpp"

namespace heddle::detail::platform {
namespace {

/// No descriptor has it: a slot's tag has a generation above 0.
constexpr std::uint64_t interrupt_tag = 0;

/// epoll_pwait2() came with Linux 5.11. Before, time-outs are rounded up to milliseconds.
atomic<bool> exact_waits{true};

int wait_exactly(int epoll, event* out, int n, nanoseconds_t left) noexcept {
  if (exact_waits.load(std::memory_order_relaxed)) {
    const timespec t{left / 1'000'000'000, left % 1'000'000'000};
    const int found = ::epoll_pwait2(epoll, out, n, &t, nullptr);
    if (found >= 0 || errno != ENOSYS) return found;
    exact_waits.store(false, std::memory_order_relaxed);
  }
  constexpr nanoseconds_t most = 1'000'000;
  return ::epoll_wait(epoll, out, n, static_cast<int>(std::min((left + 999'999) / 1'000'000, most)));
}

void add_one(int eventfd) noexcept {
  const int error = errno;
  const std::uint64_t one = 1;
  (void)!::write(eventfd, &one, sizeof one);
  errno = error;
}

}  // namespace

int event_queue::open() noexcept {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return errno;
  interrupts_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // Edge-triggered: each write is an event, though nobody reads what was written. (An eventfd that is kept readable and
  // armed again loses wakes on Linux from 5.3 on: bug 205933 of the kernel.)
  event e{EPOLLIN | EPOLLET, {.u64 = interrupt_tag}};
  if (interrupts_ >= 0 && ::epoll_ctl(epoll_, EPOLL_CTL_ADD, interrupts_, &e) == 0) return 0;
  const int error = errno;
  close();
  return error;
}

void event_queue::close() noexcept {
  if (interrupts_ >= 0) ::close(interrupts_);
  if (epoll_ >= 0) ::close(epoll_);
  epoll_ = interrupts_ = -1;
}

int event_queue::add(int fd, std::uint64_t tag) noexcept {
  event e{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.u64 = tag}};
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : errno;
}

void event_queue::remove(int fd) noexcept {
  event none{};
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, &none);
}

int event_queue::wait(event* out, int n, nanoseconds_t deadline) noexcept {
  int found = 0;
  if (deadline == 0)
    found = ::epoll_wait(epoll_, out, n, 0);
  else if (deadline == no_deadline)
    found = ::epoll_wait(epoll_, out, n, -1);
  else
    found = wait_exactly(epoll_, out, n, std::max<nanoseconds_t>(deadline - now(), 0));
  found = std::max(found, 0);
  return static_cast<int>(std::remove_if(out, out + found, [](const event& e) { return e.data.u64 == interrupt_tag; }) -
                          out);
}

void event_queue::interrupt() noexcept { add_one(interrupts_); }

int doorbell::open() noexcept {
  fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return fd_ >= 0 ? 0 : errno;
}
void doorbell::close() noexcept { ::close(fd_); }
void doorbell::ring() noexcept { add_one(fd_); }

bool doorbell::wait_for(int fd, bool write, nanoseconds_t deadline) noexcept {
  pollfd both[2] = {{fd, static_cast<short>(write ? POLLOUT : POLLIN | POLLRDHUP), 0}, {fd_, POLLIN, 0}};
  timespec left{};
  if (deadline != no_deadline) {
    const nanoseconds_t ns = std::max<nanoseconds_t>(deadline - now(), 0);
    left = {ns / 1'000'000'000, ns % 1'000'000'000};
  }
  if (::ppoll(both, 2, deadline != no_deadline ? &left : nullptr, nullptr) <= 0) return false;
  std::uint64_t rings = 0;
  if (both[1].revents != 0) (void)!::read(fd_, &rings, sizeof rings);
  return both[0].revents != 0;
}

void close_descriptor(int fd) noexcept { ::close(fd); }

}  // namespace heddle::detail::platform
