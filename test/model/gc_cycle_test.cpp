// SPDX-License-Identifier: BSL-1.0
//
// Whole cycles of the collector (gc/src/cycle/collector.hpp) while threads make objects, move their addresses and look
// at weak cells: nothing that can be reached is swept, and two cycles find all that is dead. The oracle is in
// collected_roots.cpp.
#include <cstdlib>
#include <utility>

#include "barrier/mutators.hpp"
#include "collected_roots.hpp"
#include "collected_threads.hpp"
#include "cycle/collector.hpp"
#include "cycle/help.hpp"
#include "pace/options.hpp"

namespace {

using namespace collected;

/// A thread that collects, beside f and g.
template <int Cycles, class F, class G>
void beside(F f, G g) {
  {
    model::thread collector([] {
      for (int i = 0; i != Cycles; ++i) gd::the_collector.cycle();
    });
    collected::thread one(f);
    collected::thread two(g);
    one.join();
    two.join();
  }
  end_thread();
  expect_empty_heap();
}

void nothing() {}

/// globals[0] leads to so many objects, one behind the other.
void chain(int length) {
  stack& s = mine();
  for (int i = 0; i != length; ++i) {
    s.objects[1] = make();
    gd::store(&use(s.objects[1])->a, s.objects[0]);
    s.objects[0] = s.objects[1];
  }
  gd::store(&globals[0], s.objects[0]);
  s = {};
}

/// An object that is on the stack only becomes a global's only.
void publish() {
  gd::shade(nullptr);  // the thread is known
  stack& s = mine();
  gd::store(&globals[0], s.objects[0]);
  s = {};
}

/// What was behind an object is on the stack alone, then behind another slot.
template <int Times>
void move_out() {
  stack& s = mine();
  s.objects[0] = gd::load(&globals[0]);
  object& o = *use(s.objects[0]);
  void** from = &o.a;
  void** to = &o.b;
  for (int i = 0; i != Times; ++i, std::swap(from, to)) {
    s.objects[1] = gd::load(from);
    gd::store(from, nullptr);
    use(s.objects[1]);
    gd::store(to, s.objects[1]);
    s.objects[1] = nullptr;
    others_may_act();
  }
}

/// Takes a chain apart; its last link stays in use.
void take_apart() {
  stack& s = mine();
  s.objects[0] = gd::load(&globals[0]);
  for (int i = 0; i != 2; ++i) {
    s.objects[1] = gd::load(&use(s.objects[0])->a);
    gd::store(&use(s.objects[0])->a, nullptr);
    s.objects[0] = s.objects[1];
    others_may_act();
  }
  use(s.objects[1]);
}

/// New objects, one behind the other.
void grow() {
  stack& s = mine();
  for (int i = 0; i != 5; ++i) {
    s.objects[1] = make();
    gd::store(&use(s.objects[1])->a, s.objects[0]);
    s.objects[0] = s.objects[1];
    s.objects[1] = nullptr;
  }
  gd::store(&globals[1], s.objects[0]);
  s.objects[0] = nullptr;
  s.objects[0] = gd::load(&globals[1]);
  for (int i = 0; i != 4; ++i) s.objects[0] = gd::load(&use(s.objects[0])->a);
  use(s.objects[0]);
}

/// Many objects, all but the last forgotten at once.
void forget_many() {
  stack& s = mine();
  for (int i = 0; i != 6; ++i) s.objects[0] = make();
  use(s.objects[0]);
}

/// Large objects, one behind the other.
void grow_large() {
  stack& s = mine();
  for (int i = 0; i != 2; ++i) {
    s.objects[1] = make_large();
    gd::store(&use(s.objects[1])->b, s.objects[0]);
    s.objects[0] = s.objects[1];
  }
  s.objects[1] = nullptr;
  s.objects[1] = make();
  gd::store(&use(s.objects[0])->a, s.objects[1]);
  gd::store(&globals[1], s.objects[0]);
  s.objects = {};
  others_may_act();
  s.objects[0] = gd::load(&globals[1]);
  use(use(s.objects[0])->a);
  use(use(s.objects[0])->b);
}

void forget_large() {
  stack& s = mine();
  for (int i = 0; i != 3; ++i) s.objects[0] = make_large();
  use(s.objects[0]);
}

void grows_large() { beside<2>(grow_large, forget_large); }

/// One thread empties a slot when another has read it, which passes on what was there.
void hands_on() {
  chain(2);
  heddle::detail::atomic<int> read{0};
  beside<1>(
      [&] {
        stack& s = mine();
        s.objects[0] = gd::load(&globals[0]);
        s.objects[1] = gd::load(&use(s.objects[0])->a);
        s.objects[0] = nullptr;
        read.store(1, std::memory_order_release);
        gd::store(&globals[1], s.objects[1]);
        s.objects = {};
      },
      [&] {
        stack& s = mine();
        s.objects[0] = gd::load(&globals[0]);
        while (read.load(std::memory_order_acquire) == 0) heddle::detail::platform::cpu_relax();
        gd::store(&use(s.objects[0])->a, nullptr);
      });
}

template <int Cycles>
void moves() {
  chain(2);
  beside<Cycles>(move_out<3 * Cycles>, nothing);
}
void takes_apart() {
  chain(3);
  beside<1>(take_apart, nothing);
}
/// The global has no value yet.
void publish_first() {
  gd::shade(nullptr);
  stack& s = mine();
  gd::store_first(&globals[0], s.objects[0]);
  s = {};
}

/// A cycle that looks for leaks: what is unmarked in it before the end cannot be reached.
void looks_while_it_moves() {
  chain(2);
  gd::the_collector.look_next();
  beside<1>(move_out<3>, nothing);
}

void publishes_first() {
  stacks[2].objects[0] = make();
  beside<1>(publish_first, nothing);
}
void publishes() {
  stacks[2].objects[0] = make();  // of the first of the two
  beside<1>(publish, nothing);
}
void grows() {
  chain(2);
  beside<2>(grow, move_out<3>);
}
void forgets() { beside<2>(grow, forget_many); }

/// An object behind a weak cell, that leads to another one.
void weak_chain() {
  stack& s = mine();
  auto* const c = gd::make_weak(nullptr);
  s.cell = c;
  s.objects[0] = make();
  c->target = s.objects[0];
  s.objects[1] = make();
  gd::store(&use(s.objects[0])->a, s.objects[1]);
  s.objects = {};
}

void look(gd::weak_cell* c) {
  stack& s = mine();
  s.cell = c;
  s.objects[0] = gd::lock(*c);
  if (s.objects[0] == nullptr) return;
  object& o = *use(s.objects[0]);
  s.objects[1] = gd::load(&o.a);
  gd::store(&o.a, nullptr);
  if (s.objects[1] != nullptr) use(s.objects[1]);
}

template <int Cycles>
void weak_looks() {
  weak_chain();
  auto* const c = static_cast<gd::weak_cell*>(mine().cell);
  const auto look_only = [c] {
    stack& s = mine();
    s.cell = c;
    s.objects[0] = gd::lock(*c);
    if (s.objects[0] != nullptr) use(s.objects[0]);
  };
  beside<Cycles>([c] { look(c); }, look_only);
}

void weak_taken_apart() {
  weak_chain();
  auto* const c = static_cast<gd::weak_cell*>(mine().cell);
  beside<1>([c] { look(c); }, nothing);
}

/// The key of an ephemeron dies while its value is looked at, and becomes another one's.
void ephemeron_looks() {
  stack& s = mine();
  s.objects[0] = make();
  gd::store(&globals[0], s.objects[0]);
  s.objects[1] = make();
  gd::ephemeron_cell* const c = gd::make_ephemeron(s.objects[0], s.objects[1]);
  s.cell = c;
  s.objects = {};
  beside<1>(
      [c] {
        stack& me = mine();
        me.cell = c;
        me.objects[0] = gd::value_of(*c);
        if (me.objects[0] != nullptr) use(me.objects[0]);
        gd::store(&globals[1], me.objects[0]);
        me.objects = {};
        others_may_act();
        me.objects[1] = gd::key_of(*c);
        if (me.objects[1] != nullptr) use(me.objects[1]);
      },
      [c] {
        stack& me = mine();
        me.cell = c;
        gd::store(&globals[0], nullptr);
        me.objects[0] = make();
        gd::set_value(*c, me.objects[0]);
        me.objects = {};
        others_may_act();
        me.objects[0] = gd::value_of(*c);
        if (me.objects[0] != nullptr) use(me.objects[0]);
      });
}

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
    static gd::shade_buffer first;
    gd::mutators::recycle(first);
    gd::mutators::take_full();
    static gd::work_packet packet;
    gd::work_share::recycle(packet);
    gd::work_share::take_aside();
    // A helper finds nothing to do.
    gd::the_pacer().begin_cycle(false);
    gd::the_pacer().note(gd::pacer::floor, 0);
    gd::the_work_share.open();
    gd::help_to_mark();
    gd::the_work_share.close();
    gd::the_pacer().end_marking(false);
  }
};
BOOST_TEST_GLOBAL_FIXTURE(begin_heap);

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(publishing) { right(publishes); }
BOOST_AUTO_TEST_CASE(publishing_first) { right(publishes_first); }
BOOST_AUTO_TEST_CASE(moving) { right(moves<1>); }
BOOST_AUTO_TEST_CASE(moving_for_two_cycles) { right(moves<2>); }
BOOST_AUTO_TEST_CASE(taking_apart) { right(takes_apart); }
BOOST_AUTO_TEST_CASE(growing) { right(grows); }
BOOST_AUTO_TEST_CASE(growing_large) { right(grows_large); }
BOOST_AUTO_TEST_CASE(handing_on) { right(hands_on); }
BOOST_AUTO_TEST_CASE(forgetting) { right(forgets); }
BOOST_AUTO_TEST_CASE(looking_at_weak_cells) { right(weak_looks<1>); }
BOOST_AUTO_TEST_CASE(taking_apart_behind_weak) { right(weak_taken_apart); }
BOOST_AUTO_TEST_CASE(looking_at_ephemerons) { right(ephemeron_looks); }
BOOST_AUTO_TEST_CASE(looking_twice) { right(weak_looks<2>); }
BOOST_AUTO_TEST_CASE(looking_for_leaks) { right(looks_while_it_moves); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(tests_before_only) { wrong(model::plant::gc_tests_before_only, publishes); }
BOOST_AUTO_TEST_CASE(old_not_shaded) { wrong(model::plant::gc_old_not_shaded, moves<1>); }
BOOST_AUTO_TEST_CASE(told_stay) { wrong(model::plant::gc_told_stay, moves<2>); }
BOOST_AUTO_TEST_CASE(new_not_shaded) { wrong(model::plant::gc_new_not_shaded, publishes); }
BOOST_AUTO_TEST_CASE(inserts_late) { wrong(model::plant::gc_inserts_late, publishes_first); }
BOOST_AUTO_TEST_CASE(inserts_until_roots) { wrong(model::plant::gc_inserts_until_roots, publishes); }
BOOST_AUTO_TEST_CASE(weak_not_shaded) { wrong(model::plant::gc_weak_not_shaded, weak_looks<1>); }
BOOST_AUTO_TEST_CASE(word_not_marked) { wrong(model::plant::gc_word_not_marked, grows); }
BOOST_AUTO_TEST_CASE(large_not_marked) { wrong(model::plant::gc_large_not_marked, grows_large); }
BOOST_AUTO_TEST_CASE(not_blackened) { wrong(model::plant::gc_not_blackened, grows); }
BOOST_AUTO_TEST_CASE(marks_swept_spans) { wrong(model::plant::gc_marks_swept_spans, forgets); }
BOOST_AUTO_TEST_CASE(caches_not_flushed) { wrong(model::plant::gc_caches_not_flushed, forgets); }
BOOST_AUTO_TEST_CASE(given_as_swept) { wrong(model::plant::gc_given_as_swept, forgets); }
BOOST_AUTO_TEST_CASE(one_round_only) { wrong(model::plant::gc_one_round_only, weak_taken_apart); }
BOOST_AUTO_TEST_CASE(last_round_believed) { wrong(model::plant::gc_last_round_believed, weak_taken_apart); }
BOOST_AUTO_TEST_CASE(weak_looks_not) { wrong(model::plant::gc_weak_looks_not, weak_looks<1>); }
BOOST_AUTO_TEST_CASE(ephemerons_look_not) { wrong(model::plant::gc_weak_looks_not, ephemeron_looks); }
BOOST_AUTO_TEST_CASE(decided_early) { wrong(model::plant::gc_decided_early, weak_looks<1>); }
BOOST_AUTO_TEST_CASE(reaches_without_buffers) { wrong(model::plant::gc_reaches_without_buffers, looks_while_it_moves); }
BOOST_AUTO_TEST_CASE(awaits_nobody) { wrong(model::plant::gc_awaits_nobody, grows); }
BOOST_AUTO_TEST_CASE(enters_late) { wrong(model::plant::gc_enters_late, grows); }
BOOST_AUTO_TEST_SUITE_END()
