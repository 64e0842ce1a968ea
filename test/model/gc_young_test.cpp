// SPDX-License-Identifier: BSL-1.0
//
// Young cycles, and whole ones between them, while threads store addresses of new objects into old ones: nothing that
// can be reached is swept. The oracle is in collected_roots.cpp.
#include <cstdlib>
#include <utility>

#include "barrier/mutators.hpp"
#include "collected_roots.hpp"
#include "collected_threads.hpp"
#include "cycle/collector.hpp"
#include "heap/cards.hpp"
#include "mark/old_objects.hpp"
#include "pace/options.hpp"

namespace {

using namespace collected;

enum class cycle { young, whole };

void run(cycle c) {
  c == cycle::young ? gd::the_collector.young_next() : gd::the_collector.whole_next();
  gd::the_collector.cycle();
}

/// Two old objects, in the globals, if there are generations already.
void begin(bool generational) {
  gd::the_collector.set_generational(generational);
  stack& s = mine();
  for (void*& g : globals) {
    s.objects[0] = make();
    gd::store(&g, s.objects[0]);
  }
  s = {};
  gd::the_collector.cycle();
  sweep_all();
}

/// The next execution finds all as it was: no card is written, and no mark stays.
void end() {
  end_thread();
  gd::the_collector.set_generational(false);
  gd::card* const cards = heddle_gc_cards.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i != 2 * gd::card_count; ++i)
    if (cards[i].load(std::memory_order_relaxed) != 0) cards[i].store(0, std::memory_order_relaxed);
  expect_empty_heap();
}

/// A thread that collects, beside f and g. In the end a young cycle has to find what they have left.
template <cycle... Cycles, class F, class G>
void beside(bool generational, F f, G g) {
  begin(generational);
  gd::the_collector.set_generational(true);
  {
    model::thread collector([] { (run(Cycles), ...); });
    collected::thread one(f);
    collected::thread two(g);
    one.join();
    two.join();
  }
  run(cycle::young);
  end();
}

void nothing() {}

/// New objects go into an old one, and are at hand nowhere else.
template <int Times>
void put_into_old() {
  for (int i = 0; i != Times; ++i) {
    stack& s = mine();
    s.objects[0] = gd::load(&globals[0]);
    s.objects[1] = make();
    gd::store(i % 2 == 0 ? &use(s.objects[0])->a : &use(s.objects[0])->b, s.objects[1]);
    s = {};
    others_may_act();
    s.objects[0] = gd::load(&globals[0]);
    s.objects[1] = gd::load(i % 2 == 0 ? &use(s.objects[0])->a : &use(s.objects[0])->b);
    use(s.objects[1]);
    s = {};
  }
}

/// New objects go behind each other, the first behind an old one; the last is the only one that a thread has.
void grow_behind_old() {
  stack& s = mine();
  s.objects[0] = gd::load(&globals[1]);
  for (int i = 0; i != 3; ++i) {
    s.objects[1] = make();
    gd::store(&use(s.objects[0])->a, s.objects[1]);
    s.objects[0] = std::exchange(s.objects[1], nullptr);
    others_may_act();
  }
  s.objects[0] = gd::load(&globals[1]);
  for (int i = 0; i != 3; ++i) s.objects[0] = gd::load(&use(s.objects[0])->a);
  use(s.objects[0]);
  s = {};
}

/// A slot of an old object that has had no value.
void put_first_into_old() {
  stack& s = mine();
  s.objects[0] = gd::load(&globals[0]);
  s.objects[1] = make();
  gd::store_first(&use(s.objects[0])->b, s.objects[1]);
  s = {};
  others_may_act();
  s.objects[0] = gd::load(&globals[0]);
  use(gd::load(&use(s.objects[0])->b));
  s = {};
}

/// The other thread moves an object that one thread has made from an old object to another.
void move_between_old() {
  stack& s = mine();
  s.objects[0] = gd::load(&globals[0]);
  s.objects[1] = gd::load(&globals[1]);
  s.objects[2] = gd::load(&use(s.objects[0])->a);
  if (s.objects[2] != nullptr) {
    gd::store(&use(s.objects[0])->a, nullptr);
    gd::store(&use(s.objects[1])->b, s.objects[2]);
  }
  s = {};
  others_may_act();
  s.objects[1] = gd::load(&globals[1]);
  s.objects[2] = gd::load(&use(s.objects[1])->b);
  if (s.objects[2] != nullptr) use(s.objects[2]);
  s = {};
}

void make_for_another() {
  stack& s = mine();
  s.objects[0] = gd::load(&globals[0]);
  s.objects[1] = make();
  gd::store(&use(s.objects[0])->a, s.objects[1]);
  s = {};
}

void puts_twice() { beside<cycle::young>(true, put_into_old<2>, nothing); }
void puts_during_two() { beside<cycle::young, cycle::young>(true, put_into_old<3>, nothing); }
void puts_between_kinds() { beside<cycle::young, cycle::whole, cycle::young>(true, put_into_old<2>, nothing); }
void puts_first() { beside<cycle::young, cycle::young>(true, put_first_into_old, nothing); }
void puts_before_whole() { beside<cycle::whole>(true, put_into_old<2>, nothing); }
void grows() { beside<cycle::young, cycle::young>(true, grow_behind_old, put_into_old<1>); }
void moves() { beside<cycle::young, cycle::young>(true, make_for_another, move_between_old); }
void begins() { beside<cycle::whole, cycle::young>(false, make_for_another, move_between_old); }

template <class F>
void right(F f) {
  model::expect_ok({.executions = 8'000, .warm_up = true}, f);
}
template <class F>
void wrong(model::plant p, F f, std::uint64_t executions = 200'000) {
  model::expect_bug({.executions = executions, .planted = p, .warm_up = true}, f);
}

/// Makes what executions would have to make. The heap fills what has died with other values.
struct begin_heap {
  begin_heap() {
    ::setenv("HEDDLE_GC", "check=1", 1);
    gd::the_options();
    gd::the_cards.begin();
    static gd::shade_buffer first;
    gd::mutators::recycle(first);
    gd::mutators::take_full();
  }
};
BOOST_TEST_GLOBAL_FIXTURE(begin_heap);

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(putting) { right(puts_twice); }
BOOST_AUTO_TEST_CASE(putting_during_two_cycles) { right(puts_during_two); }
BOOST_AUTO_TEST_CASE(putting_between_kinds_of_cycles) { right(puts_between_kinds); }
BOOST_AUTO_TEST_CASE(putting_first) { right(puts_first); }
BOOST_AUTO_TEST_CASE(putting_before_a_whole_cycle) { right(puts_before_whole); }
BOOST_AUTO_TEST_CASE(growing) { right(grows); }
BOOST_AUTO_TEST_CASE(moving) { right(moves); }
BOOST_AUTO_TEST_CASE(beginning) { right(begins); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(card_not_written) { wrong(model::plant::gc_card_not_written, puts_twice); }
BOOST_AUTO_TEST_CASE(first_card_not_written) { wrong(model::plant::gc_card_not_written, puts_first); }
BOOST_AUTO_TEST_CASE(cards_taken_late) { wrong(model::plant::gc_cards_taken_late, puts_during_two); }
BOOST_AUTO_TEST_CASE(whole_leaves_marks) { wrong(model::plant::gc_whole_leaves_marks, puts_before_whole); }
BOOST_AUTO_TEST_SUITE_END()
