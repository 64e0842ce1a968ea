// SPDX-License-Identifier: BSL-1.0
//
// The poller over real descriptors: what the kernel reports and when, how descriptors end, and machines that sleep
// there. Plain threads, forks: poll_threads_test.cpp. The orders of events are explored in test/model.
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "net/poller_in_use.hpp"
#include "runtime/descriptors.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using namespace heddle::testing;
using heddle::detail::poll_outcome;
using heddle::detail::poll_side;
using heddle::detail::polled;

/// A connection over loopback, whose far end breaks it off.
void break_off(int fd) {
  const linger at_once{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(fd);
}
}  // namespace

BOOST_FIXTURE_TEST_SUITE(poll, leak_check)

BOOST_AUTO_TEST_CASE(a_descriptor_is_watched_once_and_read_without_vain_attempts) {
  heddle::run([] {
    connection c;
    constexpr int messages = 200;
    std::atomic<int> attempts{0}, read{0};
    auto reader = heddle::spawn([&] {
      for (int i = 0; i != messages; ++i) {
        std::array<char, 64> room{};
        poll_outcome how{};
        const auto n = heddle::detail::attempt_until_done(c.near, poll_side::read, {}, room.size(), how, [&](int fd) {
          ++attempts;
          return ::recv(fd, room.data(), room.size(), 0);
        });
        if (n != 3) return false;
        read.store(i + 1, std::memory_order_relaxed);
      }
      return true;
    });
    for (int i = 0; i != messages; ++i) {
      c.write_far("abc");
      while (read.load(std::memory_order_relaxed) <= i) heddle::this_fiber::sleep_for(50us);
    }
    BOOST_TEST(reader.join());
    BOOST_TEST(attempts <= messages + messages / 10);  // one each, but for messages that came meanwhile
    BOOST_TEST(heddle::stats().descriptors == 1);
    BOOST_TEST(heddle::stats().events >= 1);
    BOOST_TEST(heddle::stats().polls >= 1);
    c.near.close();
    BOOST_TEST(heddle::stats().descriptors == 0);
  });
}

BOOST_AUTO_TEST_CASE(another_may_take_what_an_event_told_of) {
  heddle::run([] {
    connection c;
    const int duplicate = ::fcntl(c.near.descriptor(), F_DUPFD_CLOEXEC, 0);
    auto reader = heddle::spawn([&] { return c.receive(1); });
    for (int i = 0; i != times(200); ++i) {
      heddle::this_fiber::yield();
      c.write_far("-");
      char taken = 0;
      if (::recv(duplicate, &taken, 1, MSG_DONTWAIT) != 1) {  // the reader was faster
        BOOST_TEST(reader.join() == "-");
        reader = heddle::spawn([&] { return c.receive(1); });
      }
    }
    heddle::this_fiber::yield();
    c.write_far("+");
    BOOST_TEST(reader.join() == "+");
    ::close(duplicate);
  });
}

BOOST_AUTO_TEST_CASE(the_end_behind_the_data_is_seen) {
  heddle::run([] {
    for (int i = 0; i != times(200); ++i) {
      connection c;
      auto reader = heddle::spawn([&] {
        std::string all;
        for (std::string part; !(part = c.receive(64)).empty();) all += part;
        return all;
      });
      if (i % 2 == 0) heddle::this_fiber::yield();
      c.write_far("abc");
      ::shutdown(c.far, SHUT_WR);
      BOOST_TEST(reader.join() == "abc");
      BOOST_TEST(c.receive(1) == "");
    }
  });
}

BOOST_AUTO_TEST_CASE(a_reset_ends_the_wait) {
  heddle::run([] {
    for (int i = 0; i != times(100); ++i) {
      connection c = tcp_connection();
      auto reader = heddle::spawn([&] {
        poll_outcome how{};
        char room = 0;
        const auto n = heddle::detail::attempt_until_done(c.near, poll_side::read, {}, 1, how,
                                                          [&](int fd) { return ::recv(fd, &room, 1, 0); });
        return n < 0 ? errno : 0;
      });
      if (i % 2 == 0) heddle::this_fiber::yield();
      break_off(std::exchange(c.far, -1));
      BOOST_TEST(reader.join() == ECONNRESET);
    }
  });
}

// Bug 6 of others: shutdown, and close at once.
BOOST_AUTO_TEST_CASE(shutdown_and_close_wake_a_reader) {
  heddle::run([] {
    for (int i = 0; i != times(500); ++i) {
      connection c;
      auto reader = heddle::spawn([&] { return c.receive_outcome(1); });
      if (i % 2 == 0) heddle::this_fiber::yield();
      ::shutdown(c.near.descriptor(), SHUT_RDWR);
      c.near.close();
      const poll_outcome how = reader.join();
      BOOST_TEST((how == poll_outcome::closed || how == poll_outcome::ready));
    }
  });
}

