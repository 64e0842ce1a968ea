// SPDX-License-Identifier: BSL-1.0
//
// Groups: their children are fibers, so whole runtimes run here; but the places of a limit are also given and taken
// between plain threads, where many more schedules fit into a second.
#include <boost/test/unit_test.hpp>
#include <memory>
#include <stdexcept>

#include "heddle/fiber.hpp"
#include "heddle/group.hpp"
#include "heddle/run.hpp"
#include "heddle/wait_group.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "openings.hpp"

namespace {

using heddle::detail::group_core;
using heddle::detail::no_deadline;
using heddle::detail::stop_cause;
using heddle::detail::stop_token;

constexpr model::options threads = openings::threads_for(20'000);
constexpr model::options fibers = openings::fibers_for(2'000);
constexpr model::options in_time{.executions = 2'000, .max_steps = 60'000, .warm_up = true};  // nobody oversleeps

using openings::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

template <class F>
void run(F f, unsigned procs = 2) {
  heddle::run(f, {.procs = procs, .monitor = false});
}

/// Waits for g; the number that a child threw, or 0.
int failure_of(heddle::group& g) {
  try {
    g.wait();
  } catch (int n) {
    return n;
  }
  return 0;
}

std::chrono::nanoseconds in(int ns) { return std::chrono::nanoseconds(ns); }

// --- between plain threads, which play children ----------------------------------------------------------------

/// What a child of group_core does; threads play it, since it needs no fiber.
struct part {
  group_core& g;
  heddle::detail::atomic<int>& running;
  int limit;
  bool operator()(bool (group_core::*enter)()) const {
    if (!(g.*enter)()) return false;
    // relaxed: only the count matters.
    model::check(running.fetch_add(1, std::memory_order_relaxed) < limit, "more run than the limit says");
    running.fetch_sub(1, std::memory_order_relaxed);
    g.leave();
    return true;
  }
};

void places_are_given_on() {
  group_core g(1, no_deadline, {});
  heddle::detail::atomic<int> running{0};
  const part p{g, running, 1};
  {
    const auto work = [&] { model::check(p(&group_core::enter), "not started though nobody stopped it"); };
    model::thread one(work);
    model::thread two(work);
    work();
  }
  g.wait();
  model::check(g.try_enter(), "a place was lost");
  g.leave();
}

void stop_meets_the_wait_for_a_place() {
  group_core g(1, no_deadline, {});
  heddle::detail::atomic<int> running{0};
  const part p{g, running, 1};
  {
    model::thread one([&] { p(&group_core::enter); });
    model::thread two([&] { p(&group_core::enter); });
    p(&group_core::enter);
    g.stop(stop_cause::asked);
  }
  model::check(!g.enter(), "started after the stop");
}

/// The one that has the place ends only when the blocked one has been told to stop.
void stop_alone_ends_the_wait_for_a_place() {
  group_core g(1, no_deadline, {});
  model::check(g.enter(), "no place");
  {
    model::thread blocked([&] { model::check(!g.enter(), "two in one place"); });
    g.stop(stop_cause::asked);
  }
  g.leave();
}

void last_child_meets_destruction() {
  auto* const g = new group_core(1, no_deadline, {});
  model::data<int> done{0};
  model::check(g->enter(), "no place");
  model::thread child([&, g] {
    done = 1;
    g->leave();
  });
  g->wait();
  model::check(done == 1, "the wait ended too early");
  delete g;
}

/// Who sees the stop knows its cause.
void cause_is_seen_with_the_stop() {
  group_core g(0, no_deadline, {});
  model::thread looker([&] {
    if (g.token().stop_requested()) model::check(g.cause() == stop_cause::failed, "stopped for no reason");
  });
  g.stop(stop_cause::failed);
}

void two_stops_meet() {
  group_core g(0, no_deadline, {});
  int first = 0;
  {
    bool one = false, two = false;
    {
      model::thread other([&] { one = g.stop(stop_cause::deadline); });
      two = g.stop(stop_cause::asked);
    }
    first = one + two;
    model::check(g.cause() == (one ? stop_cause::deadline : stop_cause::asked), "the cause is not the first");
  }
  model::check(first == 1, "two were the first to stop it");
}

// --- with fibers -----------------------------------------------------------------------------------------------

template <unsigned Procs>
void children_are_waited_for() {
  run(
      [] {
        auto g = std::make_unique<heddle::group>();
        model::data<int> a{0}, b{0};
        g->spawn([&] { a = 1; });
        g->spawn([&] { b = 1; });
        g->wait();
        model::check(a == 1 && b == 1, "the wait ended too early");
      },
      Procs);
}

void failure_meets_wait() {
  run([] {
    heddle::group g;
    g.spawn([] { throw 1; });
    g.spawn([] {});
    model::check(failure_of(g) == 1, "an exception was lost");
  });
}

/// The second throws only when the first has.
void first_failure_counts() {
  run([] {
    heddle::group g;
    g.spawn([](stop_token stop) {
      heddle::this_fiber::sleep_for(std::chrono::hours(1), stop);
      throw 2;
    });
    g.spawn([] { throw 1; });
    model::check(failure_of(g) == 1, "not the first exception");
  });
}

void stop_meets_spawn_under_a_limit() {
  run([] {
    heddle::group g({.limit = 1});
    auto stopper = heddle::spawn([&] { g.request_stop(); });
    g.spawn([&](stop_token stop) { heddle::this_fiber::sleep_for(std::chrono::hours(1), stop); });
    g.spawn([] {});  // blocks until the stop if there was a first
    stopper.join();
    model::check(!g.spawn([] {}), "started after the stop");
  });
}

void deadline_meets_end() {
  run([] {
    bool ran = false, threw = false;
    {
      heddle::group g({.timeout = in(3'000)});
      g.spawn([&] { ran = true; });
      try {
        g.wait();
      } catch (const heddle::deadline_exceeded&) {
        threw = true;
        model::check(g.timed_out(), "no deadline has passed");
      }
    }
    model::check(ran || threw, "neither run nor reported");
  });
}

void deadline_stops_children() {
  run([] {
    heddle::group g({.timeout = in(3'000)});
    g.spawn([](stop_token stop) { heddle::this_fiber::sleep_for(std::chrono::hours(1), stop); });
    bool threw = false;
    try {
      g.wait();
    } catch (const heddle::deadline_exceeded&) {
      threw = true;
    }
    model::check(threw, "wait() does not say that the deadline has passed");
  });
}

/// A stop of the outer group while the inner one is made, used and destroyed.
void parent_stop_meets_the_life_of_a_child_group() {
  run([] {
    heddle::group outer;
    outer.spawn([] {
      heddle::group inner;
      inner.spawn([](stop_token stop) { heddle::this_fiber::sleep_for(std::chrono::microseconds(1), stop); });
      inner.wait();
    });
    outer.spawn([&] { outer.request_stop(); });
    outer.wait();
  });
}

using openings::right;
using openings::wrong;

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(places) { right(threads, places_are_given_on); }
BOOST_AUTO_TEST_CASE(stop_and_places) { right(threads, stop_meets_the_wait_for_a_place); }
BOOST_AUTO_TEST_CASE(stop_alone) { right(threads, stop_alone_ends_the_wait_for_a_place); }
BOOST_AUTO_TEST_CASE(destruction) { right(threads, last_child_meets_destruction); }
BOOST_AUTO_TEST_CASE(cause) { right(threads, cause_is_seen_with_the_stop); }
BOOST_AUTO_TEST_CASE(two_stops) { right(threads, two_stops_meet); }
BOOST_AUTO_TEST_CASE(children_one) { right(fibers, children_are_waited_for<1>); }
BOOST_AUTO_TEST_CASE(children_two) { right(fibers, children_are_waited_for<2>); }
BOOST_AUTO_TEST_CASE(failure) { right(fibers, failure_meets_wait); }
BOOST_AUTO_TEST_CASE(first_failure) { right(in_time, first_failure_counts); }
BOOST_AUTO_TEST_CASE(spawn_under_a_limit) { right(in_time, stop_meets_spawn_under_a_limit); }
BOOST_AUTO_TEST_CASE(deadline_and_end) { right(fibers, deadline_meets_end); }
BOOST_AUTO_TEST_CASE(deadline) { right(in_time, deadline_stops_children); }
BOOST_AUTO_TEST_CASE(parent_stop) { right(fibers, parent_stop_meets_the_life_of_a_child_group); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(child_not_counted) { wrong(model::plant::child_not_counted, fibers, children_are_waited_for<2>); }
BOOST_AUTO_TEST_CASE(counted_off_early) {
  wrong(model::plant::counted_off_early, threads, last_child_meets_destruction);
}
BOOST_AUTO_TEST_CASE(failure_after_end) { wrong(model::plant::failure_after_end, fibers, failure_meets_wait); }
BOOST_AUTO_TEST_CASE(last_failure_kept) { wrong(model::plant::last_failure_kept, in_time, first_failure_counts); }
BOOST_AUTO_TEST_CASE(stop_before_cause) {
  wrong(model::plant::stop_before_cause, threads, cause_is_seen_with_the_stop);
}
BOOST_AUTO_TEST_CASE(stop_misses_spawner) {
  wrong(model::plant::stop_misses_spawner, threads, stop_alone_ends_the_wait_for_a_place, "deadlock");
}
BOOST_AUTO_TEST_CASE(place_given_unclaimed) {
  wrong(model::plant::place_given_unclaimed, threads, stop_meets_the_wait_for_a_place);
}
BOOST_AUTO_TEST_CASE(watcher_not_joined) { wrong(model::plant::watcher_not_joined, fibers, deadline_meets_end); }
BOOST_AUTO_TEST_SUITE_END()
