// SPDX-License-Identifier: BSL-1.0
//
// Waits for descriptors by plain threads and pinned fibers, with and without a runtime; forks.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "runtime/descriptors.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using namespace heddle::testing;
using heddle::detail::deadline_after;
using heddle::detail::poll_outcome;
using heddle::detail::poll_side;

/// Runs f in a forked child; its exit status, 1000 if it was killed.
template <class F>
int status_of_fork(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    ::_exit(f());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(poll_threads, leak_check)

BOOST_AUTO_TEST_CASE(a_thread_waits_without_a_runtime) {
  const connection c;
  std::thread peer([&] {
    for (int i = 0; i != times(500); ++i) {
      c.write_far("-");
      if (i % 2 == 0) std::this_thread::yield();
    }
    ::shutdown(c.far, SHUT_WR);
  });
  std::size_t all = 0;
  for (std::string part; !(part = c.receive(7)).empty();) all += part.size();
  BOOST_TEST(all == static_cast<std::size_t>(times(500)));
  peer.join();
}

BOOST_AUTO_TEST_CASE(a_thread_waits_until_a_deadline) {
  connection c;
  const auto soon = deadline_after(5ms);
  BOOST_TEST((c.receive_outcome(1, {.deadline = soon}) == poll_outcome::timed_out));
  BOOST_TEST(heddle::detail::monotonic_now() >= soon);
  std::thread setter([&] { c.near.set_deadline(poll_side::read, deadline_after(5ms)); });
  BOOST_TEST((c.receive_outcome(1) == poll_outcome::timed_out));
  setter.join();
}

BOOST_AUTO_TEST_CASE(a_thread_waits_until_a_stop) {
  const connection c;
  std::stop_source stop;
  const std::stop_token token = stop.get_token();
  std::thread stopper([&] { stop.request_stop(); });
  BOOST_TEST((c.receive_outcome(1, {.stop = &token}) == poll_outcome::stopped));
  stopper.join();
}

BOOST_AUTO_TEST_CASE(a_thread_waits_until_another_closes) {
  for (int i = 0; i != times(200); ++i) {
    connection c;
    std::thread waiting([&] { BOOST_TEST((c.receive_outcome(1) == poll_outcome::closed)); });
    if (i % 2 == 0) std::this_thread::yield();
    c.near.close();
    waiting.join();
  }
}

BOOST_AUTO_TEST_CASE(signals_do_not_end_a_wait) {
  struct sigaction found {};
  struct sigaction heeded {};
  heeded.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &heeded, &found);
  const connection c;
  std::thread waiting([&] { BOOST_TEST(c.receive(8) == "abc"); });
  for (int i = 0; i != 100; ++i) {
    ::pthread_kill(waiting.native_handle(), SIGUSR1);
    std::this_thread::sleep_for(100us);
  }
  c.write_far("abc");
  waiting.join();
  ::sigaction(SIGUSR1, &found, nullptr);
}

