// SPDX-License-Identifier: BSL-1.0
//
// The scavenger's steps (alloc/src/scavenger.cpp) while threads free, take spans, end and begin.
#include "caches.hpp"

using warm_up_before_all = caches::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up_before_all);

namespace {

using namespace caches;

void tidy() { hd::the_scavenger.tidy_spans(hd::the_mcentrals[four], true); }

void tidy_meets_free(heap& h) {
  const auto blocks = two_left_behind(h.a);
  model::thread one([&] { h.b.free(blocks[0]); });
  model::thread two([&] { h.c.free(blocks[1]); });
  tidy();
  tidy();
  one.join();
  two.join();
}

/// A block without memory is handed out again.
void tidy_meets_take(heap& h) {
  const auto blocks = two_left_behind(h.a);
  model::thread one([&] { h.b.free(blocks[0]); });
  model::thread two([&] {
    h.c.allocate();
    h.c.allocate();
    h.c.allocate();
  });
  tidy();
  one.join();
  two.join();
}

void tidy_meets_give(heap& h) {
  const auto blocks = fill_a_span(h.a);
  h.a.free(blocks[0]);
  model::thread other([&] { h.b.free(blocks[3]); });
  model::thread scavenger([] { tidy(); });
  h.a.free(blocks[1]);
  h.a.free(blocks[2]);
  other.join();
  scavenger.join();
}

/// It looks after the caches of threads that have ended, one of which begins again.
void reclaim_meets_take(heap& h) {
  const auto blocks = fill_a_span(h.a);
  h.d.end();
  h.a.end();
  model::thread one([&] {
    h.b.free(blocks[0]);
    h.b.free(blocks[1]);
  });
  model::thread two([&] {
    h.d.begin();
    h.d.allocate();
    h.d.end();
  });
  hd::the_mcache_pool.reclaim_all();
  one.join();
  two.join();
}

constexpr hd::nanoseconds_t unlimited = hd::nanoseconds_t{1} << 60;

/// Two threads step: one of them does, and the other goes on. A step may end anywhere in a round.
void steps_meet(heap& h) {
  const auto blocks = two_left_behind(h.a);
  model::thread one([&] {
    h.b.free(blocks[0]);
    hd::the_scavenger.step(2, unlimited);
  });
  model::thread two([&] {
    hd::the_scavenger.step(2, 1'000);
    h.c.free(blocks[1]);
  });
  hd::the_scavenger.step(5, unlimited);
  one.join();
  two.join();
}

/// Memory is noticed while a thread that steps finds that nothing is left to be done.
void notice_meets_rest(heap&) {
  while (hd::the_scavenger.waits()) hd::the_scavenger.step(5, unlimited);
  hd::the_scavenger.notice_idle(hd::scavenger::worthwhile + 1);
  hd::the_scavenger.step(5, unlimited);  // takes notice of that
  model::thread one([] { hd::the_scavenger.notice_idle(hd::scavenger::worthwhile + 1); });
  hd::the_scavenger.step(5, unlimited);
  one.join();
  if (hd::the_scavenger.waits()) return;
  model::check(!hd::the_scavenger.has_noticed(), "memory waits, and nobody knows");
}

void right_in_short(scenario s) {
  model::expect_ok({.executions = 5'000}, [s] { run(s); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(step_and_step) { right_in_short(steps_meet); }
BOOST_AUTO_TEST_CASE(notice_and_rest) { right_in_short(notice_meets_rest); }
BOOST_AUTO_TEST_CASE(tidy_and_free) { right(tidy_meets_free); }
BOOST_AUTO_TEST_CASE(tidy_and_take) { right(tidy_meets_take); }
BOOST_AUTO_TEST_CASE(tidy_and_give) { right(tidy_meets_give); }
BOOST_AUTO_TEST_CASE(reclaim_and_take) { right(reclaim_meets_take); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(tidied_stay_free) { wrong(model::plant::tidied_stay_free, tidy_meets_take); }
BOOST_AUTO_TEST_CASE(two_step) { wrong(model::plant::two_step, steps_meet); }
BOOST_AUTO_TEST_CASE(steps_without_acquire) { wrong(model::plant::steps_without_acquire, steps_meet); }
BOOST_AUTO_TEST_CASE(step_left_relaxed) { wrong(model::plant::step_left_relaxed, steps_meet); }
BOOST_AUTO_TEST_CASE(rest_without_acquire) { wrong(model::plant::rest_without_acquire, notice_meets_rest); }
BOOST_AUTO_TEST_CASE(taken_stays_listed) { wrong(model::plant::taken_stays_listed, tidy_meets_free); }
BOOST_AUTO_TEST_SUITE_END()
