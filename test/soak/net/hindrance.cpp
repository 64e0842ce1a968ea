// SPDX-License-Identifier: BSL-1.0
#include "soak/net/hindrance.hpp"

#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>

namespace soak {

using heddle::testing::report_again;
using heddle::testing::socket_call;

/// SplitMix64; threads draw from one sequence.
std::uint64_t hindrance::chance() noexcept {
  std::uint64_t z = state_.fetch_add(0x9e3779b97f4a7c15, std::memory_order_relaxed);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

int hindrance::transfer(socket_call which, int fd, std::size_t& size) noexcept {
  if (one_in(40)) return EINTR;
  if (one_in(40)) {
    report_again(fd);
    return EAGAIN;
  }
  if (rough_ && one_in(2'000)) {
    ::shutdown(fd, SHUT_RDWR);
    return ECONNRESET;
  }
  if (rough_ && which == socket_call::send && one_in(2'000)) return ENOBUFS;
  if (size > 1 && one_in(10)) {
    size = 1 + chance() % (size - 1);
    hindered_.fetch_add(1, std::memory_order_relaxed);
  }
  return 0;
}

int hindrance::before(socket_call which, int fd, std::size_t& size) noexcept {
  if (one_in(500)) {
    const timespec moment{0, static_cast<long>(chance() % 300'000)};
    ::nanosleep(&moment, nullptr);
  }
  int e = 0;
  switch (which) {
    case socket_call::receive:
    case socket_call::send: e = transfer(which, fd, size); break;
    case socket_call::accept:
      if (one_in(20)) e = EINTR;
      if (one_in(40)) e = EMFILE;
      if (one_in(40)) {
        report_again(fd);
        e = EAGAIN;
      }
      break;
    case socket_call::wait:
      if (one_in(20)) e = EINTR;
      if (one_in(4)) size = 1;
      break;
    case socket_call::connect:
    case socket_call::set_option: break;
  }
  if (e != 0) hindered_.fetch_add(1, std::memory_order_relaxed);
  return e;
}

int hindrance::after(socket_call which, int fd, std::size_t, std::ptrdiff_t) noexcept {
  if (which == socket_call::connect) return one_in(10) ? EINTR : 0;  // it goes on being made
  // A call that was shortened may have left something, of which no change would tell.
  if (which == socket_call::receive || which == socket_call::send) report_again(fd);
  return 0;
}

}  // namespace soak