BOOST_AUTO_TEST_CASE(a_pinned_fiber_waits_on_its_thread) {
  heddle::run(
      [] {
        const connection c;
        auto reader = heddle::spawn([&] {
          return heddle::blocking([&] {
            const auto mine = ::pthread_self();
            const std::string got = c.receive(8);
            return got == "abc" && ::pthread_equal(mine, ::pthread_self()) != 0;
          });
        });
        heddle::this_fiber::yield();  // the only processor is free
        c.write_far("abc");
        BOOST_TEST(reader.join());
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_CASE(a_thread_and_a_fiber_wait_for_the_same) {
  heddle::run([] {
    for (int i = 0; i != times(100); ++i) {
      const connection c;
      std::thread waiting([&] { heddle::testing::expect(c.receive(1) == "-"); });
      auto reader = heddle::spawn([&] { return c.receive(1); });
      if (i % 2 == 0) heddle::this_fiber::yield();
      c.write_far("--");
      BOOST_TEST(reader.join() == "-");
      waiting.join();
    }
  });
}

BOOST_AUTO_TEST_CASE(a_runtime_ends_while_a_thread_waits) {
  const connection c;
  std::atomic<bool> waits{false};
  std::thread waiting([&] {
    waits = true;
    BOOST_TEST(c.receive(8) == "abc");
  });
  while (!waits) std::this_thread::yield();
  heddle::run([&] { BOOST_TEST((c.wait_readable(deadline_after(1ms)) == poll_outcome::timed_out)); });
  heddle::run([] {});
  c.write_far("abc");
  waiting.join();
}

BOOST_AUTO_TEST_CASE(a_descriptor_outlives_its_runtime) {
  const connection c;
  for (int i = 0; i != times(50); ++i)
    heddle::run([&] {
      auto reader = heddle::spawn([&] { return c.receive(8, {.deadline = deadline_after(1h)}); });
      heddle::this_fiber::yield();
      c.write_far("abc");
      BOOST_TEST(reader.join() == "abc");
    });
}

BOOST_AUTO_TEST_CASE(a_child_goes_on_with_what_it_has_inherited, *boost::unit_test::enable_if<!sanitized>()) {
  heddle::run([] {
    const connection for_child, for_parent;
    auto reader = heddle::spawn([&] { return for_parent.receive(8); });
    heddle::this_fiber::yield();
    // So it is watched when the child gets it, and known as empty.
    BOOST_TEST((for_child.wait_readable(deadline_after(1ms)) == poll_outcome::timed_out));
    for (int i = 0; i != 5; ++i) {
      const int status = status_of_fork([&] {
        return heddle::run([&] {
          const heddle::statistics s = heddle::stats();
          if (s.descriptors != 0 || s.polls != 0 || s.events != 0) return 9;
          heddle::go([&] { for_child.write_far("child"); });
          return for_child.receive(8) == "child" ? 7 : 8;
        });
      });
      BOOST_TEST(status == 7);
    }
    for_parent.write_far("parent");
    BOOST_TEST(reader.join() == "parent");
    for_child.write_far("again");
    BOOST_TEST(for_child.receive(8) == "again");
  });
}

/// One that waits in close() is not there in the child, and neither are those that it waits for.
template <class End>
int closed_in_child(connection& c, int number, End end) {
  std::atomic<bool> used{false}, over{false};
  std::thread user([&] {
    const heddle::detail::polled::use now(c.near);
    used = true;
    while (!over) std::this_thread::yield();
  });
  while (!used) std::this_thread::yield();
  std::thread closer([&] { end(); });
  while (c.near.is_open()) std::this_thread::yield();
  const int status = status_of_fork([&] {
    const bool open = ::fcntl(number, F_GETFD) >= 0;
    if (c.near.is_open()) return 1;
    c.near.close();  // nobody waits for it here
    connection other;
    other.write_far("-");
    if (other.receive(1) != "-" || c.near.is_open()) return 2;
    return open ? 8 : 7;
  });
  over = true;
  user.join();
  closer.join();
  return status;
}

BOOST_AUTO_TEST_CASE(a_child_closes_what_its_parent_was_about_to_close,
                     *boost::unit_test::enable_if<!thread_sanitized>()) {
  connection closed;
  BOOST_TEST(closed_in_child(closed, closed.near.descriptor(), [&] { closed.near.close(); }) == 7);
  BOOST_TEST(!closed.near.is_open());
  connection released;
  const int number = released.near.descriptor();
  BOOST_TEST(closed_in_child(released, number, [&] { BOOST_TEST(released.near.release() == number); }) == 8);
  ::close(number);
}

/// A close that lasts: its number is another file's while it does.
BOOST_AUTO_TEST_CASE(a_child_closes_no_number_that_is_used_again, *boost::unit_test::enable_if<!thread_sanitized>()) {
  connection c = tcp_connection();
  const int number = c.near.descriptor();
  const linger patient{1, 20};
  ::setsockopt(number, SOL_SOCKET, SO_LINGER, &patient, sizeof patient);
  const std::string some(65536, '-');
  while (::send(number, some.data(), some.size(), MSG_NOSIGNAL) > 0) {  // more than the far end will take
  }
  std::atomic<bool> closed{false};
  std::thread closer([&] {
    c.near.close();
    closed = true;
  });
  while (::fcntl(number, F_GETFD) >= 0) std::this_thread::yield();
  BOOST_REQUIRE(::dup2(c.far, number) == number);
  const int status = status_of_fork([&] { return ::fcntl(number, F_GETFD) >= 0 ? 7 : 8; });
  BOOST_TEST(status == 7);
  BOOST_TEST(!closed);
  ::close(std::exchange(c.far, -1));
  ::close(number);
  closer.join();
}

/// How many descriptors of this process are event counters.
int event_counters() {
  int n = 0;
  for (int fd = 0; fd != 1024; ++fd) {
    char link[64] = {};
    if (::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), link, sizeof link - 1) > 0)
      n += std::strcmp(link, "anon_inode:[eventfd]") == 0;
  }
  return n;
}

BOOST_AUTO_TEST_CASE(a_child_has_no_bell_of_a_thread_that_waits, *boost::unit_test::enable_if<!thread_sanitized>()) {
  const int counters = event_counters();
  connection c;
  std::vector<std::thread> waiting;
  for (int i = 0; i != 3; ++i) waiting.emplace_back([&] { (void)c.receive_outcome(1); });
  while (event_counters() != counters + 3) std::this_thread::yield();
  std::this_thread::sleep_for(50ms);  // until each is in the list, mostly
  bool clean = false;
  for (int i = 0; i != 20 && !clean; ++i) {
    clean = status_of_fork([] { return event_counters(); }) == 0;  // its own poller has none yet
    std::this_thread::sleep_for(20ms);
  }
  BOOST_TEST(clean);
  c.near.close();
  for (std::thread& t : waiting) t.join();
}

BOOST_AUTO_TEST_CASE(children_of_threads_that_open_and_close, *boost::unit_test::enable_if<!sanitized>()) {
  std::atomic<bool> over{false};
  std::vector<connection> kept(20);
  const auto works = [&] {
    while (!over) {
      const connection c;
      c.write_far("-");
      (void)c.receive(1);
      (void)c.wait_readable(deadline_after(100us));
    }
  };
  std::thread one(works), two(works);
  for (int i = 0; i != times(60); ++i) {
    const int status = status_of_fork([&] {
      for (const connection& c : kept)
        if (::fcntl(c.near.descriptor(), F_GETFD) < 0 || ::fcntl(c.far, F_GETFD) < 0) return 1;
      return heddle::run([&] {
        std::vector<connection> many(100);
        for (const connection& c : many) c.write_far("-");
        for (const connection& c : many)
          if (c.receive(1) != "-") return 2;
        return 7;
      });
    });
    BOOST_TEST(status == 7);
  }
  over = true;
  one.join();
  two.join();
}

BOOST_AUTO_TEST_SUITE_END()