BOOST_AUTO_TEST_CASE(a_duplicate_elsewhere_tells_nothing_of_a_closed_one) {
  heddle::run([] {
    connection old;
    const int duplicate = ::fcntl(old.near.descriptor(), F_DUPFD_CLOEXEC, 0);
    const int number = old.near.descriptor();
    BOOST_TEST((old.wait_readable(heddle::detail::deadline_after(1ms)) == poll_outcome::timed_out));
    old.near.close();
    connection next;  // has the number and the slot of the old one
    BOOST_TEST(next.near.descriptor() == number);
    auto reader = heddle::spawn([&] { return next.wait_readable(heddle::detail::deadline_after(20ms)); });
    for (int i = 0; i != 20; ++i) {
      old.write_far("-");
      heddle::this_fiber::sleep_for(500us);
    }
    BOOST_TEST((reader.join() == poll_outcome::timed_out));
    BOOST_TEST(heddle::stats().descriptors == 1);
    ::close(duplicate);
  });
}

// Bug 3 of others: an event of an old descriptor reaches one that has its number.
BOOST_AUTO_TEST_CASE(numbers_that_are_used_again_and_again) {
  heddle::run([] {
    std::vector<heddle::join_handle<bool>> all;
    for (int k = 0; k != 8; ++k)
      all.push_back(heddle::spawn([k] {
        bool right = true;
        for (int i = 0; i != times(2000); ++i) {
          connection c;
          const std::string mine = std::to_string(k) + ":" + std::to_string(i);
          auto reader = heddle::spawn([&] { return c.receive(64); });
          if (i % 3 == 0) heddle::this_fiber::yield();
          if (i % 5 == 0) {
            c.near.close();  // with the message perhaps under way
            c.write_far(mine);
            const std::string got = reader.join();
            right = right && got.empty();
          } else {
            c.write_far(mine);
            right = right && reader.join() == mine;
          }
        }
        return right;
      }));
    for (auto& one : all) BOOST_TEST(one.join());
  });
}

BOOST_AUTO_TEST_CASE(a_file_is_refused_with_the_reason) {
  heddle::run([] {
    const polled file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    polled::use now(file);
    errno = 0;
    BOOST_TEST((now.wait(poll_side::read, {}) == poll_outcome::failed));
    BOOST_TEST(errno == EPERM);
  });
}

// Bug 1 of others: wakes of a poller that sleeps are lost, one in many.
BOOST_AUTO_TEST_CASE(machines_that_poll_are_woken_each_time) {
  heddle::run(
      [] {
        connection idle;
        auto reader = heddle::spawn([&] { return idle.receive_outcome(1); });
        heddle::channel<int> there, back;
        std::thread plain([&] {
          for (const int n : there) back.send(n + 1);
        });
        bool right = true;
        for (int i = 0; i != times(100'000); ++i) {
          there.send(i);
          right = right && back.receive() == i + 1;
        }
        BOOST_TEST(right);
        there.close();
        plain.join();
        idle.near.close();
        BOOST_TEST((reader.join() == poll_outcome::closed));
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_CASE(machines_end_while_one_polls) {
  heddle::run(
      [] {
        connection c;
        auto reader = heddle::spawn([&] { return c.receive(8); });
        std::vector<heddle::join_handle<void>> blocked;
        for (int i = 0; i != 20; ++i)
          blocked.push_back(heddle::spawn([] { heddle::blocking([] { std::this_thread::sleep_for(50ms); }); }));
        for (auto& one : blocked) one.join();
        const std::size_t most = heddle::stats().machines;
        BOOST_TEST(most > 8);
        const auto until = std::chrono::steady_clock::now() + late;
        while (heddle::stats().machines > 8 && std::chrono::steady_clock::now() < until)
          heddle::this_fiber::sleep_for(50ms);
        BOOST_TEST(heddle::stats().machines <= 8);
        c.write_far("abc");
        BOOST_TEST(reader.join() == "abc");
      },
      {.procs = 2});
}

// In a forked child ThreadSanitizer has threads of its own that look like the program's.
BOOST_AUTO_TEST_CASE(a_wait_for_a_descriptor_is_no_deadlock, *boost::unit_test::enable_if<!thread_sanitized>()) {
  const auto waits = death_of([] {
    const connection c;
    // Another process writes, later than the search for deadlocks would have found one.
    if (::fork() == 0) {
      std::this_thread::sleep_for(700ms);
      c.write_far("-");
      ::_exit(0);
    }
    heddle::run([&] {
      auto reader = heddle::spawn([&] { return c.receive_outcome(1); });
      if (reader.join() != poll_outcome::ready) ::_exit(4);
    });
    ::_exit(3);
  });
  BOOST_TEST(waits.status == 3);
  const auto sleeps = death_of([] {
    heddle::run([] {
      connection c;
      auto reader = heddle::spawn([&] { return c.receive(1); });
      c.write_far("-");
      (void)reader.join();
      (void)heddle::channel<int>().receive();  // the descriptor is watched still, and nobody waits for it
    });
  });
  BOOST_TEST(sleeps.signal == SIGABRT);
  BOOST_TEST(sleeps.says("all fibers are asleep"));
}

BOOST_AUTO_TEST_SUITE_END()
