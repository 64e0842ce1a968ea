// SPDX-License-Identifier: BSL-1.0
//
// How runtimes start and end, under the explorer: several threads start them, end them, and leave the process.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include "exit.hpp"
#include "heddle/channel.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/semaphore.hpp"
#include "heddle/this_fiber.hpp"
#include "held_calls.hpp"
#include "model/expect.hpp"
#include "runtimes.hpp"
#include "scheduler.hpp"

namespace {

namespace platform = heddle::detail::platform;
using runtimes::by_chance_times;
using runtimes::in_runtime;
using runtimes::joins;
using runtimes::nothing_left;
using runtimes::warm_up;
using runtimes::with;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

void leaves_fibers_behind() {
  for (int i = 0; i != 3; ++i) heddle::go([] { heddle::this_fiber::yield(); });
}

void runs_twice() {
  heddle::run(joins, with(2, false));
  heddle::run(joins, with(1, true));
  nothing_left();
}

/// A runtime that a plain thread starts by the way, and two of them use.
void starts_by_the_way() {
  setenv("HEDDLE", "procs=2,monitor=0,stack=32K", 1);
  heddle::channel<int> c(1);
  heddle::go([&] { c.send(1); });
  {
    model::thread plain([&] {
      auto two = heddle::spawn([&] { return *c.receive() + 1; });
      model::check(two.join() == 2, "a result was lost");
    });
  }
  heddle::shutdown();
  nothing_left();
}

/// A plain thread starts fibers and wakes them, while another ends the runtime again and again.
void wakes_while_another_ends() {
  setenv("HEDDLE", "procs=1,monitor=0,stack=32K", 1);
  model::thread user([] {
    for (int i = 0; i != 2; ++i) {
      heddle::channel<int> c;
      heddle::go([&] { c.send(1); });
      model::check(c.receive() == 1, "a value was lost");
    }
  });
  for (int i = 0; i != 2; ++i) heddle::shutdown();
  user.join();
  heddle::shutdown();
  nothing_left();
}

/// Three threads start, run and end runtimes as they like.
void all_at_once() {
  setenv("HEDDLE", "procs=1,monitor=0,stack=32K", 1);
  platform::atomic<int> ran{0};
  const auto count = [&] { ran.fetch_add(1, std::memory_order_relaxed); };
  model::thread starter([&] { heddle::spawn(count).join(); });
  model::thread ender([] { heddle::shutdown(); });
  try {
    heddle::run(count, with(1, false));
  } catch (const std::logic_error&) {
    count();  // the other's fiber was waiting
  }
  starter.join();
  ender.join();
  heddle::shutdown();
  model::check(ran.load(std::memory_order_relaxed) == 2, "a fiber was lost or ran twice");
  nothing_left();
}

/// The system has no thread to give: run() says so if it is the first, and does with fewer machines if not.
void runs_with_few_threads() {
  bool ran = false;
  try {
    heddle::run(
        [&] {
          ran = true;
          joins();
        },
        with(2, false));
  } catch (const std::system_error&) {
    model::check(!ran, "main ran, and run() says it did not");
  }
  nothing_left();
}

// --- exit() while other threads go on -----------------------------------------------------------------------------

/// Leaves as exit() does. The monitor, if there is one, has the time to take the end of all waits for a deadlock.
template <bool Monitor>
void leave() {
  constexpr heddle::detail::nanoseconds_t busy = Monitor ? 1'000'000'000 : 1'000'000;
  (void)heddle::detail::wind_up(0, busy);
}

template <bool Monitor>
void configure() {
  setenv("HEDDLE", Monitor ? "procs=1,stack=32K" : "procs=1,monitor=0,stack=32K", 1);
}

/// Another thread starts a fiber that goes on only when exit() has left it behind, perhaps just when all has ended.
template <bool Monitor>
void starts_a_fiber_while_main_leaves() {
  configure<Monitor>();
  heddle::channel<int> c;
  heddle::spawn([] {}).join();
  model::thread other([&] { heddle::spawn([&] { (void)c.receive(); }).join(); });
  leave<Monitor>();
  c.close();
  other.join();
  heddle::shutdown();
  nothing_left();
}

/// Another thread ends the runtime, and waits for a fiber that goes on only when exit() has left it behind.
template <bool Monitor>
void leaves_while_another_ends() {
  configure<Monitor>();
  heddle::channel<int> c;
  heddle::go([&] { (void)c.receive(); });
  model::thread other([] { heddle::shutdown(); });
  leave<Monitor>();
  c.close();
  other.join();
  heddle::shutdown();
  nothing_left();
}

// --- handlers on a thread that starts or ends a runtime: what they release waits -------------------------------------

/// Two threads release what they must hold. The fiber destroys the semaphore as soon as it has both.
template <bool Monitor>
void releases_are_held() {
  configure<Monitor>();
  auto s = std::make_unique<heddle::semaphore>(0);
  auto waits = heddle::spawn([&] {
    s->acquire(2);
    s.reset();
  });
  const auto release = [&] {
    const heddle::detail::calls_held meanwhile;
    s->release();
  };
  model::thread other(release);
  release();
  other.join();
  waits.join();
  heddle::shutdown();
  nothing_left();
}

/// A thread that holds for long, and begins when nothing has happened for long: the monitor makes its calls.
void monitor_makes_held_calls() {
  configure<true>();
  heddle::semaphore s(0);
  platform::atomic<std::uint32_t> ran{0};
  auto waits = heddle::spawn([&] {
    s.acquire();
    ran.store(1, std::memory_order_relaxed);
  });
  platform::futex_wait(ran, 0, platform::now() + 10'000'000'000);
  {
    const heddle::detail::calls_held meanwhile;
    s.release();
    while (ran.load(std::memory_order_relaxed) == 0) platform::cpu_relax();
  }
  waits.join();
  heddle::shutdown();
  nothing_left();
}

/// More than the limit is seen when the calls are made.
void releases_too_many() {
  configure<false>();
  heddle::binary_semaphore s(0);
  platform::atomic<std::uint32_t> ran{0};
  auto waits = heddle::spawn([&] { s.acquire(); });
  platform::futex_wait(ran, 0, platform::now() + 1'000'000'000);
  const heddle::detail::calls_held meanwhile;
  for (int i = 0; i != 3; ++i) s.release();
}

/// A release() that brings the permits to the limit is right if a waiter has taken its share before.
void releases_up_to_the_limit() {
  configure<false>();
  constexpr std::uint64_t most = 1;
  heddle::detail::permits p(0);
  auto waits = heddle::spawn([&] { p.acquire(1); });
  while (!p.has_waiters()) platform::cpu_relax();
  {
    const heddle::detail::calls_held meanwhile;
    for (int i = 0; i != 2; ++i) model::check(p.release(1, most), "refused");
  }
  waits.join();
  p.acquire(1);
  heddle::shutdown();
  nothing_left();
}

void wrong(model::plant bug, void (*f)(), const char* text = "") {
  openings::wrong(bug, by_chance_times(60'000), f, text);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lifetime)
BOOST_AUTO_TEST_CASE(drain) { model::expect_ok(by_chance_times(1000), in_runtime(1, false, leaves_fibers_behind)); }
BOOST_AUTO_TEST_CASE(drain_two) { model::expect_ok(by_chance_times(4000), in_runtime(2, false, leaves_fibers_behind)); }
BOOST_AUTO_TEST_CASE(twice) { model::expect_ok(by_chance_times(2000), runs_twice); }
BOOST_AUTO_TEST_CASE(lazy_start) { model::expect_ok(by_chance_times(4000), starts_by_the_way); }
BOOST_AUTO_TEST_CASE(wakes_at_the_end) { model::expect_ok(by_chance_times(8000), wakes_while_another_ends); }
BOOST_AUTO_TEST_CASE(start_run_and_end_at_once) { model::expect_ok(by_chance_times(4000), all_at_once); }
BOOST_AUTO_TEST_CASE(threads_refused) {
  model::options o = by_chance_times(8000);
  o.thread_failures = 2;
  model::expect_ok(o, runs_with_few_threads);
}
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(exits)
BOOST_AUTO_TEST_CASE(fiber_at_the_last_moment) {
  model::expect_ok(by_chance_times(4000), starts_a_fiber_while_main_leaves<false>);
  model::expect_ok(by_chance_times(2000), starts_a_fiber_while_main_leaves<true>);
}
BOOST_AUTO_TEST_CASE(another_ends) {
  model::expect_ok(by_chance_times(4000), leaves_while_another_ends<false>);
  model::expect_ok(by_chance_times(2000), leaves_while_another_ends<true>);
}
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(handlers)
BOOST_AUTO_TEST_CASE(held) {
  model::expect_ok(by_chance_times(8000), releases_are_held<false>);
  model::expect_ok(by_chance_times(4000), releases_are_held<true>);
}
BOOST_AUTO_TEST_CASE(too_many) {
  model::options o = by_chance_times(100);
  o.early_timeouts = o.spurious_wakes = 0;
  o.warm_up = false;
  const auto r = model::expect_bug(o, releases_too_many, "Aborted");
  BOOST_CHECK_MESSAGE(r.trace.find("handlers have released more permits than its limit") != std::string::npos, r.trace);
}
BOOST_AUTO_TEST_CASE(held_up_to_the_limit) { model::expect_ok(by_chance_times(2000), releases_up_to_the_limit); }
BOOST_AUTO_TEST_CASE(held_for_long) { model::expect_ok(by_chance_times(4000), monitor_makes_held_calls); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(sleeps_on_held_calls) { wrong(model::plant::sleeps_on_held_calls, monitor_makes_held_calls); }
BOOST_AUTO_TEST_CASE(owed_though_gone) { wrong(model::plant::owed_though_gone, releases_are_held<false>); }
BOOST_AUTO_TEST_CASE(wakes_need_open_runtime) {
  wrong(model::plant::wakes_need_open_runtime, wakes_while_another_ends, "deadlock");
}
BOOST_AUTO_TEST_CASE(end_by_counts) { wrong(model::plant::end_by_counts, wakes_while_another_ends); }
BOOST_AUTO_TEST_CASE(idle_again) { wrong(model::plant::idle_again, starts_a_fiber_while_main_leaves<true>, "Aborted"); }
BOOST_AUTO_TEST_CASE(drained_for_ever) {
  wrong(model::plant::drained_for_ever, starts_a_fiber_while_main_leaves<false>, "deadlock");
}
BOOST_AUTO_TEST_CASE(end_awaited_for_ever) {
  wrong(model::plant::end_awaited_for_ever, leaves_while_another_ends<false>, "deadlock");
}
BOOST_AUTO_TEST_SUITE_END()
