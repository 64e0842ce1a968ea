// SPDX-License-Identifier: BSL-1.0
//
// What a runtime with nothing to do costs, and what sleeping fibers cost.
#include <dirent.h>
#include <sys/resource.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

double cpu_seconds() {
  rusage u{};
  ::getrusage(RUSAGE_SELF, &u);
  return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

/// How often the threads of this process have gone to sleep by themselves.
long sleeps() {
  long sum = 0;
  DIR* d = ::opendir("/proc/self/task");
  while (const dirent* e = ::readdir(d)) {
    std::ifstream status("/proc/self/task/" + std::string(e->d_name) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.rfind("voluntary_ctxt_switches:", 0) == 0) sum += std::stol(line.substr(24));
  }
  ::closedir(d);
  return sum;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(idle, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(ten_thousand_parked_fibers_cost_nothing) {
  const int n = heddle::testing::times(10'000, 50);
  heddle::channel<int> gate;
  heddle::wait_group done(n);
  std::atomic<int> parked{0};
  for (int i = 0; i != n; ++i)
    heddle::go([&] {
      ++parked;
      (void)gate.receive();
      done.done();
    });
  while (parked != n) std::this_thread::sleep_for(1ms);
  bool idle = false;
  for (int i = 0; i != 4 && !idle; ++i) {  // until the monitor sleeps for good
    std::this_thread::sleep_for(500ms);
    const double cpu = cpu_seconds();
    const long slept = sleeps();
    std::this_thread::sleep_for(5s);
    const double share = (cpu_seconds() - cpu) / 5;
    const long wakes = sleeps() - slept;
    BOOST_TEST_MESSAGE("idle: " << share * 100 << " % of a CPU, " << wakes << " sleeps in 5 s");
    idle = share < (heddle::testing::sanitized ? 0.05 : 0.001) && wakes < (heddle::testing::sanitized ? 500 : 20);
  }
  BOOST_TEST(idle);
  gate.close();
  done.wait();
  heddle::shutdown();
}

BOOST_AUTO_TEST_CASE(sleepers_wake_in_order_and_never_early) {
  for (unsigned procs : {1u, 2u}) {
    heddle::run(
        [] {
          std::vector<heddle::join_handle<void>> all;
          std::atomic<int> early{0};
          for (int i = 0; i != 200; ++i)
            all.push_back(heddle::spawn([&, i] {
              const auto due = clock::now() + std::chrono::microseconds(100 * ((i * 37) % 200));
              heddle::this_fiber::sleep_until(due);
              if (clock::now() < due) ++early;
            }));
          for (auto& h : all) h.join();
          BOOST_TEST(early == 0);
        },
        {.procs = procs});
  }
}

BOOST_AUTO_TEST_CASE(short_sleeps_are_short) {
  heddle::run([] {
    auto best = clock::duration::max();
    for (int i = 0; i != 50; ++i) {
      const auto start = clock::now();
      heddle::this_fiber::sleep_for(100us);
      best = std::min(best, clock::now() - start);
    }
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(best).count();
    BOOST_TEST_MESSAGE("100 us took " << took << " us");
    BOOST_TEST((best >= 100us));
    BOOST_TEST((best < 2ms));  // not the next millisecond (CHECKLIST row 6)
  });
}

BOOST_AUTO_TEST_CASE(odd_durations) {
  heddle::run([] {
    heddle::this_fiber::sleep_for(0s);
    heddle::this_fiber::sleep_for(-5h);
    heddle::this_fiber::sleep_until(clock::now() - 1h);
    heddle::this_fiber::sleep_until(std::chrono::system_clock::now() + 2ms);
    heddle::this_fiber::sleep_for(std::chrono::duration<double>(0.001));
  });
  heddle::this_fiber::sleep_for(1ms);  // a plain thread
  heddle::this_fiber::yield();
}

BOOST_AUTO_TEST_SUITE_END()
