// SPDX-License-Identifier: BSL-1.0
//
// Cycles of counted objects.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "support/crew.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::with_crew;
using life = heddle::testing::counted;

struct node {
  gc::counted<node> left, right;
  life alive;
  int value = 0;
};
/// Only its bytes: an end of it runs nothing.
struct plain {
  gc::counted<plain> next;
  char rest[1'000] = {};
};
/// Its destructor looks where its pointers lead.
class curious {
 public:
  ~curious() {
    ++destroyed;
    if (next != nullptr) ++saw_another;
    if (apart != nullptr && *apart == 7) ++saw_apart;
  }
  static void trace(gc::layout<curious>& l) { l(&curious::next, &curious::apart); }
  gc::counted<curious> next;
  gc::counted<int> apart;
  static inline std::atomic<int> destroyed{0}, saw_another{0}, saw_apart{0};
};

/// A ring of n; returns one of them.
gc::counted<node> ring(int n) {
  const gc::counted<node> first = gc::make_counted<node>();
  gc::counted<node> last = first;
  for (int i = 1; i < n; ++i) {
    last->left = gc::make_counted<node>();
    last = last->left;
    last->value = i;
  }
  last->left = first;
  return first;
}

/// Waits for the background, for ten seconds at most.
template <class Predicate>
bool comes_true(Predicate holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!holds() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return holds();
}

struct counted_check : heddle::testing::collected_check {
  counted_check() { gc::collect_cycles(); }
  ~counted_check() { gc::collect_cycles(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(counted_cycles, counted_check)

BOOST_AUTO_TEST_CASE(rings_are_found) {
  for (int n : {1, 2, 3, 1'000}) {
    gc::counted<node> r = ring(n);
    BOOST_TEST(gc::collect_cycles() == 0u);
    BOOST_TEST(life::alive == n);
    r = nullptr;
    BOOST_TEST(life::alive == n);
    BOOST_TEST(gc::collect_cycles() == static_cast<std::size_t>(n));
    BOOST_TEST(life::alive == 0);
    BOOST_TEST(gc::collect_cycles() == 0u);
  }
}

BOOST_AUTO_TEST_CASE(what_a_pointer_from_outside_keeps_stays) {
  gc::counted<node> r = ring(10);
  const gc::counted<node> inside = r->left->left;
  r = nullptr;
  BOOST_TEST(gc::collect_cycles() == 0u);
  BOOST_TEST((life::alive == 10 && inside->value == 2 && inside->left->value == 3));
}

BOOST_AUTO_TEST_CASE(a_living_ring_behind_a_dead_one_stays) {
  gc::counted<node> dead = ring(5), living = ring(5);
  dead->right = living;     // leads there
  living->right = ring(3);  // the living one leads on
  living->right->right = living;
  dead = nullptr;
  const gc::counted_values then = gc::counted_statistics();
  BOOST_TEST(gc::collect_cycles() == 5u);
  const gc::counted_values now = gc::counted_statistics();
  BOOST_TEST((now.objects_found - then.objects_found == 5 && now.objects_visited - then.objects_visited == 13));
  BOOST_TEST((life::alive == 8 && living.use_count() == 3));
  living = nullptr;
  BOOST_TEST(gc::collect_cycles() == 8u);
}

BOOST_AUTO_TEST_CASE(what_hangs_on_a_dead_ring_dies_with_it) {
  gc::counted<node> r = ring(4);
  r->right = gc::make_counted<node>();
  r->right->right = gc::make_counted<node>();
  gc::counted<node> shared = gc::make_counted<node>();
  r->left->right = shared;
  r = nullptr;
  BOOST_TEST(gc::collect_cycles() >= 4u);
  BOOST_TEST((life::alive == 1 && shared.use_count() == 1));
}

BOOST_AUTO_TEST_CASE(arrays_are_gone_through) {
  struct row {
    gc::counted<row[]> all;
    life alive;
  };
  gc::counted<row[]> a = gc::make_counted<row[]>(50), b = gc::make_counted<row[]>(3);
  a[49].all = b;
  b[1].all = a;
  a = nullptr;
  BOOST_TEST(gc::collect_cycles() == 0u);
  b = nullptr;
  BOOST_TEST(life::alive == 53);
  BOOST_TEST(gc::collect_cycles() == 2u);
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(large_arrays_are_gone_through) {
  gc::counted<gc::counted<node>[]> all = gc::make_counted<gc::counted<node>[]>(20'000);
  struct holder {
    gc::counted<holder[]> of;
    gc::counted<void> to;
  };
  gc::counted<holder[]> large = gc::make_counted<holder[]>(10'000);
  large[9'999].to = large;
  large = nullptr;
  BOOST_TEST(gc::collect_cycles() == 1u);
}

BOOST_AUTO_TEST_CASE(pointers_to_bases_and_parts_count) {
  struct part {
    int value = 0;
  };
  struct whole {
    part front, inner;
    gc::counted<part> mine;
    life alive;
  };
  gc::counted<whole> w = gc::make_counted<whole>();
  w->mine = gc::counted<part>(w, &w->inner);
  w = nullptr;
  BOOST_TEST(gc::collect_cycles() == 1u);
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(destructors_meet_nothing_of_the_same_garbage) {
  curious::destroyed = curious::saw_another = curious::saw_apart = 0;
  {
    const auto a = gc::make_counted<curious>(), b = gc::make_counted<curious>();
    a->next = b;
    b->next = a;
    a->apart = b->apart = gc::make_counted<int>(7);
  }
  BOOST_TEST(gc::collect_cycles() == 2u);
  BOOST_TEST((curious::destroyed == 2 && curious::saw_another == 0 && curious::saw_apart == 2));
}

BOOST_AUTO_TEST_CASE(weak_references_to_garbage_give_null) {
  gc::counted<node> r = ring(2);
  const gc::counted_weak<node> w = r->left;
  BOOST_TEST(gc::collect_cycles() == 0u);
  BOOST_TEST((w.lock() == r->left));
  r = nullptr;
  BOOST_TEST((w.lock() != nullptr));  // nobody has looked yet
  BOOST_TEST(gc::collect_cycles() == 2u);
  BOOST_TEST((w.expired() && w.lock() == nullptr));
}

BOOST_AUTO_TEST_CASE(cycles_through_hidden_members_stay) {
  struct hiding {
    std::vector<gc::counted<hiding>> children;
    life alive;
  };
  gc::counted<hiding> h = gc::make_counted<hiding>();
  h->children.push_back(h);
  hiding* const raw = h.get();
  h = nullptr;
  BOOST_TEST(gc::collect_cycles() == 0u);
  BOOST_TEST(life::alive == 1);
  const auto freed = std::exchange(raw->children, {});
}

BOOST_AUTO_TEST_CASE(the_background_finds_them) {
  const std::uint64_t before_that = gc::counted_statistics().searches;
  for (int i = 0; i < 5'000; ++i) ring(2);
  BOOST_TEST(comes_true([] { return life::alive < 8'000; }));
  BOOST_TEST(gc::counted_statistics().searches > before_that);
}

BOOST_AUTO_TEST_CASE(the_background_finds_them_where_fibers_run) {
  heddle::run([] {
    for (int i = 0; i < 5'000; ++i) ring(2);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (life::alive >= 8'000 && std::chrono::steady_clock::now() < end)
      heddle::this_fiber::sleep_for(std::chrono::milliseconds(1));
    expect(life::alive < 8'000);
  });
}

BOOST_AUTO_TEST_CASE(garbage_is_bounded_whatever_the_background_does) {
  // 16,384 candidates at most wait in a thread; with these the garbage before them.
  int most = 0;
  for (int i = 0; i < 200'000; ++i) {
    ring(2);
    most = std::max(most, life::alive.load());
  }
  BOOST_TEST(most < 3 * 2 * 16'384);
}

/// Candidates have died, and their pages serve larger objects: a search looks at none in the midst of those.
BOOST_AUTO_TEST_CASE(candidates_that_others_lie_over) {
  struct small {
    gc::counted<small> next;
    std::array<char, 200> rest{};
  };
  struct large {
    gc::counted<large> next;
    std::array<char, 1'500> rest{};
  };
  {
    std::vector<gc::counted<small>> all;
    for (int i = 0; i != 900; ++i) all.push_back(gc::make_counted<small>());
    for (const auto& p : all) const gc::counted<small> copy = p;
  }
  std::vector<gc::counted<large>> others;
  for (int i = 0; i != 10'000; ++i) others.push_back(gc::make_counted<large>());
  const std::uint64_t visited = gc::counted_statistics().objects_visited;
  BOOST_TEST(gc::counted_statistics().candidates >= 900u);
  BOOST_TEST(gc::collect_cycles() == 0u);
  // A large one may begin where a small one has begun.
  BOOST_TEST(gc::counted_statistics().objects_visited - visited < 300u);
  for (const auto& p : others)
    BOOST_REQUIRE((p->next == nullptr && p.use_count() == 1 && std::ranges::count(p->rest, 0) == 1'500));
}

BOOST_AUTO_TEST_CASE(memory_of_cycles_is_used_again) {
  for (int i = 0; i < 100'000; ++i) {
    const auto a = gc::make_counted<plain>(), b = gc::make_counted<plain>();
    a->next = b;
    b->next = a;
  }
  gc::collect_cycles();
  BOOST_TEST(gc::counted_statistics().heap_bytes < 100'000'000u);
}

BOOST_AUTO_TEST_CASE(a_search_that_finds_little_is_not_repeated_soon) {
  std::vector<gc::counted<node>> living;
  for (int i = 0; i < 2'000; ++i) living.push_back(ring(3));
  const std::uint64_t then = gc::counted_statistics().searches;
  for (int round = 0; round < 50; ++round)
    for (const auto& n : living) const gc::counted<node> copy = n;
  // Each copy's end notes its object once a search. The number of candidates that a search waits for doubles with each
  // of these, until there are not so many.
  BOOST_TEST(gc::counted_statistics().searches - then <= 20u);
}

BOOST_AUTO_TEST_CASE(random_graphs_while_others_search) {
  for (const auto& s : all_settings) {
    with_crew(s, [&](crew& c) {
      for (unsigned who = 0; who < 3; ++who)
        c.start([who] {
          std::minstd_rand random(who + 1);
          std::vector<gc::counted<node>> mine(20);
          for (int i = 0; i < 20'000; ++i) {
            gc::counted<node>& at = mine[random() % mine.size()];
            gc::counted<node>& to = mine[random() % mine.size()];
            switch (random() % 7) {
              case 0: at = gc::make_counted<node>(); break;
              case 1:
                if (at != nullptr) at->left = to;
                break;
              case 2:
                if (at != nullptr) at->right = std::move(to);
                break;
              case 3:
                if (at != nullptr) at = at->left;
                break;
              case 4:
                if (at != nullptr) to = std::move(at->right);
                break;
              case 5:
                if (at != nullptr && to != nullptr) swap(at->left, to->right);
                break;
              default: at = nullptr;
            }
            if (who == 0 && i % 500 == 0) gc::collect_cycles();
          }
        });
      c.join();
    });
    gc::collect_cycles();
    BOOST_TEST(life::alive == 0);
  }
}

BOOST_AUTO_TEST_CASE(objects_of_several_threads_in_one_graph) {
  for (const auto& s : all_settings) {
    with_crew(s, [&](crew& c) {
      std::array<std::mutex, 8> locks;
      std::array<gc::counted<node>, 8> places;
      for (unsigned who = 0; who < 3; ++who)
        c.start([&, who] {
          std::minstd_rand random(who + 7);
          for (int i = 0; i < 5'000; ++i) {
            const std::size_t at = random() % 8;
            gc::counted<node> mine = gc::make_counted<node>();
            {
              const std::lock_guard hold(locks[at]);
              if (places[at] != nullptr) places[at]->right = mine;
              mine->left = places[at];
              if (random() % 4 != 0) places[at] = mine;
              if (random() % 16 == 0) places[at] = nullptr;
            }
            if (who == 1 && i % 300 == 0) gc::collect_cycles();
          }
        });
      c.join();
    });
    gc::collect_cycles();
    BOOST_TEST(life::alive == 0);
  }
}

#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
BOOST_AUTO_TEST_CASE(a_child_of_a_fork_goes_on) {
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) ring(2);
  });
  const gc::counted<node> kept = ring(3);
  for (int i = 0; i < 20; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      const int then = life::alive;
      gc::counted<node> r = ring(100);
      bool good = kept->left->value == 1;
      r = nullptr;
      for (int k = 0; k < 3'000; ++k) ring(2);
      std::thread([] { ring(5); }).join();
      good = good && comes_true([then] {
               gc::collect_cycles();
               return life::alive <= then;
             });
      ::_exit(good ? 0 : 1);
    }
    int status = -1;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_REQUIRE(status == 0);
  }
  stop = true;
  busy.join();
}
#endif

BOOST_AUTO_TEST_SUITE_END()
