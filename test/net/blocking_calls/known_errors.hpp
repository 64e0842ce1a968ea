// SPDX-License-Identifier: BSL-1.0
//
// Calls of heddle::blocking_calls whose errors are known beforehand, and fibers that make them on a few processors
// while others leave other errors behind on each thread.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "heddle/heddle.hpp"

namespace known_errors {

#ifdef __clang__
#define HEDDLE_AS_A_LIBRARY [[gnu::noinline]]  // which has no such attribute
#else
#define HEDDLE_AS_A_LIBRARY [[gnu::noinline, gnu::optimize("O2")]]
#endif

/// As in a library, the compiler computes the address of errno once, before the call: the function that tells it is
/// constant. Whether the call has failed with that error; 0: whether it has succeeded, and errno is what it was.
template <class Call>
HEDDLE_AS_A_LIBRARY bool gives(int error, Call call) {
  constexpr int before = 4'000;
  errno = before;
  const bool failed = call() < 0;
  const int now = errno;
  return error == 0 ? !failed && now == before : failed && now == error;
}

[[gnu::noinline]] inline void set_error(int error) { errno = error; }

inline void must(bool done, const char* what) {
  if (done) return;
  std::perror(what);
  std::abort();
}

class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) { must(fd >= 0, "a descriptor"); }
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() { ::close(fd_); }
  operator int() const { return fd_; }

 private:
  int fd_;
};

class pair {
 public:
  pair() { must(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd_.data()) == 0, "socketpair"); }
  pair(const pair&) = delete;
  pair& operator=(const pair&) = delete;
  ~pair() {
    ::close(fd_[0]);
    if (fd_[1] >= 0) ::close(fd_[1]);
  }
  int left() const { return fd_[0]; }
  int right() const { return fd_[1]; }
  void close_right() { ::close(std::exchange(fd_[1], -1)); }

 private:
  std::array<int, 2> fd_{};
};

/// The calls of one fiber. Its sockets are its own.
class caller {
 public:
  static constexpr int kinds = 17;

  caller() {
    const timeval short_time{0, 500};
    must(::setsockopt(silent_.left(), SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time) == 0, "SO_RCVTIMEO");
    lonely_.close_right();
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(::bind(deaf_, reinterpret_cast<sockaddr*>(&here), sizeof here) == 0, "bind");
    socklen_t size = sizeof deaf_address_;
    must(::getsockname(deaf_, reinterpret_cast<sockaddr*>(&deaf_address_), &size) == 0, "getsockname");
  }

  /// The call of that kind; whether errno was right. From 10 on calls lend the processor.
  bool right(int kind) {
    switch (kind) {
      case 0: return gives(EBADF, [&] { return ::read(-1, to_, sizeof to_); });
      case 1: return gives(EBADF, [&] { return ::send(-1, to_, 1, 0); });
      case 2: return gives(ENOTSOCK, [&] { return ::recv(pipe_[0], to_, sizeof to_, 0); });
      case 3: return gives(EPIPE, [&] { return ::send(lonely_.left(), to_, 1, MSG_NOSIGNAL); });
      case 4: return gives(EAGAIN, [&] { return ::recv(silent_.left(), to_, sizeof to_, MSG_DONTWAIT); });
      case 5: return gives(EAGAIN, [&] { return ::read(pipe_[0], to_, sizeof to_); });  // not a blocking one
      case 6: return gives(ENOTCONN, [&] { return ::recv(deaf_, to_, sizeof to_, 0); });
      case 7: return gives(EINVAL, [&] { return ::accept(deaf_, nullptr, nullptr); });
      case 8: return gives(EMSGSIZE, [&] { return send_too_much(); });
      case 9: return gives(0, [&] { return there_and_back(); });
      case 10: return gives(ECONNRESET, [&] { return receive_after_reset(); });
      case 11: return gives(EAGAIN, [&] { return ::recv(silent_.left(), to_, sizeof to_, 0); });
      case 12: return gives(EINVAL, [&] { return wait_wrongly(); });
      case 13: return gives(EINTR, [&] { return wait_until_interrupted(); });
      case 14: return gives(ECONNREFUSED, [&] { return call_the_deaf(); });
      case 15: return gives(0, [&] { return wait_in_vain(); });
      default: return waits_and_gets();
    }
  }

