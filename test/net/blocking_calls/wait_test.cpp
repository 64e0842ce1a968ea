// SPDX-License-Identifier: BSL-1.0
//
// Calls of fibers that wait: for descriptors, for connections, for time.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <vector>

#include "alone.hpp"
#include "support/leak_check.hpp"

extern "C" {
int __poll_chk(pollfd* all, nfds_t n, int timeout, std::size_t bytes);
int __ppoll_chk(pollfd* all, nfds_t n, const timespec* timeout, const sigset_t* mask, std::size_t bytes);
}

namespace {

using namespace blocking_calls_test;

/// Waits until fd can be read from, `milliseconds` at most, or for ever if that is negative. Returns what the call
/// does, which is checked to have named fd if that is 1.
using waiter = std::function<int(int fd, int milliseconds)>;

const timespec* timeout_of(int milliseconds, timespec& t) {
  t = as_timespec(std::chrono::milliseconds(milliseconds));
  return milliseconds < 0 ? nullptr : &t;
}

int by_poll(const std::function<int(pollfd*, nfds_t)>& f, int fd) {
  pollfd two[] = {{-1, POLLIN, 0}, {fd, POLLIN, 0}};
  const int n = f(two, 2);
  if (n == 1) BOOST_TEST(two[1].revents == POLLIN);
  return n;
}

int by_select(const std::function<int(int, fd_set*, fd_set*, fd_set*)>& f, int fd) {
  fd_set in, out;
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(fd, &in);
  const int n = f(fd + 1, &in, &out, nullptr);
  if (n == 1) BOOST_TEST((FD_ISSET(fd, &in) && !FD_ISSET(fd, &out)));
  if (n == 0) BOOST_TEST(!FD_ISSET(fd, &in));
  return n;
}

int by_epoll(const std::function<int(int, epoll_event*)>& f, int fd) {
  const int all = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event e{};
  e.events = EPOLLIN | EPOLLONESHOT;  // a second look would see nothing
  e.data.fd = fd;
  BOOST_TEST(::epoll_ctl(all, EPOLL_CTL_ADD, fd, &e) == 0);
  e = {};
  const int n = f(all, &e);
  const int error = errno;
  if (const int found = e.data.fd; n == 1) BOOST_TEST(found == fd);
  ::close(all);
  errno = error;
  return n;
}

const waiter waiters[] = {
    [](int fd, int ms) { return by_poll([=](pollfd* p, nfds_t n) { return ::poll(p, n, ms); }, fd); },
    [](int fd, int ms) {
      return by_poll([=](pollfd* p, nfds_t n) { return __poll_chk(p, n, ms, n * sizeof *p); }, fd);
    },
    [](int fd, int ms) {
      timespec t;
      return by_poll([&](pollfd* p, nfds_t n) { return ::ppoll(p, n, timeout_of(ms, t), nullptr); }, fd);
    },
    [](int fd, int ms) {
      timespec t;
      const auto f = [&](pollfd* p, nfds_t n) { return __ppoll_chk(p, n, timeout_of(ms, t), nullptr, n * sizeof *p); };
      return by_poll(f, fd);
    },
    [](int fd, int ms) {
      timeval t = as_timeval(std::chrono::milliseconds(ms));
      const auto f = [&](int n, fd_set* in, fd_set* out, fd_set* except) {
        return ::select(n, in, out, except, ms < 0 ? nullptr : &t);
      };
      return by_select(f, fd);
    },
    [](int fd, int ms) {
      timespec t;
      const auto f = [&](int n, fd_set* in, fd_set* out, fd_set* except) {
        return ::pselect(n, in, out, except, timeout_of(ms, t), nullptr);
      };
      return by_select(f, fd);
    },
    [](int fd, int ms) { return by_epoll([=](int all, epoll_event* e) { return ::epoll_wait(all, e, 1, ms); }, fd); },
    [](int fd, int ms) {
      return by_epoll([=](int all, epoll_event* e) { return ::epoll_pwait(all, e, 1, ms, nullptr); }, fd);
    },
    [](int fd, int ms) {
      timespec t;
      const auto f = [&](int all, epoll_event* e) { return ::epoll_pwait2(all, e, 1, timeout_of(ms, t), nullptr); };
      return by_epoll(f, fd);
    },
};

sockaddr_un free_name(int listener) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  BOOST_TEST_REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&name), sizeof(sa_family_t)) == 0);
  socklen_t size = sizeof name;
  BOOST_TEST(::getsockname(listener, reinterpret_cast<sockaddr*>(&name), &size) == 0);
  return name;
}
constexpr socklen_t size_of_name = sizeof(sa_family_t) + 6;  // a zero and five digits
int new_socket(int flags = 0) { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0); }
int connect_to(int fd, const sockaddr_un& name) {
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&name), size_of_name);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(waiting, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(for_what_another_fiber_writes) {
  alone([] {
    for (const auto& wait : waiters)
      for (const int ms : {-1, 60'000}) {
        const ends p = ends::of_pipe();
        auto writer = heddle::spawn([&] { BOOST_TEST(::write(p.right(), "x", 1) == 1); });
        BOOST_TEST(wait(p.left(), ms) == 1);
        BOOST_TEST(!others_run_during([&] { BOOST_TEST(wait(p.left(), ms) == 1); }));  // it is there
        writer.join();
      }
  });
}

BOOST_AUTO_TEST_CASE(in_vain) {
  alone([] {
    for (const auto& wait : waiters) {
      const ends p = ends::of_pipe();
      BOOST_TEST(
          others_run_during_waits([&](auto time) { BOOST_TEST(wait(p.left(), static_cast<int>(time.count())) == 0); }));
      BOOST_TEST(!others_run_during([&] { BOOST_TEST(wait(p.left(), 0) == 0); }));
    }
  });
}

BOOST_AUTO_TEST_CASE(for_nothing_but_time) {
  alone([] {
    using std::chrono::milliseconds;
    const std::function<void(milliseconds)> sleepers[] = {
        [](milliseconds wait) { BOOST_TEST(::poll(nullptr, 0, static_cast<int>(wait.count())) == 0); },
        [](milliseconds wait) {
          const timespec t = as_timespec(wait);
          BOOST_TEST(::ppoll(nullptr, 0, &t, nullptr) == 0);
        },
        [](milliseconds wait) {
          timeval left = as_timeval(wait);
          BOOST_TEST(::select(0, nullptr, nullptr, nullptr, &left) == 0);
          BOOST_TEST((left.tv_sec == 0 && left.tv_usec == 0));  // as Linux has it
        },
        [](milliseconds wait) {
          const timespec t = as_timespec(wait);
          BOOST_TEST(::pselect(0, nullptr, nullptr, nullptr, &t, nullptr) == 0);
        },
        [](milliseconds wait) {
          const timespec t = as_timespec(wait);
          BOOST_TEST(::nanosleep(&t, nullptr) == 0);
        },
        [](milliseconds wait) {
          const timespec t = as_timespec(wait);
          BOOST_TEST(::clock_nanosleep(CLOCK_MONOTONIC, 0, &t, nullptr) == 0);
        },
        [](milliseconds wait) { BOOST_TEST(::usleep(static_cast<useconds_t>(wait.count() * 1'000)) == 0); },
        [](milliseconds wait) { BOOST_TEST(::sleep(std::max(1u, static_cast<unsigned>(wait.count() / 1000))) == 0u); },
    };
    for (const auto& f : sleepers) BOOST_TEST(others_run_during_waits(f));
    BOOST_TEST(!others_run_during([] {
      BOOST_TEST(::usleep(0) == 0);
      BOOST_TEST(::sleep(0) == 0u);
    }));
  });
}

BOOST_AUTO_TEST_CASE(for_a_descriptor_beyond_the_sets) {
  alone([] {
    const ends p = ends::of_pipe();
    const int high = ::fcntl(p.left(), F_DUPFD_CLOEXEC, FD_SETSIZE + 100);
    BOOST_TEST_REQUIRE(high > FD_SETSIZE);
    std::vector<fd_set> in(2);
    for (auto& s : in) FD_ZERO(&s);
    const auto word = static_cast<std::size_t>(high) / (8 * sizeof(long));
    const long bit = 1L << (static_cast<std::size_t>(high) % (8 * sizeof(long)));
    long* const words = reinterpret_cast<long*>(in.data());
    words[word] = bit;
    auto writer = heddle::spawn([&] { BOOST_TEST(::write(p.right(), "x", 1) == 1); });
    BOOST_TEST(::select(high + 1, in.data(), nullptr, nullptr, nullptr) == 1);
    BOOST_TEST(words[word] == bit);
    writer.join();
    ::close(high);
  });
}

BOOST_AUTO_TEST_CASE(with_wrong_arguments) {
  alone([] {
    for (const auto& wait : {waiters[4], waiters[5]}) {  // poll() names such a descriptor, epoll_ctl() refuses it
      const ends p = ends::of_pipe();
      const int closed = ::dup(p.left());
      ::close(closed);
      BOOST_TEST(wait(closed, -1) == -1);
      BOOST_TEST(errno == EBADF);
    }
    epoll_event e;
    BOOST_TEST(::epoll_wait(-1, &e, 1, -1) == -1);
    BOOST_TEST(errno == EBADF);
    const timespec wrong{0, 2'000'000'000};
    BOOST_TEST(::nanosleep(&wrong, nullptr) == -1);
    BOOST_TEST(errno == EINVAL);
    BOOST_TEST(::clock_nanosleep(CLOCK_MONOTONIC, 0, &wrong, nullptr) == EINVAL);
  });
}

BOOST_AUTO_TEST_CASE(for_a_connection) {
  alone([] {
    for (const bool four : {false, true}) {
      const int listener = new_socket();
      const sockaddr_un name = free_name(listener);
      BOOST_TEST(::listen(listener, 1) == 0);
      int peer = -1;
      auto dialler = heddle::spawn([&] {
        peer = new_socket();
        BOOST_TEST(connect_to(peer, name) == 0);
      });
      sockaddr_un from{};
      socklen_t size = sizeof from;
      const int fd = four ? ::accept4(listener, reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC)
                          : ::accept(listener, nullptr, nullptr);
      BOOST_TEST(fd >= 0);
      if (four) BOOST_TEST(::fcntl(fd, F_GETFD) == FD_CLOEXEC);
      dialler.join();
      BOOST_TEST(::fcntl(listener, F_SETFL, O_NONBLOCK) == 0);
      BOOST_TEST(!others_run_during([&] {
        BOOST_TEST(::accept(listener, nullptr, nullptr) == -1);
        BOOST_TEST(errno == EAGAIN);
      }));
      for (const int s : {fd, peer, listener}) ::close(s);
    }
  });
}

BOOST_AUTO_TEST_CASE(for_room_in_the_queue_of_a_listener) {
  alone([] {
    const int listener = new_socket();
    const sockaddr_un name = free_name(listener);
    BOOST_TEST(::listen(listener, 0) == 0);
    std::vector<int> all;
    for (int fd;; all.push_back(fd)) {
      fd = new_socket(SOCK_NONBLOCK);
      if (connect_to(fd, name) == 0) continue;
      BOOST_TEST(errno == EAGAIN);
      ::close(fd);
      break;
    }
    auto server = heddle::spawn([&] { all.push_back(::accept(listener, nullptr, nullptr)); });
    const int last = new_socket();
    BOOST_TEST(connect_to(last, name) == 0);
    server.join();
    all.push_back(last);
    all.push_back(listener);
    for (const int fd : all) ::close(fd);
  });
}

BOOST_AUTO_TEST_CASE(for_nobody_who_listens) {
  alone([] {
    const int fd = new_socket();
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    name.sun_path[1] = '/';
    BOOST_TEST(connect_to(fd, name) == -1);
    BOOST_TEST(errno == ECONNREFUSED);
    BOOST_TEST(connect_to(-1, name) == -1);
    BOOST_TEST(errno == EBADF);
    ::close(fd);
  });
}

BOOST_AUTO_TEST_SUITE_END()
