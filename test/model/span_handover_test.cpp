// SPDX-License-Identifier: BSL-1.0
//
// Spans that go from a cache to the mcentral, to another cache, back to the mheap (alloc/src/mcentral.cpp), while
// others free the last of their blocks: exactly one of them sees that a span is empty.
#include "caches.hpp"

using warm_up_before_all = caches::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up_before_all);

namespace {

using namespace caches;

/// All is given up while another frees.
void give_meets_free(heap& h) {
  void* const p = h.a.allocate();
  h.a.allocate();
  void* const q = h.a.allocate();
  model::thread other([&] {
    h.b.free(p);
    h.b.free(q);
  });
  h.a->drain();
  other.join();
}

/// The owner gives a span up since few of its blocks are in use; another frees those.
void give_meets_last_free(heap& h) {
  const auto blocks = fill_a_span(h.a);
  h.a.free(blocks[0]);
  model::thread other([&] { h.b.free(blocks[3]); });
  h.a.free(blocks[1]);
  h.a.free(blocks[2]);
  other.join();
}

void two_free_the_last(heap& h) {
  const auto blocks = two_left_behind(h.a);
  model::thread one([&] { h.b.free(blocks[0]); });
  model::thread two([&] { h.c.free(blocks[1]); });
  one.join();
  two.join();
}

/// And a third takes the span.
void take_meets_last_free(heap& h) {
  const auto blocks = two_left_behind(h.a);
  model::thread one([&] { h.b.free(blocks[0]); });
  model::thread two([&] { h.c.free(blocks[1]); });
  h.d.free(h.d.allocate());
  one.join();
  two.join();
}

/// The new owner fills it, frees in it, and gives it up again.
void adopted_and_given_up(heap& h) {
  const auto blocks = two_left_behind(h.a);
  model::thread other([&] {
    h.b.free(blocks[0]);
    h.b.free(blocks[1]);
  });
  void* const p = h.d.allocate();
  void* const q = h.d.allocate();
  h.d.free(p);
  h.d->drain();
  h.a.free(q);
  other.join();
}

/// The record of the span becomes that of a span of another class, which is given up as well.
void record_becomes_another(heap& h) {
  const auto blocks = two_left_behind(h.a);
  model::thread one([&] { h.b.free(blocks[0]); });
  model::thread other([&] { h.c.free(blocks[1]); });
  h.d.free(h.d.allocate());
  h.d->drain();
  hd::the_scavenger.tidy_spans(hd::the_mcentrals[four], true);
  void* const p = h.d.allocate(two);
  h.d->drain();
  h.d.free(p);
  one.join();
  other.join();
}

/// Two caches that take and give up the same span, each in turn.
void two_caches_take_turns(heap& h) {
  const auto blocks = two_left_behind(h.a);
  model::thread other([&] {
    h.b.free(blocks[0]);
    h.b.free(h.b.allocate());
    h.b->drain();
  });
  h.d.allocate();
  h.d->drain();
  h.d.free(blocks[1]);
  other.join();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(give) { right(give_meets_free); }
BOOST_AUTO_TEST_CASE(give_and_last_free) { right(give_meets_last_free); }
BOOST_AUTO_TEST_CASE(last_free) { right(two_free_the_last); }
BOOST_AUTO_TEST_CASE(take) { right(take_meets_last_free); }
BOOST_AUTO_TEST_CASE(adopted) { right(adopted_and_given_up); }
BOOST_AUTO_TEST_CASE(another_class) { right(record_becomes_another); }
BOOST_AUTO_TEST_CASE(turns) { right(two_caches_take_turns); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(flag_kept) { wrong(model::plant::flag_kept, adopted_and_given_up); }
BOOST_AUTO_TEST_CASE(left_after_flag) { wrong(model::plant::left_after_flag, give_meets_last_free); }
BOOST_AUTO_TEST_CASE(given_without_collecting) { wrong(model::plant::given_without_collecting, give_meets_last_free); }
BOOST_AUTO_TEST_CASE(taken_stays_listed) { wrong(model::plant::taken_stays_listed, take_meets_last_free); }
BOOST_AUTO_TEST_CASE(emptied_of_another) { wrong(model::plant::emptied_of_another, take_meets_last_free); }
BOOST_AUTO_TEST_SUITE_END()
