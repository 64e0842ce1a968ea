// SPDX-License-Identifier: BSL-1.0
//
// Counted objects (gc/src/count): threads that own them, others that drop them, weak references, and searches for
// cycles.
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "collected_threads.hpp"
#include "count/search.hpp"
#include "heddle/gc/make_counted.hpp"
#include "model/data.hpp"

namespace {

namespace hd = heddle::detail;
using heddle::gc::collect_cycles;
using heddle::gc::counted;
using heddle::gc::counted_weak;
using heddle::gc::make_counted;

int alive = 0;  // changed and read by one thread at a time: the explorer runs one

/// Whoever destroys it must see what all others have written.
class item {
 public:
  item() { ++alive; }
  ~item() {
    written = written + 1;
    is_whole = 0;
    --alive;
  }
  void check() const { model::check(is_whole == 1, "an object is used that has been destroyed"); }
  static void trace(heddle::gc::layout<item>& l) { l(&item::next, &item::other); }

  counted<item> next, other;
  model::data<int> written{0};

 private:
  int is_whole = 1;
};

/// No thread in the background: those that count search.
void begin() {
  make_counted<item>();
  heddle::gc::detail::the_search.set_background(nullptr);
  alive = 0;
}

/// All threads have ended but the caller's, which sees to what is left, and ends too.
void expect_nothing_left() {
  collect_cycles();
  collect_cycles();  // what has died by the first look may have led elsewhere
  collected::end_thread();
  model::check(alive == 0, "an object is left");
}

/// The maker keeps one pointer, another thread gets one that the maker has counted and copies it.
template <bool MakerWaits>
void shared() {
  begin();
  {
    counted<item> mine = make_counted<item>();
    collected::thread other([p = mine]() mutable {
      counted<item> copy = p;
      p = nullptr;
      copy->check();
      copy = nullptr;
    });
    if constexpr (MakerWaits) other.join();
    mine->check();
    mine = nullptr;
    if constexpr (!MakerWaits) other.join();
  }
  expect_nothing_left();
}

/// Each writes in turn, by another pointer, before it drops it.
void written_by_both() {
  begin();
  {
    hd::atomic<int> turn{0};
    counted<item> mine = make_counted<item>();
    collected::thread other([&turn, p = mine]() mutable {
      counted<item> copy = p;
      while (turn.load(std::memory_order_acquire) == 0) hd::platform::cpu_relax();
      copy->written = copy->written + 1;
      p = nullptr;
      copy = nullptr;
    });
    mine->written = mine->written + 1;
    turn.store(1, std::memory_order_release);
    mine = nullptr;
    other.join();
  }
  expect_nothing_left();
}

/// A thread copies a pointer of the maker's, and says so; then both let go, the maker of its only one.
void given_up() {
  begin();
  {
    hd::atomic<int> copied{0};
    counted<item> mine = make_counted<item>();
    collected::thread other([&] {
      counted<item> copy = mine;
      copied.store(1, std::memory_order_release);
      copy->written = copy->written + 1;
      copy = nullptr;
    });
    while (copied.load(std::memory_order_acquire) == 0) hd::platform::cpu_relax();
    mine = nullptr;
    other.join();
  }
  expect_nothing_left();
}

/// The maker ends while another thread drops what it has counted.
void maker_ends() {
  begin();
  {
    counted<item> one, two;
    hd::atomic<int> made{0};
    collected::thread maker([&] {
      one = make_counted<item>();
      two = make_counted<item>();
      made.store(1, std::memory_order_release);
    });
    while (made.load(std::memory_order_acquire) == 0) hd::platform::cpu_relax();
    one = nullptr;
    two->check();
    two = nullptr;
    maker.join();
    model::check(alive == 0, "an object waits for a thread that has ended");
  }
  expect_nothing_left();
}

/// Others leave references to the maker while it makes more.
void mail() {
  begin();
  {
    counted<item> one = make_counted<item>(), two = make_counted<item>();
    collected::thread first([p = std::move(one)]() mutable { p = nullptr; });
    collected::thread second([p = std::move(two)]() mutable { p = nullptr; });
    for (int i = 0; i != 2; ++i) make_counted<item>();
    first.join();
    second.join();
    make_counted<item>();
    make_counted<item>();
    model::check(alive == 0, "the maker has not seen what waits for it");
  }
  expect_nothing_left();
}

template <bool MakerDrops>
void weak() {
  begin();
  {
    counted<item> mine = make_counted<item>();
    collected::thread other([w = counted_weak<item>(mine)] {
      const counted<item> p = w.lock();
      if (p == nullptr) return;
      p->check();
      const counted<item> again = w.lock();
      model::check(again == p, "a weak reference does not give what it has given");
    });
    collected::thread third([p = mine, drops = !MakerDrops]() mutable {
      if (drops) p = nullptr;
    });
    mine->check();
    mine = nullptr;
    other.join();
    third.join();
  }
  expect_nothing_left();
}

/// A weak reference is asked while the only pointer ends.
void weak_at_the_end() {
  begin();
  {
    counted<item> mine = make_counted<item>();
    collected::thread other([w = counted_weak<item>(mine)] {
      const counted<item> p = w.lock();
      if (p == nullptr) return;
      p->written = p->written + 1;
      p->check();
    });
    mine = nullptr;
    other.join();
  }
  expect_nothing_left();
}

/// Two threads make the first weak references to an object at once.
void weak_twice() {
  begin();
  {
    const counted<item> mine = make_counted<item>();
    counted_weak<item> one, two;
    collected::thread other([&, p = mine] { one = p; });
    two = mine;
    other.join();
    model::check(one == two && one.lock() == mine, "two cells of one object");
  }
  expect_nothing_left();
}

/// A thread moves pointers about in a graph, and out of it, while another one searches.
void searched() {
  begin();
  {
    counted<item> a = make_counted<item>();
    a->next = make_counted<item>();
    a->next->next = a;
    collected::thread other([mine = a]() mutable {
      counted<item> b = std::move(mine->next);  // is in no object now
      b->other = std::move(mine);
      counted<item> back = b->next;
      back->next = std::move(b);
      back->check();
      back->next->check();
    });
    collect_cycles();
    a->check();
    a = nullptr;
    collect_cycles();
    other.join();
  }
  expect_nothing_left();
}

/// Now it is among the candidates: moves of pointers to it are fast.
void make_candidate(const counted<item>& p) { const counted<item> copy = p; }

/// The owner moves a pointer from one object to another and back while a search goes through both.
void moved_about() {
  begin();
  {
    collected::thread owner([] {
      const counted<item> one = make_counted<item>(), two = make_counted<item>();
      one->next = make_counted<item>();
      make_candidate(one);
      make_candidate(two);
      make_candidate(one->next);
      two->next = std::move(one->next);
      one->next = std::move(two->next);
      one->next->check();
    });
    collect_cycles();
    owner.join();
  }
  expect_nothing_left();
}

/// The last pointer from outside moves into its own object.
void moved_in() {
  begin();
  {
    counted<item> a = make_counted<item>(), b = make_counted<item>();
    item& into = *a;
    into.next = std::move(a);
    b->next = make_counted<item>();
    item& inner = *b->next;
    inner.next = std::move(b);
  }
  expect_nothing_left();
}

/// A weak reference to garbage is asked while it is found.
void weak_to_garbage() {
  begin();
  {
    counted<item> a = make_counted<item>();
    a->next = a;
    collected::thread other([w = counted_weak<item>(a)] {
      const counted<item> p = w.lock();
      if (p == nullptr) return;
      p->check();
      p->next->check();
    });
    a = nullptr;
    collect_cycles();
    other.join();
  }
  expect_nothing_left();
}

template <class F>
void right(F f, std::uint64_t executions = 3'000) {
  model::expect_ok({.executions = executions}, f);
}
/// The bug is found. In a process of its own: ledgers outlive an execution, and are not whole after one that has
/// failed.
template <class F>
void wrong(model::plant p, F f, std::uint64_t executions = 400'000) {
  const pid_t child = ::fork();
  if (child == 0) {
    const model::result r = model::explore({.executions = executions, .planted = p}, f);
    if (r.failed) BOOST_TEST_MESSAGE("found in " << r.executions << " executions: " << r.message);
    ::_exit(r.failed ? 0 : 1);
  }
  int status = -1;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_CHECK_MESSAGE(status == 0, "the bug was not found");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(a_thread_and_the_maker) { right(shared<false>); }
BOOST_AUTO_TEST_CASE(a_thread_and_then_the_maker) { right(shared<true>); }
BOOST_AUTO_TEST_CASE(both_write) { right(written_by_both); }
BOOST_AUTO_TEST_CASE(it_is_given_back) { right(given_up); }
BOOST_AUTO_TEST_CASE(the_maker_ends) { right(maker_ends); }
BOOST_AUTO_TEST_CASE(references_wait_for_the_maker) { right(mail); }
BOOST_AUTO_TEST_CASE(weak_references) { right(weak<true>); }
BOOST_AUTO_TEST_CASE(weak_references_of_others) { right(weak<false>); }
BOOST_AUTO_TEST_CASE(a_weak_reference_at_the_end) { right(weak_at_the_end); }
BOOST_AUTO_TEST_CASE(first_weak_references) { right(weak_twice); }
BOOST_AUTO_TEST_CASE(a_search) { right(searched); }
BOOST_AUTO_TEST_CASE(a_search_while_pointers_move) { right(moved_about); }
BOOST_AUTO_TEST_CASE(a_cycle_closed_by_a_move) { right(moved_in); }
BOOST_AUTO_TEST_CASE(weak_references_to_garbage) { right(weak_to_garbage); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(moves_uncounted) { wrong(model::plant::count_moves_uncounted, searched); }
BOOST_AUTO_TEST_CASE(moves_unnoted) { wrong(model::plant::count_moves_unnoted, moved_in); }
BOOST_AUTO_TEST_CASE(shut_keeps_base) { wrong(model::plant::count_shut_keeps_base, moved_about); }
BOOST_AUTO_TEST_CASE(merges_late) { wrong(model::plant::count_merges_late, given_up); }
BOOST_AUTO_TEST_CASE(merge_forgets) { wrong(model::plant::count_merge_forgets, shared<false>); }
BOOST_AUTO_TEST_CASE(queues_unsaid) { wrong(model::plant::count_queues_unsaid, maker_ends); }
BOOST_AUTO_TEST_CASE(mail_cleared_late) { wrong(model::plant::count_mail_cleared_late, mail); }
BOOST_AUTO_TEST_CASE(vacant_unseen) { wrong(model::plant::count_vacant_unseen, maker_ends); }
BOOST_AUTO_TEST_CASE(given_back_blind) { wrong(model::plant::count_given_back_blind, maker_ends); }
BOOST_AUTO_TEST_CASE(drops_relaxed) { wrong(model::plant::count_drops_relaxed, given_up); }
BOOST_AUTO_TEST_CASE(last_relaxed) { wrong(model::plant::count_last_relaxed, given_up); }
BOOST_AUTO_TEST_CASE(locks_dead) { wrong(model::plant::count_locks_dead, weak_at_the_end); }
BOOST_AUTO_TEST_CASE(weak_unflagged) { wrong(model::plant::count_weak_unflagged, weak_to_garbage); }
BOOST_AUTO_TEST_CASE(condemned_locked) { wrong(model::plant::count_condemned_locked, weak_to_garbage); }
BOOST_AUTO_TEST_SUITE_END()
