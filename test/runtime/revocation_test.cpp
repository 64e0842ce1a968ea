// SPDX-License-Identifier: BSL-1.0
//
// One processor, and a fiber that does not let go of it: the others run on within 20 ms, within 1 ms for an announced
// call. The bounds here are wider, since the machine that runs the tests is not ours alone; the figures are printed.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "heddle/blocking.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using heddle::testing::times;

double milliseconds(clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

/// Runs `hold` on one processor beside a fiber that yields all the time, and returns the longest time, in ms, that the
/// latter did not run between the start of hold and its end.
template <class Hold>
double longest_gap(Hold hold) {
  return heddle::run(
      [&] {
        std::atomic<bool> stop{false};
        clock::duration longest{};
        auto other = heddle::spawn([&] {
          auto last = clock::now();
          while (!stop) {
            heddle::this_fiber::yield();
            const auto now = clock::now();
            longest = std::max(longest, now - last);
            last = now;
          }
        });
        heddle::this_fiber::yield();
        hold();
        stop = true;
        other.join();
        return milliseconds(longest);
      },
      {.procs = 1});
}

/// The best of as many tries as it takes, for a while: a busy machine delays many, a missing revocation delays all.
template <class Hold>
double best_gap(Hold hold, double enough) {
  double best = 1e9;
  for (const auto end = clock::now() + heddle::testing::late; best > enough && clock::now() < end;)
    best = std::min(best, longest_gap(hold));
  BOOST_TEST_MESSAGE("longest gap " << best << " ms");
  return best;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(revocation, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(usleep_unannounced) {
  BOOST_TEST(best_gap([] { ::usleep(150'000); }, 20) < 60);
}

BOOST_AUTO_TEST_CASE(read_unannounced) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  const double gap = best_gap(
      [&] {
        std::thread writer([&] {
          std::this_thread::sleep_for(150ms);
          if (::write(ends[1], "x", 1) != 1) std::abort();
        });
        char c = 0;
        BOOST_TEST(::read(ends[0], &c, 1) == 1);
        BOOST_TEST(c == 'x');
        writer.join();
      },
      20);
  BOOST_TEST(gap < 60);
  ::close(ends[0]);
  ::close(ends[1]);
}

BOOST_AUTO_TEST_CASE(std_mutex_unannounced) {
  const double gap = best_gap(
      [] {
        std::mutex m;
        std::atomic<bool> locked{false};
        std::thread holder([&] {
          m.lock();
          locked = true;
          std::this_thread::sleep_for(150ms);
          m.unlock();
        });
        while (!locked) std::this_thread::yield();
        m.lock();
        m.unlock();
        holder.join();
      },
      20);
  BOOST_TEST(gap < 60);
}

BOOST_AUTO_TEST_CASE(endless_loop) {
  const double gap = best_gap(
      [] {
        const auto end = clock::now() + 150ms;
        while (clock::now() < end) {
        }
      },
      20);
  BOOST_TEST(gap < 60);
}

BOOST_AUTO_TEST_CASE(announced_call) {
  BOOST_TEST(best_gap([] { heddle::blocking([] { ::usleep(150'000); }); }, 8) < 10);
}

BOOST_AUTO_TEST_CASE(announced_calls_give_values_nest_and_throw) {
  heddle::run(
      [] {
        BOOST_TEST(heddle::blocking([] { return 3; }) == 3);
        BOOST_TEST(heddle::blocking([] { return heddle::blocking([] { return 4; }); }) == 4);
        BOOST_CHECK_THROW(heddle::blocking([]() -> int {
                            ::usleep(5000);
                            throw std::runtime_error("in the call");
                          }),
                          std::runtime_error);
      },
      {.procs = 1});
  BOOST_TEST(heddle::blocking([] { return 5; }) == 5);
}

BOOST_AUTO_TEST_CASE(a_hog_goes_on_properly_after_it_lost_its_processor) {
  for (unsigned procs : {1u, 2u}) {
    heddle::run(
        [] {
          std::atomic<bool> stop{false};
          auto other = heddle::spawn([&] {
            while (!stop) heddle::this_fiber::yield();
          });
          std::vector<heddle::join_handle<int>> children;
          std::atomic<int> detached{0};
          for (int round = 0; round != 5; ++round) {
            const auto end = clock::now() + 25ms;
            while (clock::now() < end) {
            }
            // Without a processor: makes fibers, then joins, sleeps, yields.
            for (int i = 0; i != 50; ++i) heddle::go([&] { ++detached; });
            children.push_back(heddle::spawn([round] { return round; }));
            if (round % 2 == 0) heddle::this_fiber::sleep_for(1ms);
            heddle::this_fiber::yield();
          }
          for (int round = 0; round != 5; ++round)
            BOOST_TEST(children[static_cast<std::size_t>(round)].join() == round);
          stop = true;
          other.join();
          while (detached != 250) heddle::this_fiber::yield();
        },
        {.procs = procs});
  }
}

BOOST_AUTO_TEST_CASE(many_hogs_and_blockers_at_once) {
  heddle::run(
      [] {
        std::vector<heddle::join_handle<int>> all;
        for (int i = 0; i != 40; ++i)
          all.push_back(heddle::spawn([i] {
            if (i % 2 == 0) {
              ::usleep(30'000);
            } else {
              const auto end = clock::now() + 15ms;
              while (clock::now() < end) {
              }
            }
            return i;
          }));
        for (int i = 0; i != 40; ++i) BOOST_TEST(all[static_cast<std::size_t>(i)].join() == i);
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_CASE(machines_are_reused) {
  heddle::run(
      [] {
        std::atomic<bool> stop{false};
        auto other = heddle::spawn([&] {
          while (!stop) heddle::this_fiber::yield();
        });
        for (int i = 0; i != 50; ++i) heddle::blocking([] { ::usleep(2000); });
        BOOST_TEST(heddle::stats().machines <= 20u);
        stop = true;
        other.join();
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_CASE(the_limit_of_machines_is_reported_and_survived) {
  const auto end = heddle::testing::death_of([] {
    heddle::run(
        [] {
          std::vector<heddle::join_handle<void>> all;
          for (int i = 0; i != 6; ++i) all.push_back(heddle::spawn([] { heddle::blocking([] { ::usleep(20'000); }); }));
          for (auto& h : all) h.join();
        },
        {.procs = 2, .max_machines = 2});
    ::dprintf(2, "all joined\n");
  });
  BOOST_TEST(end.status == 0);
  BOOST_TEST(end.says("all joined"));
}

BOOST_AUTO_TEST_CASE(timers_fire_beside_a_hog) {
  for (unsigned procs : {1u, 2u}) {
    const double late = heddle::run(
        [] {
          double best = 1e9;
          for (int i = 0; i != 20 && best > 20; ++i) {
            std::atomic<bool> stop{false};
            auto sleeper = heddle::spawn([&] {
              const auto due = clock::now() + 20ms;
              heddle::this_fiber::sleep_until(due);
              stop = true;
              return milliseconds(clock::now() - due);
            });
            heddle::this_fiber::yield();
            while (!stop) {
            }
            best = std::min(best, sleeper.join());
          }
          return best;
        },
        {.procs = procs});
    BOOST_TEST_MESSAGE("late by " << late << " ms on " << procs);
    BOOST_TEST(late >= 0);
    BOOST_TEST(late < 60);
  }
}

BOOST_AUTO_TEST_SUITE_END()
