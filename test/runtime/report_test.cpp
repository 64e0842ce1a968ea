// SPDX-License-Identifier: BSL-1.0
//
// The runtime's list of fibers: those that wait at descriptors.
#include "report.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <string>

#include "cycle/requests.hpp"
#include "descriptor_text.hpp"
#include "fiber.hpp"
#include "heddle/heddle.hpp"
#include "runtime/descriptors.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace heddle::testing;
using heddle::detail::poll_side;
using heddle::detail::polled;

std::string text_of(int fd) {
  char room[256];
  return heddle::detail::describe_descriptor(fd, room, sizeof room);
}

/// Waits there for what does not come.
void wait_at(const polled& d, poll_side side, const heddle::detail::wait_bounds& bounds = {}) {
  polled::use now(d);
  now.blocked(side, now.readiness(side));
  now.wait(side, bounds);
}

/// Runs f in a child, and all fibers that it starts until they wait; then the list is printed.
template <class F>
death list_of(F f) {
  return death_of([f] {
    heddle::run(
        [&] {
          f();
          for (int i = 0; i != 50; ++i) heddle::this_fiber::yield();
          heddle::detail::report_fibers(heddle::detail::fiber_pool::instance());
          ::_exit(3);
        },
        {.procs = 1});
  });
}

struct tcp_pair {
  int near = -1, far = -1;
  std::string near_port, far_port;

