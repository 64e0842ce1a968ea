// SPDX-License-Identifier: BSL-1.0
//
// Waits inside parallel regions of OpenMP: the master of a team is a fiber that stays on its kernel thread to the end
// of the region, and a message says that it waits there. Compiled with OpenMP.
#include <omp.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <mutex>
#include <thread>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;

/// Runs teams of two, whose members lock and yield. Returns how many steps they made; negative if a master moved.
long teams(const heddle::options& o, bool blocking) {
  long total = 0;
  std::atomic<int> moved{0};
  heddle::run(
      [&] {
        heddle::wait_group all;
        heddle::mutex m;
        for (int f = 0; f != 4; ++f)
          all.go([&] {
            const auto work = [&] {
              for (int k = 0; k != 5; ++k) {
#pragma omp parallel num_threads(2)
                {
                  const int number = omp_get_thread_num();
                  const std::thread::id here = std::this_thread::get_id();
                  for (int i = 0; i != 10; ++i) {
                    const std::lock_guard hold(m);
                    ++total;
                    if (i == 5) heddle::this_fiber::sleep_for(100us);
                    heddle::this_fiber::yield();
                    if (omp_get_thread_num() != number || std::this_thread::get_id() != here) ++moved;
                  }
                }
                heddle::this_fiber::yield();
              }
            };
            if (blocking)
              heddle::blocking(work);
            else
              work();
          });
        all.wait();
      },
      o);
  return moved == 0 ? total : -1;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(openmp, heddle::testing::leak_check)

// First: the message comes once in a process, and the child of a process that has used OpenMP may not use it.
BOOST_AUTO_TEST_CASE(a_wait_is_told_of_once_by_the_name_of_the_fiber) {
  const auto end = heddle::testing::death_of([] {
    heddle::run([] {
      heddle::spawn({.name = "conductor"}, [] {
#pragma omp parallel num_threads(2)
        if (omp_get_thread_num() == 0)
          for (int i = 0; i != 2; ++i) heddle::this_fiber::sleep_for(1ms);
      }).join();
    });
  });
  BOOST_TEST(end.status == 0, end.text);
  BOOST_TEST(end.says("\"conductor\" waits inside a parallel region of OpenMP"), end.text);
  BOOST_TEST(end.text.find("waits inside") == end.text.rfind("waits inside"));
}

BOOST_AUTO_TEST_CASE(masters_stay_on_their_threads) {
  for (const unsigned procs : {1u, 2u})
    for (const bool monitor : {false, true})
      BOOST_TEST(teams({.procs = procs, .monitor = monitor}, false) == 4 * 5 * 2 * 10);
}

BOOST_AUTO_TEST_CASE(also_inside_blocking) { BOOST_TEST(teams({.procs = 2}, true) == 4 * 5 * 2 * 10); }

BOOST_AUTO_TEST_CASE(blocking_inside_a_region) {
  std::atomic<int> moved{0};
  heddle::run(
      [&] {
        heddle::wait_group all;
        for (int f = 0; f != 4; ++f)
          all.go([&] {
#pragma omp parallel num_threads(2)
            {
              const std::thread::id here = std::this_thread::get_id();
              for (int i = 0; i != 3; ++i) {
                heddle::blocking([] { ::usleep(2000); });
                if (std::this_thread::get_id() != here) ++moved;
              }
            }
          });
        all.wait();
      },
      {.procs = 1});
  BOOST_TEST(moved == 0);
}

BOOST_AUTO_TEST_CASE(a_team_of_one_is_a_team) {
  std::atomic<int> moved{0};
  heddle::run(
      [&] {
        heddle::wait_group all;
        for (int f = 0; f != 8; ++f)
          all.go([&] {
#pragma omp parallel num_threads(1)
            {
              const std::thread::id here = std::this_thread::get_id();
              for (int i = 0; i != 3; ++i) {
                heddle::this_fiber::sleep_for(200us);
                if (std::this_thread::get_id() != here) ++moved;
              }
            }
          });
        all.wait();
      },
      {.procs = 2});
  BOOST_TEST(moved == 0);
}

BOOST_AUTO_TEST_SUITE_END()
