// SPDX-License-Identifier: BSL-1.0
//
// When a cycle is due, and when allocation waits for it.
#include "pace/pacer.hpp"

#include <boost/test/unit_test.hpp>

#include "pace/options.hpp"

namespace {

using namespace heddle::gc::detail;

constexpr std::size_t MiB = std::size_t{1} << 20;

/// A pacer after a whole cycle that has found 100 MiB: beside them as many may be allocated until the next one is over.
struct after_a_whole_cycle : pacer {
  explicit after_a_whole_cycle(bool generational, std::size_t limit = 0) : pacer(options{}) {
    set_limit(limit);
    cycle(false, 100 * MiB, generational);
  }
  void cycle(bool young, std::size_t marked, bool generational) {
    begin_cycle(young);
    note_marked(marked, 0);
    end_marking(generational);
  }
};

/// How many MiB are allocated until a condition holds; 10,000 at most.
template <class F>
std::size_t allocated_until(pacer& p, F condition) {
  std::size_t n = 0;
  for (; !condition() && n != 10'000; ++n) p.note(MiB, 0);
  return n;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(paces)

BOOST_AUTO_TEST_CASE(a_whole_cycle_is_due_a_quarter_early_and_waited_for_a_quarter_late) {
  after_a_whole_cycle p(false);
  BOOST_TEST(p.goal() == 200 * MiB);
  BOOST_TEST(!p.is_young_due());
  BOOST_TEST(allocated_until(p, [&] { return p.is_due(); }) == 75);
  BOOST_TEST(allocated_until(p, [&] { return p.overdrawn(); }) == 125 - 75);
}

BOOST_AUTO_TEST_CASE(an_early_young_cycle_is_waited_for_no_earlier_than_a_whole_one) {
  after_a_whole_cycle p(true);
  BOOST_TEST(p.is_young_due());
  BOOST_TEST(p.goal() == 125 * MiB);
  BOOST_TEST(allocated_until(p, [&] { return p.is_due(); }) < 25);
  p.begin_cycle(true);
  BOOST_TEST(!p.is_due());
  const std::size_t before = p.allocated_in_all();
  allocated_until(p, [&] { return p.overdrawn(); });
  BOOST_TEST(before / MiB < 25);
  BOOST_TEST(p.allocated_in_all() / MiB == 125);
}

BOOST_AUTO_TEST_CASE(bytes_that_have_become_old_are_no_room) {
  after_a_whole_cycle p(true);
  allocated_until(p, [&] { return p.is_due(); });
  const std::size_t before = p.allocated_in_all() / MiB;
  p.cycle(true, 4 * MiB, true);
  BOOST_TEST(p.promoted_in_all() == 4 * MiB);
  BOOST_TEST(p.is_young_due());
  BOOST_TEST(p.goal() == 200 * MiB);  // 100 old, 4 more, and 96 of the room are left
  allocated_until(p, [&] { return p.overdrawn(); });
  BOOST_TEST(p.allocated_in_all() / MiB - before == 96 + 96 / 4);
}

BOOST_AUTO_TEST_CASE(no_goal_is_beyond_the_limit) {
  after_a_whole_cycle p(true, 110 * MiB);
  BOOST_TEST(p.goal() == 110 * MiB);
  allocated_until(p, [&] { return p.overdrawn(); });
  BOOST_TEST(p.allocated_in_all() / MiB == 13);  // 10 and a quarter, and the MiB that is begun
}

BOOST_AUTO_TEST_SUITE_END()
