// SPDX-License-Identifier: BSL-1.0
//
// How much of its time a program gives for steps.
#include "step_pace.hpp"

#include <boost/test/unit_test.hpp>
#include <utility>

using heddle::detail::nanoseconds_t;
using heddle::detail::step_pace;

namespace {

constexpr nanoseconds_t us = 1'000, ms = 1'000 * us, second = 1'000 * ms;
constexpr nanoseconds_t start = 1'000'000 * second;

}  // namespace

BOOST_AUTO_TEST_SUITE(step_paces)

BOOST_AUTO_TEST_CASE(the_first_step_is_due_when_it_was_said) {
  step_pace p;
  p.begin(start, start + 250 * ms);
  BOOST_TEST(p.come_by(start) == 0);
  BOOST_TEST(p.come_by(start + 250 * ms - 1) == 0);
  BOOST_TEST(p.come_by(start + 250 * ms) == step_pace::least);
}

/// A hundredth of the time since the last call, in bounds.
BOOST_AUTO_TEST_CASE(a_step_costs_a_part_of_the_time_without_calls) {
  for (const auto& [gap, cost] : {std::pair{us, 200 * us},
                                  {20 * ms, 200 * us},
                                  {21 * ms, 210 * us},
                                  {second, 10 * ms},
                                  {5 * second, 50 * ms},
                                  {5 * second + ms, 50 * ms},
                                  {3'600 * second, 50 * ms}}) {
    step_pace p;
    p.begin(start, start);
    BOOST_TEST(p.come_by(start + gap) == cost, gap << " ns");
  }
}

/// The last call counts, whether a step was due or not.
BOOST_AUTO_TEST_CASE(calls_in_between_count) {
  step_pace p;
  p.begin(start, start + second);
  BOOST_TEST(p.come_by(start + 900 * ms) == 0);
  BOOST_TEST(p.come_by(start + second) == ms);
}

/// All steps together take no more than a fiftieth of the time.
BOOST_AUTO_TEST_CASE(after_a_step_there_is_a_pause) {
  step_pace p;
  p.begin(start, start);
  p.end(start, 200 * us, 0);
  BOOST_TEST(p.come_by(start + 10 * ms - 1) == 0);
  BOOST_TEST(p.come_by(start + 10 * ms) == 200 * us);
  p.end(start, 10 * ms, start + 3 * ms);  // there is something to do before, but it must wait
  BOOST_TEST(p.come_by(start + 500 * ms - 1) == 0);
  BOOST_TEST(p.come_by(start + 500 * ms) == 200 * us);
  p.end(start + second, 200 * us, start + 2 * second);  // there is nothing to do before
  BOOST_TEST(p.come_by(start + 2 * second - 1) == 0);
  BOOST_TEST(p.come_by(start + 2 * second) != 0);
}

/// A program that calls once a second has its step each time.
BOOST_AUTO_TEST_CASE(who_calls_seldom_steps_each_time) {
  step_pace p;
  p.begin(start, start);
  for (nanoseconds_t now = start + second; now != start + 20 * second; now += second) {
    const nanoseconds_t cost = p.come_by(now);
    BOOST_TEST(cost == 10 * ms);
    p.end(now, cost, 0);
  }
}

BOOST_AUTO_TEST_CASE(who_calls_seldom_is_at_rest) {
  step_pace p;
  BOOST_TEST(!p.was_at_rest());
  p.begin(start, start);
  p.come_by(start + 8 * ms - 1);
  BOOST_TEST(!p.was_at_rest());
  p.come_by(start + 16 * ms);
  BOOST_TEST(p.was_at_rest());
  p.come_by(start + 16 * ms);
  BOOST_TEST(!p.was_at_rest());
}

BOOST_AUTO_TEST_SUITE_END()
