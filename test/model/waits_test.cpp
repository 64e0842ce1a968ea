// SPDX-License-Identifier: BSL-1.0
//
// What else waits for a condition (once_flag, semaphore, latch, barrier, wait_group, future), with timeouts and stop
// requests that meet it: between plain threads, and a few times with fibers.
#include <boost/test/unit_test.hpp>
#include <memory>
#include <optional>

#include "heddle/barrier.hpp"
#include "heddle/fiber.hpp"
#include "heddle/future.hpp"
#include "heddle/latch.hpp"
#include "heddle/once.hpp"
#include "heddle/run.hpp"
#include "heddle/semaphore.hpp"
#include "heddle/wait_group.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "openings.hpp"

namespace {

using std::chrono::nanoseconds;

constexpr model::options threads = openings::threads_for(20'000);
constexpr model::options fibers = openings::fibers_for(2'000);
constexpr model::options every = openings::every_order_for(20'000);

using openings::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

void right(void (*scenario)()) {
  model::expect_ok(threads, scenario);
  model::expect_ok(every, scenario);
}
void wrong(model::plant bug, void (*scenario)(), const char* text = "") {
  openings::wrong(bug, openings::threads_for(200'000), scenario, text);  // one of them is found in one of ten thousand
}

// --- once --------------------------------------------------------------------------------------------------------

void once_by_three() {
  heddle::once_flag flag;
  model::data<int> calls{0};
  const auto work = [&] {
    heddle::call_once(flag, [&] { calls = calls + 1; });
    model::check(calls == 1, "returned before the call was done");
  };
  model::thread one(work);
  model::thread two(work);
  work();
}

void once_throws_once() {
  heddle::once_flag flag;
  model::data<int> calls{0};
  int thrown = 0;
  {
    const auto work = [&] {
      try {
        heddle::call_once(flag, [&] {
          calls = calls + 1;
          if (calls == 1) throw 1;
        });
        model::check(calls == 2, "returned before the call was done");
      } catch (int) {
        ++thrown;
      }
    };
    model::thread one(work);
    model::thread two(work);
    work();
  }
  model::check(thrown == 1 && calls == 2, "not as often as it should");
}

void once_flag_dies_early() {
  auto flag = std::make_unique<heddle::once_flag>();
  heddle::detail::atomic<bool> begun{false};
  model::thread one([&, f = flag.get()] { heddle::call_once(*f, [&] { begun.store(true); }); });
  if (!begun.load()) return one.join();
  heddle::call_once(*flag, [] { model::fail("called twice"); });
  flag.reset();
}

// --- semaphore ---------------------------------------------------------------------------------------------------

void semaphore_keeps_out() {
  heddle::semaphore s(1);
  model::data<int> count{0};
  const auto work = [&] {
    for (int i = 0; i != 2; ++i) {
      s.acquire();
      count = count + 1;
      s.release();
    }
  };
  {
    model::thread one(work);
    model::thread two(work);
    work();
  }
  model::check(count == 6, "an increment was lost");
}

/// Three permits come one by one; one wants two of them, another one.
void large_and_small_requests() {
  heddle::semaphore s(0);
  model::thread large([&] { s.acquire(2); });
  model::thread small([&] { s.acquire(); });
  for (int i = 0; i != 3; ++i) s.release();
}

/// The one in front wants more than will ever come, and gives up; the one behind must get what is there.
template <bool WithStop>
void front_gives_up() {
  heddle::semaphore s(0);
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  model::thread front([&] {
    model::check(!(WithStop ? s.acquire(token, 3) : s.try_acquire_for(nanoseconds(400), 3)), "permits from nowhere");
  });
  model::thread behind([&] { s.acquire(); });
  s.release();
  if (WithStop) stop.request_stop();
}

void permits_meet_timeouts() {
  heddle::semaphore s(0);
  int taken = 0;
  {
    int got[2] = {};
    {
      model::thread one([&] { got[0] = s.try_acquire_for(nanoseconds(300)); });
      model::thread two([&] { got[1] = 2 * s.try_acquire_for(nanoseconds(400), 2); });
      s.release();
      s.release();
    }
    taken = got[0] + got[1];
  }
  while (s.try_acquire()) ++taken;
  model::check(taken == 2, "a permit was lost or came twice");
}

/// Who gets the last permits may destroy it, even if another has given up just before.
void semaphore_dies_early() {
  auto* s = new heddle::semaphore(0);
  heddle::detail::atomic<int> users{2};
  const auto leave = [&] {
    if (users.fetch_sub(1, std::memory_order_acq_rel) == 1) delete s;
  };
  model::thread one([&] {
    if (s->try_acquire_for(nanoseconds(300))) s->release();
    leave();
  });
  model::thread two([&] { s->release(); });
  s->acquire();
  leave();
  two.join();
}

// --- latch, wait_group -------------------------------------------------------------------------------------------

void latch_meets_timeout_and_stop() {
  heddle::latch l(2);
  model::data<int> a{0};
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  model::thread timed([&] {
    if (l.wait_for(nanoseconds(400))) model::check(a == 1, "the wait ended too early");
  });
  model::thread stopped([&] {
    if (l.wait(token)) model::check(a == 1, "the wait ended too early");
  });
  model::thread counter([&] {
    a = 1;
    l.count_down();
  });
  l.count_down();
  stop.request_stop();
  l.wait();
  model::check(a == 1, "the wait ended too early");
}

/// The one who waits without a bound is woken, whatever becomes of the other.
void group_meets_timeout() {
  heddle::wait_group group(1);
  model::thread timed([&] { group.wait_for(nanoseconds(300)); });
  model::thread patient([&] { group.wait(); });
  group.done();
}

/// As soon as all waits have returned the group goes, while the last done() may still be returning.
void group_dies_early_after_timeouts() {
  auto* group = new heddle::wait_group(1);
  heddle::detail::atomic<int> waiting{2};
  const auto leave = [&] {
    if (waiting.fetch_sub(1, std::memory_order_acq_rel) == 1) delete group;
  };
  model::thread timed([&] {
    group->wait_for(nanoseconds(300));
    leave();
  });
  model::thread last([&] { group->done(); });
  if (!group->wait_for(nanoseconds(300))) group->wait();
  leave();
}

void group_dies_after_one_timeout() {
  auto group = std::make_unique<heddle::wait_group>(1);
  model::thread last([g = group.get()] { g->done(); });
  if (!group->wait_for(nanoseconds(200))) group->wait();
  group.reset();
}

// --- barrier -----------------------------------------------------------------------------------------------------

void barrier_is_used_again() {
  model::data<int> phase{0};
  const auto complete = [&]() noexcept { phase = phase + 1; };
  heddle::barrier<decltype(complete)> b(2, complete);
  const auto work = [&] {
    for (int i = 0; i != 3; ++i) {
      model::check(phase == i, "one ran ahead");
      b.arrive_and_wait();
    }
  };
  model::thread one(work);
  work();
}

void barrier_meets_timeout_and_drop() {
  model::data<int> phase{0};
  const auto complete = [&]() noexcept { phase = phase + 1; };
  heddle::barrier<decltype(complete)> b(3, complete);
  model::thread timed([&] {
    auto token = b.arrive();
    if (!b.wait_for(token, nanoseconds(300))) b.wait(std::move(token));
    model::check(phase == 1, "the wait ended too early");
    b.arrive_and_drop();
  });
  model::thread dropped([&] { b.arrive_and_drop(); });
  b.arrive_and_wait();
  b.arrive_and_wait();
  model::check(phase == 2, "a phase was lost");
}

void barrier_dies_early() {
  auto b = std::make_unique<heddle::barrier<>>(2);
  model::thread other([p = b.get()] { (void)p->arrive(); });
  auto token = b->arrive();
  if (!b->wait_for(token, nanoseconds(200))) b->wait(std::move(token));
  b.reset();
}

// --- future ------------------------------------------------------------------------------------------------------

void future_set_meets_wait_for() {
  heddle::promise<std::unique_ptr<model::data<int>>> p;
  auto f = p.get_future();
  model::thread setter([&, p = std::move(p)]() mutable { p.set_value(std::make_unique<model::data<int>>(7)); });
  if (f.wait_for(nanoseconds(300)) == heddle::future_status::ready) model::check(*f.get() == 7, "not that");
}

void future_is_broken_or_stopped() {
  heddle::promise<int> p;
  const auto f = p.get_future().share();
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  model::thread breaker([&, p = std::move(p)]() mutable { const auto gone = std::move(p); });
  model::thread waiter([&, f] { f.wait(token); });
  stop.request_stop();
  try {
    f.get();
    model::fail("a value from nowhere");
  } catch (const heddle::future_error&) {
  }
}

void two_set_one_future() {
  heddle::promise<int> p;
  auto f = p.get_future();
  int refused = 0;
  {
    const auto set = [&](int n) {
      try {
        p.set_value(n);
      } catch (const heddle::future_error&) {
        ++refused;
      }
    };
    model::thread one([&] { set(1); });
    model::thread two([&] { set(2); });
    const int n = f.get();
    model::check(n == 1 || n == 2, "neither value");
  }
  model::check(refused == 1, "both were accepted, or neither");
}

// --- fibers ------------------------------------------------------------------------------------------------------

template <unsigned Procs>
void fibers_at_all_of_them() {
  heddle::run(
      [&] {
        heddle::semaphore room(1);
        heddle::once_flag flag;
        heddle::latch began(2);
        heddle::barrier<> met(2);
        heddle::wait_group all;
        int calls = 0;
        for (int i = 0; i != 2; ++i)
          all.go([&] {
            began.arrive_and_wait();
            heddle::call_once(flag, [&] { ++calls; });
            if (room.try_acquire_for(nanoseconds(3'000))) room.release();
            met.arrive_and_wait();
          });
        while (!all.wait_for(nanoseconds(2'000))) {
        }
        model::check(calls == 1 && room.try_acquire(), "a call or a permit too many or too few");
        room.release();
      },
      {.procs = Procs, .monitor = false});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(once) { right(once_by_three); }
BOOST_AUTO_TEST_CASE(once_exception) { right(once_throws_once); }
BOOST_AUTO_TEST_CASE(once_destroyed_at_once) { right(once_flag_dies_early); }
BOOST_AUTO_TEST_CASE(semaphore) { right(semaphore_keeps_out); }
BOOST_AUTO_TEST_CASE(semaphore_weights) { right(large_and_small_requests); }
BOOST_AUTO_TEST_CASE(semaphore_front_times_out) { right(front_gives_up<false>); }
BOOST_AUTO_TEST_CASE(semaphore_front_stops) { right(front_gives_up<true>); }
BOOST_AUTO_TEST_CASE(semaphore_timeouts) { right(permits_meet_timeouts); }
BOOST_AUTO_TEST_CASE(semaphore_destroyed_at_once) { right(semaphore_dies_early); }
BOOST_AUTO_TEST_CASE(latch) { right(latch_meets_timeout_and_stop); }
BOOST_AUTO_TEST_CASE(group_timeout) { right(group_meets_timeout); }
BOOST_AUTO_TEST_CASE(group_destroyed_at_once) { right(group_dies_early_after_timeouts); }
BOOST_AUTO_TEST_CASE(group_destroyed_by_waiter) { right(group_dies_after_one_timeout); }
BOOST_AUTO_TEST_CASE(barrier_again) { right(barrier_is_used_again); }
BOOST_AUTO_TEST_CASE(barrier_timeout) { right(barrier_meets_timeout_and_drop); }
BOOST_AUTO_TEST_CASE(barrier_destroyed_at_once) { right(barrier_dies_early); }
BOOST_AUTO_TEST_CASE(future_timeout) { right(future_set_meets_wait_for); }
BOOST_AUTO_TEST_CASE(future_broken) { right(future_is_broken_or_stopped); }
BOOST_AUTO_TEST_CASE(future_set_twice) { right(two_set_one_future); }
BOOST_AUTO_TEST_CASE(fibers_one) { model::expect_ok(fibers, fibers_at_all_of_them<1>); }
BOOST_AUTO_TEST_CASE(fibers_two) { model::expect_ok(fibers, fibers_at_all_of_them<2>); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(once_ends_by_store) { wrong(model::plant::once_ends_by_store, once_by_three, "deadlock"); }
BOOST_AUTO_TEST_CASE(once_failure_wakes_nobody) {
  wrong(model::plant::once_failure_wakes_nobody, once_throws_once, "deadlock");
}
BOOST_AUTO_TEST_CASE(permits_for_one_who_left) { wrong(model::plant::permits_for_one_who_left, permits_meet_timeouts); }
BOOST_AUTO_TEST_CASE(leaver_serves_nobody) {
  wrong(model::plant::leaver_serves_nobody, front_gives_up<false>, "deadlock");
}
BOOST_AUTO_TEST_CASE(waiting_bit_kept) { wrong(model::plant::waiting_bit_kept, group_dies_early_after_timeouts); }
BOOST_AUTO_TEST_CASE(zero_under_lock) { wrong(model::plant::zero_under_lock, group_dies_after_one_timeout); }
BOOST_AUTO_TEST_CASE(waits_for_ended_phase) {
  wrong(model::plant::waits_for_ended_phase, barrier_is_used_again, "deadlock");
}
BOOST_AUTO_TEST_CASE(completion_after_phase) { wrong(model::plant::completion_after_phase, barrier_is_used_again); }
BOOST_AUTO_TEST_CASE(two_set_a_future) { wrong(model::plant::two_set_a_future, two_set_one_future); }
BOOST_AUTO_TEST_SUITE_END()
