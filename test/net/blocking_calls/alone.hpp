// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>

#include "heddle/heddle.hpp"
#include "support/scale.hpp"

namespace blocking_calls_test {

/// f() as a fiber of a runtime with one processor and no monitor: nobody takes the processor of a fiber that blocks. So
/// a call that another fiber ends comes to its end only if it lends the processor.
template <class F>
void alone(F f) {
  heddle::run(f, {.procs = 1, .monitor = false});
}

/// A fiber that has lent its processor may find it taken, and then runs on beside others. From here on it has the
/// processor again, and those that it makes wait until it lends it, or suspends.
inline void have_the_processor() { heddle::this_fiber::yield(); }

/// f() with another fiber queued. Whether that one has run when f() is over.
template <class F>
bool others_run_during(F f) {
  have_the_processor();
  bool ran = false;
  auto other = heddle::spawn([&] { ran = true; });
  f();
  const bool during = ran;
  other.join();
  return during;
}

/// f(wait), a call that ends by itself after so long. Whether another fiber has run during one of them. The thread that
/// takes the processor may begin later than a short wait ends; so each is four times as long as the one before.
template <class F>
bool others_run_during_waits(F f) {
  for (std::chrono::milliseconds wait{5}; wait < heddle::testing::late; wait *= 4)
    if (others_run_during([&] { f(wait); })) return true;
  return false;
}

inline timeval as_timeval(std::chrono::milliseconds wait) { return {wait.count() / 1000, wait.count() % 1000 * 1'000}; }
inline timespec as_timespec(std::chrono::milliseconds wait) {
  return {wait.count() / 1000, wait.count() % 1000 * 1'000'000};
}

/// Two descriptors that belong together.
class ends {
 public:
  /// A pipe: `left` is read from.
  static ends of_pipe() {
    ends e;
    BOOST_TEST_REQUIRE(::pipe(e.fd_.data()) == 0);
    return e;
  }
  static ends of_sockets(int type = SOCK_STREAM) {
    ends e;
    BOOST_TEST_REQUIRE(::socketpair(AF_UNIX, type, 0, e.fd_.data()) == 0);
    return e;
  }
  ends(ends&& other) noexcept : fd_(other.fd_) { other.fd_ = {-1, -1}; }
  ~ends() {
    close_left();
    close_right();
  }
  int left() const { return fd_[0]; }
  int right() const { return fd_[1]; }
  void close_left() { close(fd_[0]); }
  void close_right() { close(fd_[1]); }

 private:
  ends() = default;
  static void close(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  std::array<int, 2> fd_{-1, -1};
};

}  // namespace blocking_calls_test
