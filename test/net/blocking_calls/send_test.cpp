// SPDX-License-Identifier: BSL-1.0
//
// Calls of fibers that give bytes: all of them, though the other side takes few at a time.
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "alone.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace blocking_calls_test;
using giver = std::function<ssize_t(int fd, const std::string& bytes)>;

/// The bytes in `n` parts, one of them empty.
std::vector<iovec> in_parts(const std::string& bytes, std::size_t n) {
  std::vector<iovec> parts(n);
  const std::size_t each = bytes.size() / (n - 1);
  char* at = const_cast<char*>(bytes.data());
  for (std::size_t i = 0; i != n; ++i) {
    const std::size_t left = static_cast<std::size_t>(bytes.data() + bytes.size() - at);
    parts[i] = {at, i == 1 ? 0 : i == n - 1 ? left : std::min(each, left)};
    at += parts[i].iov_len;
  }
  return parts;
}
ssize_t by_sendmsg(int fd, const std::string& bytes, std::size_t n, int flags = 0) {
  auto parts = in_parts(bytes, n);
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  return ::sendmsg(fd, &message, flags);
}

const giver of_any[] = {
    [](int fd, const std::string& b) { return ::write(fd, b.data(), b.size()); },
    [](int fd, const std::string& b) { return ::writev(fd, in_parts(b, 3).data(), 3); },
    [](int fd, const std::string& b) { return ::writev(fd, in_parts(b, 100).data(), 100); },
};
const giver of_sockets[] = {
    [](int fd, const std::string& b) { return ::send(fd, b.data(), b.size(), 0); },
    [](int fd, const std::string& b) { return ::sendto(fd, b.data(), b.size(), 0, nullptr, 0); },
    [](int fd, const std::string& b) { return by_sendmsg(fd, b, 3); },
    [](int fd, const std::string& b) { return by_sendmsg(fd, b, 100); },
};
template <class F>
void for_each_of_sockets(F f) {
  for (const auto& give : of_any) f(give);
  for (const auto& give : of_sockets) f(give);
}

/// More than any buffer of the kernel here holds.
std::string many_bytes() {
  std::string b(3'000'000, '\0');
  for (std::size_t i = 0; i != b.size(); ++i) b[i] = static_cast<char>(i * i >> 7);
  return b;
}

