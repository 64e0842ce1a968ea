// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/counted_weak.hpp"

#include <boost/test/unit_test.hpp>
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
  gc::counted<node> next;
  int value = 0;
  life alive;
};
struct base {
  int one = 1;
};
struct second {
  int two = 2;
};
struct derived : base, second {};
/// Knows its parent, and is known by it: no cycle of pointers that count.
struct child {
  gc::counted_weak<child> parent;
  std::vector<gc::counted<child>> children;
  life alive;
};

struct counted_check : heddle::testing::collected_check {
  ~counted_check() { gc::collect_cycles(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(counted_weak, counted_check)

BOOST_AUTO_TEST_CASE(gives_the_object_while_it_lives) {
  gc::counted<node> n = gc::make_counted<node>(nullptr, 3);
  const gc::counted_weak<node> w = n;
  BOOST_TEST((!w.expired() && w.lock() == n));
  BOOST_TEST(n.use_count() == 1);
  gc::counted<node> locked = w.lock();
  n = nullptr;
  BOOST_TEST((locked->value == 3 && !w.expired() && life::alive == 1));
  locked = nullptr;
  BOOST_TEST((w.expired() && w.lock() == nullptr && life::alive == 0));
}

BOOST_AUTO_TEST_CASE(nothing_and_reset) {
  gc::counted_weak<node> w;
  BOOST_TEST((w.expired() && w.lock() == nullptr && w == gc::counted_weak<node>(nullptr)));
  w = gc::counted<node>();
  BOOST_TEST(w.expired());
  const gc::counted<node> n = gc::make_counted<node>();
  w = n;
  BOOST_TEST(!w.expired());
  w.reset();
  BOOST_TEST((w.expired() && w == gc::counted_weak<node>()));
}

BOOST_AUTO_TEST_CASE(copies_moves_and_equality) {
  gc::counted<node> n = gc::make_counted<node>();
  gc::counted_weak<node> a = n, b = a, c = n;
  const gc::counted_weak<node> other = gc::make_counted<node>();
  BOOST_TEST((a == b && a == c && !(a == other)));
  gc::counted_weak<node> d = std::move(b);
  BOOST_TEST((d == a && b.expired() && b == gc::counted_weak<node>()));
  gc::counted_weak<node>& same = d;
  d = std::move(same);
  swap(b, d);
  BOOST_TEST((b == a && d.expired()));
  n = nullptr;
  BOOST_TEST((a == b && a == c && a.expired()));
}

BOOST_AUTO_TEST_CASE(to_a_base_and_to_a_part) {
  const gc::counted<derived> d = gc::make_counted<derived>();
  const gc::counted_weak<derived> exact = d;
  const gc::counted_weak<second> part = exact;
  const gc::counted_weak<const base> constant = d;
  BOOST_TEST((part.lock().get() == d.get() && part.lock()->two == 2 && constant.lock() == d));
  const gc::counted_weak<int> member = gc::counted<int>(d, &d->two);
  BOOST_TEST((member.lock().get() == &d->two));
}

BOOST_AUTO_TEST_CASE(parents_are_known_and_die) {
  gc::counted<child> root = gc::make_counted<child>();
  for (int i = 0; i < 10; ++i) {
    auto c = gc::make_counted<child>();
    c->parent = root;
    root->children.push_back(std::move(c));
  }
  BOOST_TEST((root->children[9]->parent.lock() == root));
  const gc::counted<child> kept = root->children[3];
  root = nullptr;
  BOOST_TEST((life::alive == 1 && kept->parent.expired()));
}

BOOST_AUTO_TEST_CASE(of_many_those_that_live) {
  constexpr int many = 20'000;  // more than the table begins with
  std::vector<gc::counted<node>> all;
  std::vector<gc::counted_weak<node>> weak;
  for (int i = 0; i < many; ++i) {
    all.push_back(gc::make_counted<node>(nullptr, i));
    weak.push_back(all.back());
  }
  for (int i = 0; i < many; i += 2) all[static_cast<std::size_t>(i)] = nullptr;
  for (int i = 0; i < many; ++i) {
    const gc::counted<node> n = weak[static_cast<std::size_t>(i)].lock();
    BOOST_REQUIRE((n != nullptr) == (i % 2 == 1));
    if (n != nullptr) BOOST_REQUIRE(n->value == i);
  }
  // Others lie where the dead ones lay: the old references stay dead.
  for (int i = 0; i < many; i += 2) all[static_cast<std::size_t>(i)] = gc::make_counted<node>(nullptr, -1);
  for (int i = 0; i < many; i += 2) BOOST_REQUIRE(weak[static_cast<std::size_t>(i)].expired());
}

BOOST_AUTO_TEST_CASE(not_while_it_is_destroyed) {
  static gc::counted_weak<void> watched;
  static bool was_null;
  struct watcher {
    ~watcher() { was_null = watched.lock() == nullptr && watched.expired(); }
  };
  was_null = false;
  gc::counted<watcher> w = gc::make_counted<watcher>();
  watched = w;
  w = nullptr;
  BOOST_TEST(was_null);
  watched.reset();
}

BOOST_AUTO_TEST_CASE(memory_of_dead_objects_is_free) {
  std::vector<gc::counted_weak<char[]>> weak;
  for (int i = 0; i < 2'000; ++i) weak.push_back(gc::make_counted<char[]>(20'000));
  BOOST_TEST(gc::counted_statistics().heap_bytes < 4'000'000);
}

BOOST_AUTO_TEST_CASE(what_is_locked_stays) {
  for (const auto& s : all_settings) {
    with_crew(s, [&](crew& c) {
      for (int round = 0; round < 30; ++round) {
        gc::counted<node> n = gc::make_counted<node>(nullptr, 1);
        const gc::counted_weak<node> w = n;
        for (int who = 0; who < 3; ++who)
          c.start([w] {
            for (int i = 0; i < 100; ++i) {
              const gc::counted<node> locked = w.lock();
              if (locked == nullptr) break;
              expect(locked->value == 1);
              if (i == 50) heddle::this_fiber::yield();
            }
          });
        c.start([moved = std::move(n)]() mutable { moved = nullptr; });
      }
      c.join();
    });
  }
  gc::collect_cycles();
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(cells_are_made_by_several_threads_at_once) {
  for (int round = 0; round < 100; ++round) {
    const gc::counted<node> n = gc::make_counted<node>(nullptr, round);
    std::vector<gc::counted_weak<node>> seen(4);
    std::vector<std::thread> threads;
    for (auto& w : seen) threads.emplace_back([&w, n] { w = n; });
    for (auto& t : threads) t.join();
    for (const auto& w : seen) BOOST_REQUIRE((w == seen[0] && w.lock() == n));
  }
  gc::collect_cycles();
}

BOOST_AUTO_TEST_SUITE_END()
