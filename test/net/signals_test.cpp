// SPDX-License-Identifier: BSL-1.0
#include "heddle/io/signals.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "heddle/io/error.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::io::signals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // they take a child that shares memory for one of their threads
#else
constexpr bool sanitized = false;
#endif

void (*handler_of(int number))(int) {
  struct sigaction a {};
  BOOST_TEST_REQUIRE(::sigaction(number, nullptr, &a) == 0);
  return a.sa_handler;
}

std::atomic<int> own_calls{0};
void own_handler(int) { ++own_calls; }

/// A child that sends itself a signal, and is not ended by it.
[[gnu::noinline]] bool child_gets(int number, bool shares_memory) {
  const pid_t child = shares_memory ? ::vfork() : ::fork();
  if (child == 0) {
    ::kill(::getpid(), number);
    ::_exit(0);
  }
  int status = 1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(signals_as_values)

BOOST_AUTO_TEST_CASE(come_to_a_fiber_that_waits) {
  heddle::run([] {
    signals asked({SIGUSR1, SIGUSR2});
    std::atomic<int> taken{0};
    auto receiver = heddle::spawn([&] {
      const int first = asked.receive();
      taken = 1;
      return std::array{first, asked.receive()};
    });
    heddle::this_fiber::sleep_for(2ms);  // it waits, as a rule
    ::kill(::getpid(), SIGUSR2);
    while (taken == 0) heddle::this_fiber::sleep_for(1ms);  // of two that are there the smaller number comes first
    heddle::this_fiber::sleep_for(2ms);
    ::kill(::getpid(), SIGUSR1);
    BOOST_TEST((receiver.join() == std::array{SIGUSR2, SIGUSR1}));
  });
}

BOOST_AUTO_TEST_CASE(come_to_a_plain_thread) {
  signals asked({SIGUSR1});
  std::thread other([] {
    std::this_thread::sleep_for(2ms);
    ::kill(::getpid(), SIGUSR1);
  });
  BOOST_TEST(asked.receive() == SIGUSR1);
  other.join();
}

BOOST_AUTO_TEST_CASE(are_there_once_until_they_are_taken) {
  signals asked({SIGUSR1, SIGUSR2, SIGRTMIN, SIGRTMAX});
  for (int i = 0; i != 100; ++i) {
    ::raise(SIGUSR1);
    ::raise(SIGRTMIN);
  }
  ::raise(SIGRTMAX);
  BOOST_TEST(asked.receive() == SIGUSR1);
  BOOST_TEST(asked.receive() == SIGRTMIN);
  ::raise(SIGUSR1);  // again, after it has been taken
  BOOST_TEST(asked.receive() == SIGUSR1);
  BOOST_TEST(asked.try_receive() == SIGRTMAX);
  BOOST_TEST(asked.try_receive() == 0);
}

BOOST_AUTO_TEST_CASE(come_to_each_object) {
  signals first({SIGUSR1}), second({SIGUSR1, SIGUSR2});
  {
    const signals third({SIGUSR1});
    ::raise(SIGUSR1);
  }
  ::raise(SIGUSR2);
  BOOST_TEST(first.receive() == SIGUSR1);
  BOOST_TEST(first.try_receive() == 0);
  BOOST_TEST(second.receive() == SIGUSR1);
  BOOST_TEST(second.receive() == SIGUSR2);
}

BOOST_AUTO_TEST_CASE(of_one_object_go_to_all_that_wait) {
  heddle::run([] {
    signals asked({SIGUSR1, SIGUSR2, SIGHUP});
    std::atomic<int> sum{0};
    std::vector<heddle::join_handle<void>> all;
    for (int i = 0; i != 3; ++i) all.push_back(heddle::spawn([&] { sum += asked.receive(); }));
    heddle::this_fiber::sleep_for(2ms);
    heddle::blocking([] {  // no switch in between, so that one wake may find all three
      for (const int n : {SIGUSR1, SIGUSR2, SIGHUP}) ::raise(n);
    });
    for (auto& f : all) f.join();
    BOOST_TEST(sum == SIGUSR1 + SIGUSR2 + SIGHUP);
  });
}

BOOST_AUTO_TEST_CASE(waits_have_limits) {
  heddle::run([] {
    signals asked({SIGUSR1});
    std::error_code ec;
    BOOST_TEST(asked.receive(2ms, ec) == 0);
    BOOST_TEST((ec == std::errc::timed_out));
    std::stop_source stop;
    auto stopper = heddle::spawn([&] { stop.request_stop(); });
    BOOST_TEST(asked.receive(stop.get_token(), ec) == 0);
    BOOST_TEST((ec == std::errc::operation_canceled));
    stopper.join();
    BOOST_CHECK_THROW(asked.receive(1ms), heddle::io::error);
    ::raise(SIGUSR1);
    BOOST_TEST(asked.receive(1h, ec) == SIGUSR1);
    BOOST_TEST(!ec);
  });
}

BOOST_AUTO_TEST_CASE(as_a_channel) {
  heddle::run([] {
    heddle::channel<int> never;
    {
      signals asked({SIGUSR1, SIGUSR2});
      heddle::channel<int>& c = asked.received();
      BOOST_TEST(&asked.received() == &c);
      ::raise(SIGUSR2);
      int got = 0;
      heddle::select(heddle::on_receive(never, [](auto) {}), heddle::on_receive(c, [&](auto n) { got = n.value(); }));
      BOOST_TEST(got == SIGUSR2);
      // One may be on its way already; the others are one.
      for (int i = 0; i != 100; ++i) {
        ::raise(SIGUSR1);
        heddle::this_fiber::yield();
      }
      BOOST_TEST(c.receive().value() == SIGUSR1);
      int more = 0;
      while (c.receive_for(20ms)) ++more;
      BOOST_TEST(more <= 1);
      ::raise(SIGUSR1);  // nobody will take it
      heddle::this_fiber::sleep_for(2ms);
    }
  });
}

BOOST_AUTO_TEST_CASE(give_back_the_handler_that_was_there) {
  ::signal(SIGUSR1, own_handler);
  ::signal(SIGUSR2, SIG_IGN);
  {
    const signals one({SIGUSR1});
    {
      const signals two({SIGUSR1, SIGUSR2});
      BOOST_TEST((handler_of(SIGUSR1) != own_handler));
      struct sigaction a {};
      ::sigaction(SIGUSR2, nullptr, &a);
      BOOST_TEST((a.sa_flags & (SA_ONSTACK | SA_RESTART)) == (SA_ONSTACK | SA_RESTART));
    }
    BOOST_TEST((handler_of(SIGUSR1) != own_handler));
    BOOST_TEST((handler_of(SIGUSR2) == SIG_IGN));
    ::raise(SIGUSR1);
  }
  BOOST_TEST(own_calls == 0);
  BOOST_TEST((handler_of(SIGUSR1) == own_handler));
  {
    const signals one({SIGUSR2});
    ::signal(SIGUSR2, own_handler);
  }
  BOOST_TEST((handler_of(SIGUSR2) == own_handler));  // it is not ours to take away
  ::signal(SIGUSR1, SIG_DFL);
  ::signal(SIGUSR2, SIG_DFL);
}

BOOST_AUTO_TEST_CASE(are_refused_if_they_cannot_be_received) {
  for (const int n : {0, -1, 65, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, 32}) {
    try {
      const signals asked({SIGUSR1, n});
      BOOST_ERROR("it was taken: " << n);
    } catch (const heddle::io::error& e) {
      BOOST_TEST((e.code() == std::errc::invalid_argument));
      BOOST_TEST(std::string(e.what()).find("receive signal " + std::to_string(n)) != std::string::npos);
    }
    BOOST_TEST((handler_of(SIGUSR1) == SIG_DFL));
  }
}

BOOST_AUTO_TEST_CASE(of_children_are_theirs) {
  heddle::run([] {
    signals asked({SIGUSR1});
    for (const bool shares_memory : {false, !sanitized}) {
      BOOST_TEST(child_gets(SIGUSR1, shares_memory));
      std::error_code ec;
      BOOST_TEST(asked.receive(2ms, ec) == 0);
    }
    ::raise(SIGUSR1);
    BOOST_TEST(asked.receive() == SIGUSR1);
  });
}

// Handlers run on all threads while objects come and go: no signal is lost to those that stay, and the descriptors of
// those that go are not written to.
BOOST_AUTO_TEST_CASE(while_objects_come_and_go) {
  std::atomic<bool> over{false};
  const signals stays({SIGUSR2});
  std::vector<std::thread> senders;
  for (int i = 0; i != 2; ++i)
    senders.emplace_back([&] {
      while (!over) {
        ::raise(SIGUSR2);
        std::this_thread::yield();
      }
    });
  std::array<int, 2> pair{};
  int wrong = 0;
  for (int i = 0; i != 2000; ++i) {
    {
      signals asked({SIGUSR1, SIGUSR2});
      ::raise(SIGUSR1);
      for (int n = 0; n != SIGUSR1;) n = asked.receive();
    }
    // The number of the event counter that has just been closed is the first one's now.
    wrong += ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0;
    std::this_thread::yield();
    char c = 0;
    wrong += ::read(pair[1], &c, 1) != -1 || errno != EAGAIN;
    for (const int fd : pair) ::close(fd);
  }
  over = true;
  for (auto& t : senders) t.join();
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()
