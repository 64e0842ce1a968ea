// SPDX-License-Identifier: BSL-1.0
//
// Threads of machines end when nobody has needed them for a while.
#include <dirent.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>

#include "heddle/heddle.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::late;

/// How many threads of machines have ended: their thread-locals start fibers.
std::atomic<int> ended{0};
struct counts_at_end {
  bool used = false;
  ~counts_at_end() {
    if (used) heddle::go([] { ++ended; });
  }
};
thread_local counts_at_end of_thread;
std::size_t threads_of_process() {
  DIR* d = ::opendir("/proc/self/task");
  std::size_t n = 0;
  while (const dirent* entry = ::readdir(d)) n += entry->d_name[0] != '.';
  ::closedir(d);
  return n;
}

/// Makes calls that all block at once, so that each needs a thread of its own.
void burst(int calls) {
  std::atomic<int> blocked{0};
  heddle::wait_group all;
  for (int i = 0; i != calls; ++i)
    all.go([&] {
      heddle::blocking([&] {
        ++blocked;
        of_thread.used = true;
        const auto end = std::chrono::steady_clock::now() + late;
        while (blocked < calls && std::chrono::steady_clock::now() < end) ::usleep(1000);
      });
    });
  all.wait();
  BOOST_TEST(blocked == calls);
}

/// Sleeps until at most n machines are left, or for long.
void await_machines(std::size_t n) {
  const auto end = std::chrono::steady_clock::now() + late;
  while (heddle::stats().machines > n && std::chrono::steady_clock::now() < end) heddle::this_fiber::sleep_for(50ms);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(machines, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(end_after_a_burst_and_are_made_again) {
  constexpr int calls = 40;
  constexpr std::size_t few = 2 * 2 + 4;  // a busy and an idle machine for each processor, and four
  heddle::run(
      [&] {
        burst(calls);
        BOOST_TEST(heddle::stats().machines >= std::size_t{calls});
        const std::size_t threads = threads_of_process();
        await_machines(few);
        BOOST_TEST(heddle::stats().machines <= few);
        BOOST_TEST(threads_of_process() + calls - few <= threads);
        const auto end = std::chrono::steady_clock::now() + late;
        while (ended < calls - 8 && std::chrono::steady_clock::now() < end) heddle::this_fiber::sleep_for(10ms);
        BOOST_TEST(ended >= calls - 8);
        burst(calls);
        BOOST_TEST(heddle::stats().machines >= std::size_t{calls});
      },
      {.procs = 2});
  BOOST_TEST(ended >= 2 * calls - 8);
}

BOOST_AUTO_TEST_CASE(end_while_nothing_happens_at_all) {
  std::atomic<bool> done{false};
  heddle::channel<int> c;
  heddle::go([&] {
    burst(40);
    done = true;
    (void)c.receive();
  });
  const auto end = std::chrono::steady_clock::now() + late;
  while (!done && std::chrono::steady_clock::now() < end) ::usleep(10'000);
  // The monitor sleeps in between.
  const std::size_t few = heddle::processors() + 4;
  while (heddle::stats().machines > few && std::chrono::steady_clock::now() < end) ::usleep(50'000);
  BOOST_TEST(heddle::stats().machines <= few);
  c.send(1);
  heddle::shutdown();
}

BOOST_AUTO_TEST_SUITE_END()