std::string take_to_the_end(int fd) {
  std::string all;
  std::vector<char> part(50'000);
  for (ssize_t n; (n = ::read(fd, part.data(), part.size())) > 0;) all.append(part.data(), static_cast<std::size_t>(n));
  return all;
}

void gives_many(ends e, const giver& give) {
  const std::string bytes = many_bytes();
  auto reader = heddle::spawn([&] { return take_to_the_end(e.left()); });
  errno = 77;
  const ssize_t n = give(e.right(), bytes);
  BOOST_TEST(errno == 77);
  BOOST_TEST(n == static_cast<ssize_t>(bytes.size()));
  e.close_right();
  BOOST_TEST((reader.join() == bytes));
}

void fill(int fd) {
  const std::string bytes = many_bytes();
  const int before = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, before | O_NONBLOCK);
  while (::write(fd, bytes.data(), bytes.size()) > 0) {
  }
  while (::write(fd, bytes.data(), 1) > 0) {
  }
  ::fcntl(fd, F_SETFL, before);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(sending, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(many_bytes_to_a_slow_reader) {
  alone([] {
    for (const auto& give : of_any) gives_many(ends::of_pipe(), give);
    for_each_of_sockets([](const giver& give) { gives_many(ends::of_sockets(), give); });
  });
}

BOOST_AUTO_TEST_CASE(few_bytes_to_a_full_buffer) {
  alone([] {
    const auto gives_few = [](const ends& e, const giver& give) {
      fill(e.right());
      auto reader = heddle::spawn([&] {
        std::vector<char> some(200'000);
        BOOST_TEST(::read(e.left(), some.data(), some.size()) > 0);
      });
      BOOST_TEST(give(e.right(), "some bytes") == 10);
      reader.join();
    };
    for (const auto& give : of_any) gives_few(ends::of_pipe(), give);
    for_each_of_sockets([&](const giver& give) { gives_few(ends::of_sockets(), give); });
  });
}

BOOST_AUTO_TEST_CASE(datagrams_to_a_full_queue) {
  alone([] {
    for_each_of_sockets([](const giver& give) {
      const ends e = ends::of_sockets(SOCK_DGRAM);
      int sent = 0;
      while (::send(e.right(), "x", 1, MSG_DONTWAIT) == 1) ++sent;
      auto reader = heddle::spawn([&] {
        char to[64];
        for (int i = 0; i != sent; ++i) BOOST_TEST(::read(e.left(), to, 64) == 1);
        BOOST_TEST(::read(e.left(), to, 64) == 10);
      });
      BOOST_TEST(give(e.right(), "some bytes") == 10);
      reader.join();
    });
  });
}

BOOST_AUTO_TEST_CASE(without_blocking_the_processor_stays) {
  alone([] {
    const std::string bytes = many_bytes();
    const auto stays = [&](const ends& e, const giver& give) {
      BOOST_TEST(::fcntl(e.right(), F_SETFL, O_NONBLOCK) == 0);
      BOOST_TEST(!others_run_during([&] {
        const ssize_t n = give(e.right(), bytes);
        BOOST_TEST((n > 0 && n < static_cast<ssize_t>(bytes.size())));
        fill(e.right());
        BOOST_TEST(::fcntl(e.right(), F_SETFL, O_NONBLOCK) == 0);
        BOOST_TEST(give(e.right(), bytes) == -1);
        BOOST_TEST(errno == EAGAIN);
      }));
    };
    for (const auto& give : of_any) stays(ends::of_pipe(), give);
    for_each_of_sockets([&](const giver& give) { stays(ends::of_sockets(), give); });
    const ends s = ends::of_sockets();
    BOOST_TEST(!others_run_during([&] {
      BOOST_TEST(::send(s.right(), bytes.data(), bytes.size(), MSG_DONTWAIT) > 0);
      fill(s.right());
      BOOST_TEST(::send(s.right(), bytes.data(), bytes.size(), MSG_DONTWAIT) == -1);
      BOOST_TEST(errno == EAGAIN);
      BOOST_TEST(by_sendmsg(s.right(), bytes, 3, MSG_DONTWAIT) == -1);
      BOOST_TEST(errno == EAGAIN);
    }));
  });
}

BOOST_AUTO_TEST_CASE(with_a_timeout_of_the_socket) {
  alone([] {
    const std::string bytes = many_bytes();
    for_each_of_sockets([&](const giver& give) {
      BOOST_TEST(others_run_during_waits([&](auto wait) {
        const ends e = ends::of_sockets();
        const timeval time = as_timeval(wait);
        BOOST_TEST(::setsockopt(e.right(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0);
        const ssize_t n = give(e.right(), bytes);
        BOOST_TEST((n > 0 && n < static_cast<ssize_t>(bytes.size())));
      }));
      BOOST_TEST(others_run_during_waits([&](auto wait) {
        const ends e = ends::of_sockets();
        fill(e.right());
        const timeval time = as_timeval(wait);
        BOOST_TEST(::setsockopt(e.right(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0);
        BOOST_TEST(give(e.right(), bytes) == -1);
        BOOST_TEST(errno == EAGAIN);
      }));
    });
  });
}

BOOST_AUTO_TEST_CASE(what_was_given_before_the_peer_left) {
  static std::atomic<int> signals{0};
  BOOST_TEST_REQUIRE((::signal(SIGPIPE, [](int) { ++signals; }) != SIG_ERR));
  alone([] {
    const std::string bytes = many_bytes();
    int which = 0;
    for_each_of_sockets([&](const giver& give) {
      ++which;
      const ends e = ends::of_sockets();
      have_the_processor();
      std::atomic<bool> has_begun{false};
      auto closer = heddle::spawn([&] {
        has_begun = true;
        BOOST_TEST(::shutdown(e.left(), SHUT_RD) == 0);
      });
      BOOST_TEST(!has_begun);
      const ssize_t n = give(e.right(), bytes);
      BOOST_TEST((n > 0 && n < static_cast<ssize_t>(bytes.size())), "function " << which << ": " << n);
      BOOST_TEST(signals == 0);
      closer.join();
      BOOST_TEST(::send(e.right(), "x", 1, MSG_NOSIGNAL) == -1);
      BOOST_TEST(errno == EPIPE);
    });
  });
  BOOST_TEST_REQUIRE((::signal(SIGPIPE, SIG_DFL) != SIG_ERR));
}

BOOST_AUTO_TEST_CASE(a_descriptor_with_many_bytes) {
  alone([] {
    const std::string bytes = many_bytes();
    const ends e = ends::of_sockets();
    auto reader = heddle::spawn([&] {
      std::size_t taken = 0, descriptors = 0;
      std::vector<char> part(50'000);
      while (taken != bytes.size()) {
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        iovec to{part.data(), part.size()};
        msghdr message{};
        message.msg_iov = &to;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t n = ::recvmsg(e.left(), &message, MSG_CMSG_CLOEXEC);
        BOOST_TEST_REQUIRE(n > 0);
        taken += static_cast<std::size_t>(n);
        if (const cmsghdr* const c = CMSG_FIRSTHDR(&message)) {
          int got = -1;
          std::memcpy(&got, CMSG_DATA(c), sizeof got);
          ::close(got);
          ++descriptors;
        }
      }
      return descriptors;
    });
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    auto parts = in_parts(bytes, 20);
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* const c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    const int given = e.right();
    std::memcpy(CMSG_DATA(c), &given, sizeof given);
    BOOST_TEST(::sendmsg(e.right(), &message, 0) == static_cast<ssize_t>(bytes.size()));
    BOOST_TEST(reader.join() == 1u);
  });
}

BOOST_AUTO_TEST_CASE(to_no_descriptor) {
  alone([] {
    for_each_of_sockets([](const giver& give) {
      BOOST_TEST(give(-1, "some bytes") == -1);
      BOOST_TEST(errno == EBADF);
    });
    for (const auto& give : of_sockets) {
      const ends p = ends::of_pipe();
      BOOST_TEST(give(p.right(), "some bytes") == -1);
      BOOST_TEST(errno == ENOTSOCK);
    }
  });
}

BOOST_AUTO_TEST_CASE(to_a_file) {
  alone([] {
    const std::string bytes = many_bytes();
    const int file = ::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    BOOST_TEST(!others_run_during([&] {
      for (const auto& give : of_any) BOOST_TEST(give(file, bytes) == static_cast<ssize_t>(bytes.size()));
    }));
    ::close(file);
  });
}

BOOST_AUTO_TEST_SUITE_END()
