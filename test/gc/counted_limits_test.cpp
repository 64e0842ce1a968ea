// SPDX-License-Identifier: BSL-1.0
//
// Searches for cycles of counted objects without memory, while the background is held up, and while the process forks.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "support/death.hpp"
#include "support/scale.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::death_of;
using heddle::testing::sanitized;
using life = heddle::testing::counted;

constexpr std::uint64_t most_candidates = 16'384;  // of a thread

struct node {
  gc::counted<node> next;
  life alive;
  int value = 0;
};

/// A ring of n objects. Only the one that is returned becomes a candidate, when its pointer ends.
gc::counted<node> ring(int n) {
  gc::counted<node> first = gc::make_counted<node>();
  node* last = first.get();
  for (int i = 1; i != n; ++i) {
    last->next = gc::make_counted<node>();
    last = last->next.get();
    last->value = i;
  }
  last->next = first;
  return first;
}
bool is_whole(const node* first, int n) {
  const node* at = first;
  for (int i = 0; i != n; ++i, at = at->next.get())
    if (at->value != i) return false;
  return at == first;
}

std::size_t data_bytes() {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;)
    if (std::size_t kib = 0; word == "VmData:" && file >> kib) return kib * 1024;
  return 0;
}
/// The kernel gives no more than `bytes` in all.
void limit_to(std::size_t bytes) {
  const rlimit data{bytes, RLIM_INFINITY};
  ::setrlimit(RLIMIT_DATA, &data);
}

