// SPDX-License-Identifier: BSL-1.0
//
// Calls that block now: the processor goes to others at once. There is no monitor here, so nobody else could take it.
#include "heddle/detail/blocked_section.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

#include "heddle/detail/polled.hpp"
#include "heddle/heddle.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::detail::blocked_section;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;  // they take a child that shares memory for one of their threads
#else
constexpr bool sanitized = false;
#endif

/// Both ends of a pipe.
struct pipe_ends {
  pipe_ends() { BOOST_REQUIRE(::pipe(fd.data()) == 0); }
  ~pipe_ends() {
    ::close(fd[0]);
    ::close(fd[1]);
  }
  pipe_ends(const pipe_ends&) = delete;
  pipe_ends& operator=(const pipe_ends&) = delete;
  void put() const { BOOST_TEST_REQUIRE(::write(fd[1], "x", 1) == 1); }
  /// Blocks the thread until there is something.
  ssize_t take() const {
    char c = 0;
    return ::read(fd[0], &c, 1);
  }

  std::array<int, 2> fd{};
};

/// Whether a child of vfork(), which sees the machine's thread-locals, could lend its processor.
[[gnu::noinline]] bool lent_in_sharing_child() {
  volatile bool lent = true;
  const pid_t child = ::vfork();
  if (child == 0) {
    lent = blocked_section::begin();
    ::_exit(0);
  }
  BOOST_TEST(::waitpid(child, nullptr, 0) == child);
  return lent;
}

ssize_t take_lending(const pipe_ends& p) {
  const blocked_section lent;
  return p.take();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(blocked_sections, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(let_others_run_and_keep_their_thread) {
  for (const unsigned procs : {1u, 2u})
    heddle::run(
        [] {
          const pipe_ends p;
          std::vector<heddle::join_handle<bool>> readers;
          for (int i = 0; i != 50; ++i)
            readers.push_back(heddle::spawn([&] {
              const std::thread::id here = std::this_thread::get_id();
              const int* const error = &errno;
              errno = 77;
              const bool taken = take_lending(p) == 1;
              return taken && std::this_thread::get_id() == here && error == &errno;
            }));
          for (int i = 0; i != 50; ++i) {
            heddle::this_fiber::yield();
            p.put();
          }
          for (auto& r : readers) BOOST_TEST(r.join());
        },
        {.procs = procs, .monitor = false});
}

BOOST_AUTO_TEST_CASE(leave_the_timers_of_their_processor_to_others) {
  heddle::run(
      [] {
        const pipe_ends p;
        auto sleeper = heddle::spawn([&] {
          heddle::this_fiber::sleep_for(1ms);
          p.put();
        });
        heddle::this_fiber::yield();  // it sleeps
        BOOST_TEST(take_lending(p) == 1);
        sleeper.join();
      },
      {.procs = 1, .monitor = false});
}

BOOST_AUTO_TEST_CASE(may_be_the_only_fiber) {
  heddle::run(
      [] {
        const pipe_ends p;
        for (int i = 0; i != 100; ++i) {
          std::thread plain([&] { p.put(); });
          BOOST_TEST(take_lending(p) == 1);
          plain.join();
          auto other = heddle::spawn([] { return 7; });  // there is a processor again
          BOOST_TEST(other.join() == 7);
        }
      },
      {.procs = 1, .monitor = false});
}

BOOST_AUTO_TEST_CASE(inside_blocking_calls) {
  heddle::run(
      [] {
        const pipe_ends p;
        heddle::go([&] { p.put(); });
        heddle::blocking([&] {
          BOOST_TEST(take_lending(p) == 1);
          heddle::go([&] { p.put(); });
          BOOST_TEST(take_lending(p) == 1);  // it has none now, and needs none
        });
        BOOST_TEST(heddle::spawn([] { return 7; }).join() == 7);
      },
      {.procs = 1, .monitor = false});
}

BOOST_AUTO_TEST_CASE(keep_the_processor_if_no_machine_may_take_it) {
  std::atomic<bool> ran{false};
  heddle::run(
      [&] {
        heddle::go([&] { ran = true; });
        BOOST_TEST(!blocked_section::begin());
        BOOST_TEST(!ran);
        heddle::this_fiber::yield();
        BOOST_TEST(ran);
      },
      {.procs = 1, .max_machines = 1, .monitor = false});
}

BOOST_AUTO_TEST_CASE(are_nothing_outside_of_fibers) {
  BOOST_TEST(!blocked_section::is_useful());
  BOOST_TEST(!blocked_section::begin());
  heddle::run([] {
    BOOST_TEST(blocked_section::is_useful());
    std::thread([] { BOOST_TEST(!blocked_section::begin()); }).join();
    if (!sanitized) BOOST_TEST(!lent_in_sharing_child());
    const pid_t copy = ::fork();
    if (copy == 0) ::_exit(blocked_section::is_useful() || blocked_section::begin() ? 1 : 0);
    int status = 1;
    BOOST_TEST(::waitpid(copy, &status, 0) == copy);
    BOOST_TEST(status == 0);
  });
}

BOOST_AUTO_TEST_SUITE_END()

// Without the look for leaks: what the poller opens stays open.
BOOST_AUTO_TEST_SUITE(blocked_sections_beside_the_poller)

BOOST_AUTO_TEST_CASE(leave_somebody_to_poll) {
  heddle::run(
      [] {
        const pipe_ends p, events;
        const int copy = ::fcntl(events.fd[0], F_DUPFD_CLOEXEC, 0);
        BOOST_TEST(::fcntl(copy, F_SETFL, O_NONBLOCK) == 0);
        const heddle::detail::polled polled(copy);
        bool begun = false;
        auto waiter = heddle::spawn([&] {
          auto how = heddle::detail::poll_outcome::failed;
          char c = 0;
          begun = true;
          const auto n = heddle::detail::attempt_until_done(polled, heddle::detail::poll_side::read, {}, 0, how,
                                                            [&](int fd) { return ::read(fd, &c, 1); });
          p.put();
          return n;
        });
        while (!begun) heddle::this_fiber::yield();  // nothing is queued now
        std::thread plain([&] {
          std::this_thread::sleep_for(5ms);
          events.put();
        });
        BOOST_TEST(take_lending(p) == 1);
        BOOST_TEST(waiter.join() == 1);
        plain.join();
      },
      {.procs = 1, .monitor = false});
}

BOOST_AUTO_TEST_SUITE_END()
