// SPDX-License-Identifier: BSL-1.0
//
// Calls of fibers that take bytes.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <cerrno>
#include <functional>
#include <string>

#include "alone.hpp"
#include "support/leak_check.hpp"

// Of code that is compiled with _FORTIFY_SOURCE.
extern "C" {
ssize_t __read_chk(int fd, void* to, std::size_t n, std::size_t room);
ssize_t __recv_chk(int fd, void* to, std::size_t n, std::size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void* to, std::size_t n, std::size_t room, int flags, sockaddr* from, socklen_t* size);
}

namespace {

using namespace blocking_calls_test;

/// How bytes are taken from fd, up to 64.
using taker = std::function<ssize_t(int fd, char* to)>;

ssize_t by_readv(int fd, char* to) {
  iovec parts[] = {{to, 3}, {to + 3, 61}};
  return ::readv(fd, parts, 2);
}
ssize_t by_recvmsg(int fd, char* to, int flags) {
  iovec parts[] = {{to, 3}, {to + 3, 61}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  return ::recvmsg(fd, &message, flags);
}

const taker of_any[] = {
    [](int fd, char* to) { return ::read(fd, to, 64); },
    [](int fd, char* to) { return __read_chk(fd, to, 64, 64); },
    by_readv,
};
const taker of_sockets[] = {
    [](int fd, char* to) { return ::recv(fd, to, 64, 0); },
    [](int fd, char* to) { return __recv_chk(fd, to, 64, 64, 0); },
    [](int fd, char* to) { return ::recvfrom(fd, to, 64, 0, nullptr, nullptr); },
    [](int fd, char* to) { return __recvfrom_chk(fd, to, 64, 64, 0, nullptr, nullptr); },
    [](int fd, char* to) { return by_recvmsg(fd, to, 0); },
};

/// The result of take() when another fiber writes "hello" meanwhile, and when it is there already.
void takes_hello(const ends& e, const taker& take) {
  for (const bool early : {false, true}) {
    char to[64]{};
    auto writer = heddle::spawn([&] { BOOST_TEST(::write(e.right(), "hello", 5) == 5); });
    if (early) heddle::this_fiber::yield();
    errno = 77;
    const ssize_t n = take(e.left(), to);
    BOOST_TEST(errno == 77);  // the attempts leave no trace
    BOOST_TEST(n == 5);
    BOOST_TEST(std::string(to, 5) == "hello");
    writer.join();
  }
}

template <class F>
void for_each_of_sockets(F f) {
  for (const auto& take : of_any) f(take);
  for (const auto& take : of_sockets) f(take);
}

void set_timeout(int fd, std::chrono::milliseconds wait) {
  const timeval time = as_timeval(wait);
  BOOST_TEST_REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(receiving, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(from_what_another_fiber_writes_to) {
  alone([] {
    for (const auto& take : of_any) takes_hello(ends::of_pipe(), take);
    for_each_of_sockets([](const taker& take) {
      takes_hello(ends::of_sockets(), take);
      takes_hello(ends::of_sockets(SOCK_DGRAM), take);
      takes_hello(ends::of_sockets(SOCK_SEQPACKET), take);
    });
  });
}

BOOST_AUTO_TEST_CASE(the_end_of_a_stream) {
  alone([] {
    for_each_of_sockets([](const taker& take) {
      ends e = ends::of_sockets();
      auto closer = heddle::spawn([&] { e.close_right(); });
      char to[64];
      BOOST_TEST(take(e.left(), to) == 0);
      closer.join();
    });
  });
}

BOOST_AUTO_TEST_CASE(from_an_event_counter) {
  alone([] {
    const int counter = ::eventfd(0, EFD_CLOEXEC);
    auto writer = heddle::spawn([&] { BOOST_TEST(::eventfd_write(counter, 5) == 0); });
    std::uint64_t n = 0;
    BOOST_TEST(::read(counter, &n, sizeof n) == 8);
    BOOST_TEST(n == 5);
    writer.join();
    ::close(counter);
  });
}

BOOST_AUTO_TEST_CASE(without_blocking_the_processor_stays) {
  alone([] {
    for_each_of_sockets([](const taker& take) {
      const ends e = ends::of_sockets();
      BOOST_TEST(::fcntl(e.left(), F_SETFL, O_NONBLOCK) == 0);
      char to[64];
      BOOST_TEST(!others_run_during([&] {
        BOOST_TEST(take(e.left(), to) == -1);
        BOOST_TEST(errno == EAGAIN);
      }));
    });
    const ends p = ends::of_pipe();
    BOOST_TEST(::fcntl(p.left(), F_SETFL, O_NONBLOCK) == 0);
    char to[64];
    BOOST_TEST(!others_run_during([&] {
      BOOST_TEST(::read(p.left(), to, 64) == -1);
      BOOST_TEST(errno == EAGAIN);
    }));
    const ends s = ends::of_sockets();
    BOOST_TEST(!others_run_during([&] {
      for (const int flags : {int{MSG_DONTWAIT}, MSG_DONTWAIT | MSG_WAITALL}) {
        BOOST_TEST(::recv(s.left(), to, 64, flags) == -1);
        BOOST_TEST(errno == EAGAIN);
        BOOST_TEST(by_recvmsg(s.left(), to, flags) == -1);
        BOOST_TEST(errno == EAGAIN);
      }
    }));
  });
}

BOOST_AUTO_TEST_CASE(with_a_timeout_of_the_socket) {
  alone([] {
    for_each_of_sockets([](const taker& take) {
      const ends e = ends::of_sockets();
      char to[64];
      BOOST_TEST(others_run_during_waits([&](auto wait) {
        set_timeout(e.left(), wait);
        BOOST_TEST(take(e.left(), to) == -1);
        BOOST_TEST(errno == EAGAIN);
      }));
    });
  });
}

BOOST_AUTO_TEST_CASE(all_that_was_asked_for) {
  alone([] {
    const taker all[] = {
        [](int fd, char* to) { return ::recv(fd, to, 10, MSG_WAITALL); },
        [](int fd, char* to) { return ::recvfrom(fd, to, 10, MSG_WAITALL, nullptr, nullptr); },
        [](int fd, char* to) {
          iovec parts[] = {{to, 4}, {to + 4, 6}};
          msghdr message{};
          message.msg_iov = parts;
          message.msg_iovlen = 2;
          return ::recvmsg(fd, &message, MSG_WAITALL);
        },
    };
    for (const auto& take : all)
      for (const int first : {0, 1, 10}) {
        const ends e = ends::of_sockets();
        BOOST_TEST(::write(e.right(), "0123456789", static_cast<std::size_t>(first)) == first);
        auto writer = heddle::spawn([&] {
          for (int i = first; i != 10; ++i) {
            BOOST_TEST(::write(e.right(), &"0123456789"[i], 1) == 1);
            heddle::this_fiber::yield();
          }
        });
        char to[64];
        BOOST_TEST(take(e.left(), to) == 10);
        BOOST_TEST(std::string(to, 10) == "0123456789");
        writer.join();
      }
  });
}

BOOST_AUTO_TEST_CASE(all_that_came_before_the_end) {
  alone([] {
    ends e = ends::of_sockets();
    auto writer = heddle::spawn([&] {
      BOOST_TEST(::write(e.right(), "abc", 3) == 3);
      e.close_right();
    });
    char to[64];
    BOOST_TEST(::recv(e.left(), to, 10, MSG_WAITALL) == 3);
    writer.join();
  });
}

BOOST_AUTO_TEST_CASE(a_look_takes_nothing) {
  alone([] {
    const ends e = ends::of_sockets();
    auto writer = heddle::spawn([&] { BOOST_TEST(::write(e.right(), "hello", 5) == 5); });
    char to[64];
    BOOST_TEST(::recv(e.left(), to, 64, MSG_PEEK) == 5);
    BOOST_TEST(::recv(e.left(), to, 5, MSG_PEEK | MSG_WAITALL) == 5);
    BOOST_TEST(by_recvmsg(e.left(), to, MSG_PEEK) == 5);
    BOOST_TEST(::read(e.left(), to, 64) == 5);
    writer.join();
  });
}

BOOST_AUTO_TEST_CASE(no_bytes) {
  alone([] {
    const ends e = ends::of_sockets(SOCK_DGRAM);
    char to[64];
    BOOST_TEST(::send(e.right(), "one", 3, 0) == 3);
    iovec none{to, 0};
    BOOST_TEST(::read(e.left(), to, 0) == 0);  // unlike recv() it leaves the message there
    BOOST_TEST(::readv(e.left(), &none, 1) == 0);
    BOOST_TEST(::recv(e.left(), to, 64, 0) == 3);
    BOOST_TEST(::send(e.right(), "", 0, 0) == 0);
    BOOST_TEST(::recv(e.left(), to, 64, 0) == 0);
    const ends stream = ends::of_sockets();
    BOOST_TEST(::read(stream.left(), to, 0) == 0);
    BOOST_TEST(::readv(stream.left(), &none, 1) == 0);
  });
}

BOOST_AUTO_TEST_CASE(with_the_sender_of_a_datagram) {
  alone([] {
    const int to = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), from = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    sockaddr_storage name{};
    name.ss_family = AF_UNIX;
    BOOST_TEST(::bind(to, reinterpret_cast<sockaddr*>(&name), sizeof(sa_family_t)) ==
               0);  // a name of the kernel's choice
    BOOST_TEST(::bind(from, reinterpret_cast<sockaddr*>(&name), sizeof(sa_family_t)) == 0);
    socklen_t size = sizeof name;
    BOOST_TEST(::getsockname(to, reinterpret_cast<sockaddr*>(&name), &size) == 0);
    auto writer =
        heddle::spawn([&] { BOOST_TEST(::sendto(from, "hi", 2, 0, reinterpret_cast<sockaddr*>(&name), size) == 2); });
    sockaddr_storage sender{}, wanted{};
    socklen_t sender_size = sizeof sender, wanted_size = sizeof wanted;
    char bytes[64];
    BOOST_TEST(::recvfrom(to, bytes, 64, 0, reinterpret_cast<sockaddr*>(&sender), &sender_size) == 2);
    BOOST_TEST(::getsockname(from, reinterpret_cast<sockaddr*>(&wanted), &wanted_size) == 0);
    BOOST_TEST(sender_size == wanted_size);
    BOOST_TEST(std::string(reinterpret_cast<char*>(&sender), sender_size) ==
               std::string(reinterpret_cast<char*>(&wanted), wanted_size));
    writer.join();
    ::close(to);
    ::close(from);
  });
}

BOOST_AUTO_TEST_CASE(from_no_descriptor) {
  alone([] {
    for_each_of_sockets([](const taker& take) {
      char to[64];
      BOOST_TEST(take(-1, to) == -1);
      BOOST_TEST(errno == EBADF);
    });
    for (const auto& take : of_sockets) {
      char to[64];
      const ends p = ends::of_pipe();
      BOOST_TEST(take(p.left(), to) == -1);
      BOOST_TEST(errno == ENOTSOCK);
    }
    iovec part{nullptr, 1};
    volatile int too_few = -1;  // not for the compiler to see
    BOOST_TEST(::readv(0, &part, too_few) == -1);
    BOOST_TEST(errno == EINVAL);
  });
}

BOOST_AUTO_TEST_CASE(from_a_file) {
  alone([] {
    const int file = ::open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    BOOST_TEST(!others_run_during([&] {
      char to[64]{};
      for (const auto& take : of_any) BOOST_TEST(take(file, to) == 64);
    }));
    ::close(file);
  });
}

BOOST_AUTO_TEST_SUITE_END()
