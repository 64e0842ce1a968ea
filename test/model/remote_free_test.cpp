// SPDX-License-Identifier: BSL-1.0
//
// Blocks that others free in a span which a cache owns (alloc/src/mcache.cpp): the owner of a full span is told, once,
// whatever it does meanwhile, and its thread may end.
#include "caches.hpp"

using warm_up_before_all = caches::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up_before_all);

namespace {

using namespace caches;

/// The owner finds the span full while another frees in it.
void free_meets_set_aside(heap& h) {
  void* const p = h.a.allocate();
  h.a.allocate();
  h.a.allocate();
  model::thread other([&] { h.b.free(p); });
  h.a.allocate();
  h.a.allocate();
  other.join();
}

/// The owner frees a block of a full span as another does.
void free_meets_look_at(heap& h) {
  const auto blocks = fill_a_span(h.a);
  model::thread other([&] { h.b.free(blocks[0]); });
  h.a.free(blocks[1]);
  h.a.free(blocks[2]);
  h.a.free(blocks[3]);
  other.join();
}

/// The span is full again before the word of the block has come.
void notice_comes_late(heap& h) {
  const auto blocks = fill_a_span(h.a);
  model::thread other([&] {
    h.b.free(blocks[0]);
    h.b.free(blocks[3]);
  });
  h.a.free(blocks[1]);
  for (int i = 0; i != 5; ++i) h.a.allocate();
  other.join();
}

void two_free_in_a_full_span(heap& h) {
  const auto blocks = fill_a_span(h.a);
  model::thread one([&] { h.b.free(blocks[0]); });
  model::thread two([&] {
    h.c.free(blocks[1]);
    h.c.free(blocks[3]);
  });
  h.a.free(blocks[2]);
  h.a->collect_returned();
  h.a.allocate();
  one.join();
  two.join();
}

/// Nobody but others free, until nothing is in use.
void all_freed_by_others(heap& h) {
  const auto blocks = fill_a_span(h.a);
  model::thread one([&] {
    h.b.free(blocks[0]);
    h.b.free(blocks[1]);
  });
  model::thread two([&] {
    h.c.free(blocks[2]);
    h.c.free(blocks[3]);
  });
  h.a->collect_returned();
  h.a->collect_returned();
  one.join();
  two.join();
}

void drain_meets_free(heap& h) {
  const auto blocks = fill_a_span(h.a);
  model::thread other([&] {
    h.b.free(blocks[0]);
    h.b.free(blocks[1]);
  });
  h.a.free(blocks[2]);
  h.a->drain();
  other.join();
}

/// The thread of the owner ends.
void end_meets_free(heap& h) {
  const auto blocks = fill_a_span(h.a);
  model::thread one([&] { h.b.free(blocks[0]); });
  model::thread two([&] { h.c.free(blocks[1]); });
  h.a.end();
  one.join();
  two.join();
}

/// And another begins with its cache.
void another_takes_the_cache(heap& h) {
  const auto blocks = fill_a_span(h.a);
  h.d.end();
  model::thread one([&] {
    h.b.free(blocks[0]);
    h.b.free(blocks[1]);
  });
  model::thread two([&] {
    h.d.begin();
    h.d.allocate();
    h.d.allocate();
  });
  h.a.end();
  one.join();
  two.join();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(set_aside) { right(free_meets_set_aside); }
BOOST_AUTO_TEST_CASE(look_at) { right(free_meets_look_at); }
BOOST_AUTO_TEST_CASE(late_notice) { right(notice_comes_late); }
BOOST_AUTO_TEST_CASE(two_free) { right(two_free_in_a_full_span); }
BOOST_AUTO_TEST_CASE(all_freed) { right(all_freed_by_others); }
BOOST_AUTO_TEST_CASE(drain) { right(drain_meets_free); }
BOOST_AUTO_TEST_CASE(end_of_thread) { right(end_meets_free); }
BOOST_AUTO_TEST_CASE(next_thread) { right(another_takes_the_cache); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(watch_without_look) { wrong(model::plant::watch_without_look, free_meets_set_aside); }
BOOST_AUTO_TEST_CASE(watch_kept) { wrong(model::plant::watch_kept, two_free_in_a_full_span); }
BOOST_AUTO_TEST_CASE(look_leaves_watch) { wrong(model::plant::look_leaves_watch, free_meets_look_at); }
BOOST_AUTO_TEST_CASE(notice_forgotten) { wrong(model::plant::notice_forgotten, free_meets_look_at); }
BOOST_AUTO_TEST_CASE(given_up_with_notice_due) { wrong(model::plant::given_up_with_notice_due, free_meets_look_at); }
BOOST_AUTO_TEST_CASE(drained_with_notice_due) { wrong(model::plant::drained_with_notice_due, drain_meets_free); }
BOOST_AUTO_TEST_CASE(reclaimed_in_use) { wrong(model::plant::reclaimed_in_use, another_takes_the_cache); }
BOOST_AUTO_TEST_CASE(sent_without_release) { wrong(model::plant::sent_without_release, notice_comes_late); }
BOOST_AUTO_TEST_CASE(collected_without_acquire) { wrong(model::plant::collected_without_acquire, notice_comes_late); }
BOOST_AUTO_TEST_SUITE_END()
