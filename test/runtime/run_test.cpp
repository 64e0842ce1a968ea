// SPDX-License-Identifier: BSL-1.0
#include "heddle/run.hpp"

#include <dirent.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>

#include "heddle/channel.hpp"
#include "heddle/this_fiber.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::death_of;
using heddle::testing::late;
using heddle::testing::times;

std::size_t entries(const char* folder) {
  DIR* d = ::opendir(folder);
  std::size_t n = 0;
  while (::readdir(d) != nullptr) ++n;
  ::closedir(d);
  return n;
}

/// What a child says on stderr when HEDDLE is `text`.
heddle::testing::death with_environment(const char* text) {
  return death_of([&] {
    ::setenv("HEDDLE", text, 1);
    const unsigned procs = heddle::run([] { return heddle::processors(); });
    ::dprintf(2, "procs are %u\n", procs);
  });
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(run, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(returns_what_main_returns) {
  BOOST_TEST(heddle::run([] { return 7; }) == 7);
  auto owned = heddle::run([] { return std::make_unique<int>(8); });
  BOOST_TEST(*owned == 8);
  int there = 9;
  int& reference = heddle::run([&]() -> int& { return there; });
  BOOST_TEST(&reference == &there);
  heddle::run([] {});
}

BOOST_AUTO_TEST_CASE(rethrows_what_main_throws) {
  BOOST_CHECK_EXCEPTION(heddle::run([]() -> int { throw std::runtime_error("thrown by main"); }), std::runtime_error,
                        [](const auto& e) { return std::string(e.what()) == "thrown by main"; });
}

BOOST_AUTO_TEST_CASE(waits_for_every_fiber) {
  std::atomic<int> ended{0};
  heddle::run([&] {
    for (int i = 0; i != 100; ++i)
      heddle::go([&] {
        heddle::this_fiber::sleep_for(5ms);
        ++ended;
      });
  });
  BOOST_TEST(ended == 100);
}

BOOST_AUTO_TEST_CASE(many_in_sequence_leave_nothing) {
  heddle::run([] {}, {.procs = 2});
  const std::size_t threads = entries("/proc/self/task");
  const std::size_t files = entries("/proc/self/fd");
  for (int i = 0; i != times(200); ++i)
    heddle::run(
        [] {
          for (int k = 0; k != 20; ++k) heddle::go([] { heddle::this_fiber::yield(); });
        },
        {.procs = 2});
  // One that has been joined may stand there a little longer.
  for (const auto end = std::chrono::steady_clock::now() + late; entries("/proc/self/task") > threads;)
    BOOST_REQUIRE(std::chrono::steady_clock::now() < end);
  BOOST_TEST(entries("/proc/self/fd") == files);
  BOOST_TEST(heddle::stats().fibers == 0u);
  BOOST_TEST(heddle::stats().machines == 0u);
}

BOOST_AUTO_TEST_CASE(refuses_a_second_at_the_same_time) {
  heddle::run([] { BOOST_CHECK_THROW(heddle::run([] {}), std::logic_error); });
  std::atomic<bool> refused{false};
  heddle::run([&] {
    std::thread other([&] {
      try {
        heddle::run([] {});
      } catch (const std::logic_error& e) {
        refused = std::string(e.what()).find("another run is in progress") != std::string::npos;
      }
    });
    other.join();
  });
  BOOST_TEST(refused);
}

BOOST_AUTO_TEST_CASE(starts_lazily_from_plain_threads) {
  std::atomic<int> n{0};
  auto handle = heddle::spawn([] { return heddle::this_fiber::is_fiber(); });
  BOOST_TEST(handle.join());
  std::thread other([&] { heddle::go([&] { ++n; }); });
  other.join();
  heddle::shutdown();
  BOOST_TEST(n == 1);
  BOOST_TEST(heddle::run([] { return 1; }) == 1);
  heddle::shutdown();  // nothing to do
}

BOOST_AUTO_TEST_CASE(ends_a_lazy_one_first_if_its_fibers_end) {
  std::atomic<bool> ended{false};
  auto of_library = heddle::spawn([&] {
    const auto end = std::chrono::steady_clock::now() + 20ms;
    while (std::chrono::steady_clock::now() < end) heddle::this_fiber::yield();
    ended = true;
  });
  heddle::run(
      [&] {
        BOOST_TEST(ended);
        BOOST_TEST(heddle::processors() == 3u);
      },
      {.procs = 3});
  of_library.join();
}

BOOST_AUTO_TEST_CASE(refuses_where_fibers_of_a_lazy_one_wait) {
  const auto refuses = [](const char* words) {
    BOOST_CHECK_EXCEPTION(heddle::run([] {}), std::logic_error,
                          [words](const auto& e) { return std::string(e.what()).find(words) != std::string::npos; });
  };
  heddle::channel<int> c;
  heddle::go([&] { BOOST_TEST(c.receive().value() == 1); });
  refuses("1 fiber of it sleeps or waits");
  std::atomic<bool> stop{false};
  heddle::go([&] {
    while (!stop) heddle::this_fiber::sleep_for(1ms);
  });
  refuses("2 fibers of it sleep or wait");
  c.send(1);  // all goes on
  stop = true;
  heddle::shutdown();
}

BOOST_AUTO_TEST_CASE(shutdown_beside_a_run_returns_at_once) {
  heddle::channel<int> c;
  std::thread other;
  heddle::run([&] {
    heddle::go([&] { (void)c.receive(); });
    other = std::thread([&] {
      std::this_thread::sleep_for(20ms);  // main has ended, and run() waits
      heddle::shutdown();
      c.send(1);
    });
  });
  other.join();
}

BOOST_AUTO_TEST_CASE(no_fiber_may_shut_down) {
  heddle::go([] { BOOST_CHECK_THROW(heddle::shutdown(), std::logic_error); });
  heddle::shutdown();
  heddle::run([] { BOOST_CHECK_THROW(heddle::shutdown(), std::logic_error); });
}

// Sleepers of two processors: each has its own.
BOOST_AUTO_TEST_CASE(all_sleepers_are_counted) {
  heddle::run(
      [] {
        std::stop_source stop;
        std::atomic<int> here{0}, stopped{0};
        auto sleeper = [&here, &stopped, token = stop.get_token()] {
          ++here;
          while (here != 2) {  // so that both run at once
          }
          if (!heddle::this_fiber::sleep_for(1h, token)) ++stopped;
        };
        auto one = heddle::spawn(sleeper);
        auto two = heddle::spawn(sleeper);
        std::size_t seen = 0;
        std::thread looker([&] {
          for (const auto end = std::chrono::steady_clock::now() + late;
               seen != 2 && std::chrono::steady_clock::now() < end;)
            seen = heddle::stats().timers;
          stop.request_stop();
        });
        one.join();
        two.join();
        looker.join();
        BOOST_TEST(seen == 2u);
        BOOST_TEST(stopped == 2);
      },
      {.procs = 2, .monitor = false});
}

BOOST_AUTO_TEST_CASE(several_may_shut_down) {
  heddle::channel<int> c;
  heddle::go([&] { (void)c.receive(); });
  std::thread first([] { heddle::shutdown(); });
  std::thread second([] {
    heddle::shutdown();
    BOOST_TEST(heddle::stats().machines == 0u);
  });
  std::this_thread::sleep_for(20ms);
  c.send(1);
  first.join();
  second.join();
}

BOOST_AUTO_TEST_CASE(wakes_arrive_while_another_ends_it) {
  std::atomic<bool> stop{false};
  std::thread ender([&] {
    while (!stop) heddle::shutdown();
  });
  for (int i = 0; i != times(3000); ++i) {
    heddle::channel<int> c;
    heddle::go([&] { c.send(i); });
    BOOST_REQUIRE(c.receive().value() == i);
  }
  stop = true;
  ender.join();
  heddle::shutdown();
}

namespace {

/// Throws when it is moved for the second time: into the fiber.
struct refuses_to_move {
  std::atomic<int>& moves;
  explicit refuses_to_move(std::atomic<int>& m) : moves(m) {}
  refuses_to_move(refuses_to_move&& other) : moves(other.moves) {
    if (++moves != 2) return;
    std::this_thread::sleep_for(50ms);  // the other is in shutdown() by then
    throw std::runtime_error("not moved");
  }
  void operator()() const {}
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_start_that_fails_is_not_waited_for) {
  std::atomic<int> moves{0};
  std::thread starter([&] { BOOST_CHECK_THROW(heddle::go(refuses_to_move(moves)), std::runtime_error); });
  while (moves < 2) std::this_thread::yield();
  heddle::shutdown();
  starter.join();
  BOOST_TEST(heddle::stats().machines == 0u);
}

BOOST_AUTO_TEST_CASE(a_late_start_is_not_lost) {
  for (int round = 0; round != times(100); ++round) {
    std::atomic<int> n{0};
    std::thread starter([&] {
      for (int k = 0; k != 20; ++k) heddle::go([&] { ++n; });
    });
    heddle::shutdown();
    starter.join();
    heddle::shutdown();
    BOOST_TEST(n == 20);
  }
}

BOOST_AUTO_TEST_CASE(a_handle_may_outlive_the_runtime) {
  heddle::join_handle<std::string> late;
  heddle::run([&] { late = heddle::spawn([] { return std::string("late"); }); });
  BOOST_TEST(late.join() == "late");
}

BOOST_AUTO_TEST_CASE(a_lazy_runtime_is_joined_at_exit) {
  const auto end = death_of([] {
    heddle::go([] {
      heddle::this_fiber::sleep_for(20ms);
      ::dprintf(2, "the fiber ended\n");
    });
    std::exit(3);
  });
  BOOST_TEST(end.status == 3);
  BOOST_TEST(end.says("the fiber ended"));
}

BOOST_AUTO_TEST_CASE(names_an_option_out_of_range) {
  const auto says = [](const char* words) {
    return [words](const std::invalid_argument& e) { return std::string(e.what()).find(words) != std::string::npos; };
  };
  BOOST_CHECK_EXCEPTION(heddle::run([] {}, {.stack_size = 100}), std::invalid_argument, says("stack_size 100"));
  BOOST_CHECK_EXCEPTION(heddle::run([] {}, {.stack_size = 100}), std::invalid_argument, says("16384"));
  BOOST_CHECK_EXCEPTION(heddle::run([] {}, {.procs = 5000}), std::invalid_argument, says("procs 5000"));
  BOOST_CHECK_EXCEPTION(heddle::run([] {}, {.slice = 10us}), std::invalid_argument, says("slice 10 us"));
  BOOST_CHECK_EXCEPTION(heddle::run([] {}, {.max_machines = 0}), std::invalid_argument, says("max_machines"));
}

BOOST_AUTO_TEST_CASE(the_environment_wins) {
  BOOST_TEST(with_environment("procs=3,stack=64K").says("procs are 3"));
  BOOST_TEST(with_environment(" procs = 3 , stack_size=64KiB").says("procs are 3"));
  const auto usual = with_environment("");
  BOOST_TEST(with_environment("procs=0").text == usual.text);
}

BOOST_AUTO_TEST_CASE(each_name_in_the_environment_sets_its_option) {
  // Tests of their own show the effects; this one, that each is known by the name it has in code.
  const auto all = with_environment(
      "procs=2,stack_size=64K,segment_size=1K,max_stack=2M,slice=20ms,max_machines=50,detect_deadlock=off,monitor=on,"
      "preempt=on,report_overflow=off,abort_conf=on,stack=32K,segment=2048,machines=60,deadlock=1,overflow=1,slice="
      "1000");
  BOOST_TEST(all.text == "procs are 2\n");
  BOOST_TEST(with_environment("help").says("slice: how long a fiber may run"));
  BOOST_TEST(with_environment("help,abort_conf").says("procs are"));
}

BOOST_AUTO_TEST_CASE(errors_in_the_environment_are_named) {
  const auto unknown = with_environment("prcs=3");
  BOOST_TEST(unknown.says("unknown key \"prcs\""));
  BOOST_TEST(unknown.says("procs, stack_size, segment_size"));
  BOOST_TEST(unknown.status == 0);
  const auto bad = with_environment("procs=many,stack=1");
  BOOST_TEST(bad.says("bad value \"many\" for procs (0 to 4096)"));
  BOOST_TEST(bad.says("bad value \"1\" for stack (16K to 64M, in bytes or with K, M, G)"));
  const auto slice = with_environment("slice=900us,segment=1500,max_machines=0,detect_deadlock=maybe,slice=11s");
  BOOST_TEST(slice.says("bad value \"900us\" for slice (1ms to 10s"));
  BOOST_TEST(slice.says("bad value \"11s\" for slice"));
  BOOST_TEST(slice.says("bad value \"1500\" for segment (1K|2K|1024|2048)"));
  BOOST_TEST(slice.says("bad value \"0\" for max_machines (1 to 1000000)"));
  BOOST_TEST(slice.says("bad value \"maybe\" for detect_deadlock (on or off)"));
  const auto fatal = with_environment("abort_conf=1,procs=4097");
  BOOST_TEST(fatal.status == 2);
  BOOST_TEST(fatal.says("abort_conf"));
}

BOOST_AUTO_TEST_SUITE_END()