 private:
  ssize_t send_too_much() {
    static constexpr std::array<char, 70'000> much{};
    return ::sendto(datagrams_, much.data(), much.size(), 0, reinterpret_cast<sockaddr*>(&deaf_address_),
                    sizeof deaf_address_);
  }
  ssize_t there_and_back() {
    if (::send(silent_.right(), to_, 1, 0) != 1) return -1;
    return ::recv(silent_.left(), to_, 1, 0);
  }
  /// The peer has gone, and left unread what it was sent.
  ssize_t receive_after_reset() {
    pair p;
    must(::send(p.left(), to_, 1, 0) == 1, "send");
    p.close_right();
    return ::recv(p.left(), to_, sizeof to_, 0);
  }
  static int wait_wrongly() {
    const timespec never{0, -1};
    return ::ppoll(nullptr, 0, &never, nullptr);
  }
  /// The signal is pending, and the call lets it in.
  static int wait_until_interrupted() {
    sigset_t one, before;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &one, &before);
    ::pthread_kill(::pthread_self(), SIGUSR1);
    sigset_t during = before;
    sigdelset(&during, SIGUSR1);
    const timespec long_time{60, 0};
    const int result = ::ppoll(nullptr, 0, &long_time, &during);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return result;
  }
  int call_the_deaf() const {
    const descriptor s(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(s, reinterpret_cast<const sockaddr*>(&deaf_address_), sizeof deaf_address_);
  }
  int wait_in_vain() const {
    pollfd one{silent_.left(), POLLIN, 0};
    return ::poll(&one, 1, 1);
  }

  /// The try finds nothing; the call succeeds, and tells nothing of that.
  bool waits_and_gets() {
    auto sender = heddle::spawn([this] { must(::send(answered_.right(), "x", 1, 0) == 1, "send"); });
    const bool right = gives(0, [&] { return ::recv(answered_.left(), to_, 1, 0); });
    sender.join();
    return right;
  }

  struct both_ends {
    both_ends() { must(::pipe2(fd.data(), O_NONBLOCK | O_CLOEXEC) == 0, "pipe2"); }
    both_ends(const both_ends&) = delete;
    both_ends& operator=(const both_ends&) = delete;
    ~both_ends() {
      for (const int end : fd) ::close(end);
    }
    int operator[](std::size_t i) const { return fd[i]; }
    std::array<int, 2> fd{};
  };

  pair silent_, lonely_, answered_;
  both_ends pipe_;
  descriptor deaf_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};  // bound, and does not listen
  descriptor datagrams_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  sockaddr_in deaf_address_{};
  char to_[16] = {};
};

/// Has signals interrupt calls of this process.
class interruptions {
 public:
  interruptions() {
    struct sigaction ours {};
    ours.sa_handler = [](int) {};
    must(::sigaction(SIGUSR1, &ours, &before_) == 0, "sigaction");
  }
  interruptions(const interruptions&) = delete;
  interruptions& operator=(const interruptions&) = delete;
  ~interruptions() { ::sigaction(SIGUSR1, &before_, nullptr); }

 private:
  struct sigaction before_ {};
};

/// So many calls of each of so many fibers, one of `rare` of which lends the processor. How many had another errno.
/// No processor is ever idle, and every thread has some other error than a moment ago.
inline long wrong_errors(unsigned procs, int fibers, int calls, int rare) {
  const interruptions signals;
  std::atomic<long> wrong{0};
  const auto main = [&] {
    std::atomic<bool> over{false};
    heddle::group callers, others;
    for (int i = 0; i != 4; ++i)
      others.spawn([&, i] {
        while (!over) {
          set_error(1'000 + i);
          heddle::this_fiber::yield();
        }
      });
    for (int i = 0; i != fibers; ++i)
      callers.spawn([&, i] {
        caller c;
        for (int k = 0; k != calls; ++k) {
          const int n = i + k;
          if (!c.right(n % rare == 0 ? 10 + n / rare % (caller::kinds - 10) : n % 10)) ++wrong;
          if (n % 4 == 0) heddle::this_fiber::yield();
        }
      });
    callers.wait();
    over = true;
    others.wait();
  };
  heddle::run(main, {.procs = procs});
  return wrong;
}

}  // namespace known_errors