/// Its destructor waits: so does the background, which calls it.
class waits {
 public:
  ~waits() {
    here = true;
    while (!go_on) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  static void trace(gc::layout<waits>& l) { l(&waits::self); }
  gc::counted<waits> self;
  static inline std::atomic<bool> here{false}, go_on{false};
};
/// A search in the background has found it, and is destroying it. False: it has not come.
bool hold_the_background_up() {
  waits::here = waits::go_on = false;
  {
    const gc::counted<waits> w = gc::make_counted<waits>();
    w->self = w;
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!waits::here && std::chrono::steady_clock::now() < end) {
    for (int i = 0; i != 2'000; ++i) ring(2);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return waits::here;
}
/// And goes on, until all is destroyed.
bool let_the_background_go_on() {
  waits::go_on = true;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (life::alive != 0 && std::chrono::steady_clock::now() < end) {
    gc::collect_cycles();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return life::alive == 0;
}

/// The search's tables meet the limit at one place after the other, until there is room for all. The exit status.
int search_with_more_and_more() {
  constexpr int many = 200'000;
  gc::counted<node> r = ring(many);
  const node* const first = r.get();
  const gc::counted_weak<node> weak = r;
  r = nullptr;
  const std::size_t now = data_bytes();
  std::uint64_t failed = 0;
  for (std::size_t more = 0; more < std::size_t{64} << 20; more += std::size_t{512} << 10) {
    const gc::counted_values then = gc::counted_statistics();
    limit_to(now + more);
    const std::size_t found = gc::collect_cycles();
    limit_to(RLIM_INFINITY);
    const gc::counted_values after = gc::counted_statistics();
    if (after.searches == then.searches) return 1;
    if (found != 0) return found == many && failed >= 3 && life::alive == 0 && weak.lock() == nullptr ? 0 : 2;
    ++failed;
    if (after.forgotten != then.forgotten + 1 || after.objects_found != then.objects_found) return 3;
    if (life::alive != many || !is_whole(first, many)) return 4;
    if (gc::collect_cycles() != 0) return 5;               // no candidate any more
    if (const auto p = weak.lock(); p != first) return 6;  // and a candidate again
  }
  return 7;
}

/// More references end at once than there is room for candidates.
int note_too_many() {
  constexpr std::size_t many = 30'000;
  // The thread in the background needs memory when it begins.
  if (!hold_the_background_up() || !let_the_background_go_on()) return 5;
  std::vector<gc::counted<node>> living(many);
  for (auto& p : living) p = ring(1);
  gc::counted<gc::counted<node>[]> all = gc::make_counted<gc::counted<node>[]>(many);
  for (std::size_t i = 0; i != many; ++i) all[i] = living[i];
  gc::collect_cycles();
  const std::uint64_t then = gc::counted_statistics().forgotten;
  limit_to(data_bytes());
  all = nullptr;
  limit_to(RLIM_INFINITY);
  const gc::counted_values after = gc::counted_statistics();
  if (after.forgotten - then < many - most_candidates || after.forgotten - then > many) return 1;
  if (after.candidates > most_candidates) return 2;
  for (const auto& p : living)
    if (p.use_count() != 2 || p->next != p) return 3;
  return life::alive == static_cast<int>(many) ? 0 : 4;
}

/// Memory does not grow in a loop that gives back all that it takes.
template <class F>
int keeps_its_size(F f) {
  for (int i = 0; i != 10'000; ++i) f();
  const std::size_t then = data_bytes();
  for (int i = 0; i != 400'000; ++i) f();
  return data_bytes() <= then + (std::size_t{4} << 20) ? 0 : 1;
}

/// No weak reference has been made in the process: the tables are still to be made.
int refer_without_memory() {
  std::vector<gc::counted<node>> all;
  for (int i = 0; i != 200; ++i) all.push_back(gc::make_counted<node>());
  const gc::counted_weak<node> first = all[0];
  std::vector<gc::counted_weak<node>> weak(all.size());
  limit_to(data_bytes());
  std::size_t refused = 0;
  for (std::size_t i = 0; i != all.size(); ++i) {
    try {
      weak[i] = all[i];
    } catch (const std::bad_alloc&) {
      ++refused;
    }
  }
  limit_to(RLIM_INFINITY);
  for (std::size_t i = 0; i != all.size(); ++i)
    if (all[i].use_count() != 1 || (!weak[i].expired() && weak[i].lock() != all[i])) return 1;
  if (std::ranges::count_if(weak, [](const auto& w) { return w.expired(); }) != static_cast<long>(refused)) return 2;
  return refused != 0 && first.lock() == all[0] && gc::counted_weak<node>(all[199]).lock() == all[199] ? 0 : 3;
}

struct counted_check : heddle::testing::collected_check {
  counted_check() { gc::collect_cycles(); }
  ~counted_check() { gc::collect_cycles(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(counted_limits, counted_check)

BOOST_AUTO_TEST_CASE(a_search_without_memory_keeps_all, *boost::unit_test::enable_if<!sanitized>()) {
  const auto end = death_of([] { ::_exit(search_with_more_and_more()); });
  BOOST_TEST((end.signal == 0 && end.status == 0), end.status << " " << end.text);
}

BOOST_AUTO_TEST_CASE(candidates_for_which_there_is_no_memory_are_forgotten,
                     *boost::unit_test::enable_if<!sanitized>()) {
  const auto end = death_of([] { ::_exit(note_too_many()); });
  BOOST_TEST((end.signal == 0 && end.status == 0), end.status << " " << end.text);
}

BOOST_AUTO_TEST_CASE(weak_references_without_memory, *boost::unit_test::enable_if<!sanitized>()) {
  const auto end = death_of([] { ::_exit(refer_without_memory()); });
  BOOST_TEST((end.signal == 0 && end.status == 0), end.status << " " << end.text);
}

BOOST_AUTO_TEST_CASE(tables_do_not_grow_with_what_comes_and_goes, *boost::unit_test::enable_if<!sanitized>()) {
  const auto weak =
      death_of([] { ::_exit(keeps_its_size([] { const gc::counted_weak<node> w = gc::make_counted<node>(); })); });
  BOOST_TEST((weak.signal == 0 && weak.status == 0), weak.text);
  const auto large = death_of([] { ::_exit(keeps_its_size([] { gc::make_counted<char[]>(40'000); })); });
  BOOST_TEST((large.signal == 0 && large.status == 0), large.text);
}

BOOST_AUTO_TEST_CASE(candidates_are_bounded_though_the_background_does_nothing) {
  BOOST_TEST_REQUIRE(hold_the_background_up());
  const std::uint64_t then = gc::counted_statistics().searches;
  std::uint64_t most = 0;
  int most_alive = 0;
  for (int i = 0; i != 100'000; ++i) {
    ring(2);
    most_alive = std::max(most_alive, life::alive.load());
    if (i % 100 == 0) most = std::max(most, gc::counted_statistics().candidates);
  }
  // Other threads that have counted may have some, too.
  BOOST_TEST((most > most_candidates / 2 && most <= most_candidates + 1'024));
  // The first full search has left its garbage to the background.
  BOOST_TEST(
      (most_alive > static_cast<int>(3 * most_candidates) && most_alive <= static_cast<int>(8 * most_candidates)));
  // One search for as many candidates as there is room for.
  const std::uint64_t searches = gc::counted_statistics().searches - then;
  BOOST_TEST((searches >= 5 && searches <= 8));
  BOOST_TEST(let_the_background_go_on());
}

/// There is room for no more than 16,384 from the start: the list grows, and keeps those that it has had.
BOOST_AUTO_TEST_CASE(more_candidates_at_once_than_there_is_room_for) {
  constexpr std::size_t many = 40'000;
  gc::counted<gc::counted<node>[]> all = gc::make_counted<gc::counted<node>[]>(many);
  for (std::size_t i = 0; i != many; ++i) all[i] = ring(1);
  gc::collect_cycles();
  const gc::counted_values then = gc::counted_statistics();
  all = nullptr;  // all are garbage, and candidates, and so are found
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (life::alive != 0 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const gc::counted_values after = gc::counted_statistics();
  BOOST_TEST(after.objects_found - then.objects_found == many);
  BOOST_TEST((after.forgotten == then.forgotten && life::alive == 0));
}

BOOST_AUTO_TEST_CASE(living_candidates_are_bounded_too) {
  std::vector<gc::counted<node>> living;
  for (int i = 0; i != 40'000; ++i) living.push_back(ring(1));
  for (const auto& p : living) {
    const gc::counted<node> copy = p;
  }
  BOOST_TEST(gc::counted_statistics().candidates <= most_candidates);
  gc::collect_cycles();
  BOOST_TEST(gc::counted_statistics().candidates == 0u);
  BOOST_TEST((life::alive == 40'000 && living[39'999]->next == living[39'999]));
}

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
BOOST_AUTO_TEST_CASE(a_fork_waits_for_a_search) {
  constexpr int many = 100'000;
  const gc::counted<node> living = ring(many);
  std::atomic<bool> stop{false};
  std::thread searching([&] {
    while (!stop) {
      const gc::counted<node> copy = living->next;  // a candidate: the search goes through all
      gc::collect_cycles();
    }
  });
  for (int i = 0; i != 20; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      const std::uint64_t then = gc::counted_statistics().searches;
      ring(100);
      const bool found = gc::collect_cycles() == 100;
      const bool searched = gc::counted_statistics().searches > then;
      ::_exit(found && searched && life::alive == many && is_whole(living.get(), many) ? 0 : 1);
    }
    int status = -1;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_REQUIRE(status == 0);
  }
  stop = true;
  searching.join();
}

/// The thread that destroys is not in the child: its garbage stays there, and weak references to it give null.
BOOST_AUTO_TEST_CASE(a_fork_while_a_search_destroys) {
  BOOST_TEST_REQUIRE(hold_the_background_up());
  const pid_t child = ::fork();
  if (child == 0) {
    const int then = life::alive;
    ring(100);
    bool good = gc::collect_cycles() >= 100 && life::alive <= then;
    const std::uint64_t searches = gc::counted_statistics().searches;
    // The background begins anew.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (gc::counted_statistics().searches == searches && std::chrono::steady_clock::now() < end) {
      for (int k = 0; k != 2'000; ++k) ring(2);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    good = good && gc::counted_statistics().searches > searches;
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  BOOST_TEST(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
  BOOST_TEST(let_the_background_go_on());
}

/// Those that are not in the child do not wait for their destructors to end: what dies there does so at once, although
/// a thread may have the very stack of another one that was in a destructor.
BOOST_AUTO_TEST_CASE(a_fork_while_threads_are_in_destructors) {
  waits::here = waits::go_on = false;
  std::array<std::thread, 3> in_destructors;
  for (auto& t : in_destructors) {
    waits::here = false;
    t = std::thread([] { gc::make_counted<waits>(); });
    while (!waits::here) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const pid_t child = ::fork();
  if (child == 0) {
    std::atomic<int> made{0};
    std::array<std::thread, 5> threads;
    for (auto& t : threads)
      t = std::thread([&] {
        gc::counted<node> n = gc::make_counted<node>();
        ++made;
        while (made != 5) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        n = nullptr;
      });
    for (auto& t : threads) t.join();
    ::_exit(life::alive == 0 ? 0 : 1);
  }
  int status = -1;
  BOOST_TEST(::waitpid(child, &status, 0) == child);
  BOOST_TEST(status == 0);
  waits::go_on = true;
  for (auto& t : in_destructors) t.join();
}
#endif

BOOST_AUTO_TEST_SUITE_END()