  explicit tcp_pair(const char* host_text, int family) {
    union {
      sockaddr base;
      sockaddr_in v4;
      sockaddr_in6 v6;
    } at{};
    at.base.sa_family = static_cast<sa_family_t>(family);
    if (family == AF_INET) at.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (family == AF_INET6) at.v6.sin6_addr = in6addr_loopback;
    socklen_t size = family == AF_INET ? sizeof at.v4 : sizeof at.v6;
    const int listener = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    far = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    BOOST_REQUIRE(::bind(listener, &at.base, size) == 0);
    BOOST_REQUIRE(::listen(listener, 1) == 0);
    BOOST_REQUIRE(::getsockname(listener, &at.base, &size) == 0);
    near_port = std::string(host_text) + ":" + std::to_string(ntohs(at.v4.sin_port));  // at the same place in both
    BOOST_REQUIRE(::connect(far, &at.base, size) == 0);
    near = ::accept4(listener, &at.base, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    far_port = std::string(host_text) + ":" + std::to_string(ntohs(at.v4.sin_port));
    ::close(listener);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(reports, leak_check)

BOOST_AUTO_TEST_CASE(connections_have_both_addresses) {
  const tcp_pair four("127.0.0.1", AF_INET);
  BOOST_TEST(text_of(four.near) == four.near_port + " - " + four.far_port);
  BOOST_TEST(text_of(four.far) == four.far_port + " - " + four.near_port);
  ::close(four.near);
  ::close(four.far);
  if (const int six = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0); six >= 0) {
    ::close(six);
    const tcp_pair pair("[::1]", AF_INET6);
    BOOST_TEST(text_of(pair.near) == pair.near_port + " - " + pair.far_port);
    ::close(pair.near);
    ::close(pair.far);
  }
}

BOOST_AUTO_TEST_CASE(what_has_no_address_is_named_as_by_the_system) {
  int ends[2];
  BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  BOOST_TEST(text_of(ends[0]).starts_with("pipe:["));
  const int closed = ends[1];
  ::close(ends[1]);
  BOOST_TEST(text_of(closed) == "not open");
  ::close(ends[0]);
  BOOST_REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  BOOST_TEST(text_of(ends[0]).starts_with("socket:["));
  ::close(ends[0]);
  ::close(ends[1]);
}

BOOST_AUTO_TEST_CASE(names_of_unix_sockets) {
  const int s = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  const std::string name = "heddle.report." + std::to_string(::getpid());
  name.copy(at.sun_path + 1, name.size());
  BOOST_REQUIRE(::bind(s, reinterpret_cast<sockaddr*>(&at),
                       static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) == 0);
  BOOST_TEST(text_of(s) == "@" + name);
  ::close(s);
}

// In a forked child ThreadSanitizer has threads of its own that look like the program's.
BOOST_AUTO_TEST_CASE(fibers_at_descriptors_say_at_which, *boost::unit_test::enable_if<!thread_sanitized>()) {
  const tcp_pair pair("127.0.0.1", AF_INET);
  int ends[2];
  BOOST_REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  const std::string some(4096, 0);
  while (::write(ends[1], some.data(), some.size()) > 0) {
  }
  const death list = list_of([&] {
    static const polled socket(pair.near), pipe(ends[1]);
    heddle::go({.name = "reader"}, [] { wait_at(socket, poll_side::read); });
    heddle::go({.name = "bounded"}, [] {
      wait_at(socket, poll_side::read, {.deadline = heddle::detail::deadline_after(std::chrono::hours(1))});
    });
    heddle::go({.name = "writer"}, [] { wait_at(pipe, poll_side::write); });
    heddle::go({.name = "other"}, [] { (void)heddle::channel<int>().receive(); });
    heddle::go({.name = "sleeper"}, [] { heddle::this_fiber::sleep_for(std::chrono::hours(1)); });
    heddle::go({.name = "until a stop"}, [] {
      std::stop_source never;
      heddle::this_fiber::sleep_for(std::chrono::hours(1), never.get_token());
    });
    heddle::go({.name = "bounded receiver"}, [] { (void)heddle::channel<int>().receive_for(std::chrono::hours(1)); });
    heddle::go({.name = "collector's"}, [] { heddle::gc::detail::cycle_requests().wait_until(1); });
  });
  BOOST_TEST(list.status == 3);
  const std::string socket = "parked, waits to read from descriptor " + std::to_string(pair.near) + " (" +
                             pair.near_port + " - " + pair.far_port + ")\n";
  for (const char* name : {"\"reader\": ", "\"bounded\": "}) BOOST_TEST(list.says((name + socket).c_str()), list.text);
  BOOST_TEST(
      list.says(("\"writer\": parked, waits to write to descriptor " + std::to_string(ends[1]) + " (pipe:[").c_str()),
      list.text);
  BOOST_TEST(list.says("\"other\": parked, waits to receive from channel "), list.text);
  BOOST_TEST(list.says("\"sleeper\": parked, waits for time to pass (359"), list.text);  // some less than 3,600,000 ms
  BOOST_TEST(list.says("\"until a stop\": parked, waits for time to pass, or its deadline, or a stop request\n"),
             list.text);
  BOOST_TEST(list.says("\"bounded receiver\": parked, waits to receive from channel "), list.text);
  BOOST_TEST(list.says("until a send() or close(), or its deadline\n"), list.text);
  BOOST_TEST(list.says("\"collector's\": parked, waits for the end of a collection\n"), list.text);
  BOOST_TEST(list.says("\"main\": running\n"), list.text);
  for (const int fd : {pair.near, pair.far, ends[0], ends[1]}) ::close(fd);
}

/// A fiber that closes a descriptor waits for the operations of others. That is a deadlock here, and so the report says
/// it.
BOOST_AUTO_TEST_CASE(fibers_that_close_say_what, *boost::unit_test::enable_if<!thread_sanitized>()) {
  const death end = death_of([] {
    heddle::run([] {
      connection c;
      heddle::go({.name = "worker"}, [&] {
        const polled::use now(c.near);
        (void)heddle::channel<int>().receive();
      });
      heddle::this_fiber::yield();
      c.near.close();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("all fibers are asleep"));
  BOOST_TEST(end.says("\"main\": parked, waits to close descriptor "), end.text);
  BOOST_TEST(end.says(", which others use\n"), end.text);
  BOOST_TEST(end.says("\"worker\": parked, waits to receive from channel "), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
