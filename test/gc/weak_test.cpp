// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/weak.hpp"

#include <boost/test/unit_test.hpp>
#include <functional>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "support/crew.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::all_settings;
using heddle::testing::collect_until;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::far_below;
using heddle::testing::with_crew;

struct node {
  gc::ptr<node> next;
  int value = 0;
};
struct large {
  char before[100'000];
  int value;
};
struct second_base {
  long number = 1;
};
struct derived : node, second_base {};
/// Holds weak references itself, and a destructor looks at one.
struct observer {
  ~observer() { saw_target = target.lock() != nullptr, ++done; }
  static void trace(gc::layout<observer>& l) { l(&observer::target, &observer::next); }

  gc::weak<node> target;
  gc::ptr<observer> next;
  static inline std::atomic<bool> saw_target{false};
  static inline std::atomic<int> done{0};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(weak, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(gives_the_object_while_it_lives) {
  gc::ptr<node> n;
  gc::weak<node> w;
  far_below([&] { w = n = gc::make<node>(nullptr, 3); });
  gc::collect();
  far_below([&] {
    BOOST_TEST((w.lock() == n && !w.expired()));
    n = nullptr;
  });
  BOOST_TEST(collect_until([&] { return w.expired(); }));
  BOOST_TEST((w.lock() == nullptr));
}

BOOST_AUTO_TEST_CASE(nothing_and_reset) {
  gc::weak<node> w;
  BOOST_TEST((w.expired() && w == gc::weak<node>(nullptr)));
  const gc::ptr<node> n = gc::make<node>();
  w = gc::weak(n);
  BOOST_TEST((w.lock() == n));
  w.reset();
  BOOST_TEST(w.expired());
}

BOOST_AUTO_TEST_CASE(copies_are_equal_also_when_the_object_is_dead) {
  gc::weak<node> a, b, other;
  far_below([&] {
    const gc::ptr<node> n = gc::make<node>();
    a = n;
    b = a;
    other = n;
  });
  BOOST_TEST((a == b && !(a == other)));
  const std::hash<gc::weak<node>> hash;
  const std::size_t then = hash(a);
  BOOST_TEST(collect_until([&] { return a.expired(); }));
  BOOST_TEST((b.expired() && other.expired() && a == b && !(a == other)));
  BOOST_TEST((hash(a) == then && hash(b) == then));
  swap(a, other);
  BOOST_TEST((other == b));
}

BOOST_AUTO_TEST_CASE(the_very_address_far_inside) {
  const gc::ptr<large> whole = gc::make<large>();
  const gc::weak<int> member = &whole->value;
  const gc::weak<char> character = &whole->before[70'000];
  gc::collect();
  BOOST_TEST((member.lock() == &whole->value && character.lock() == &whole->before[70'000]));
}

BOOST_AUTO_TEST_CASE(to_a_base) {
  const gc::ptr<derived> d = gc::make<derived>();
  const gc::weak<derived> exact = d;
  const gc::weak<second_base> base = exact;
  const gc::weak<const node> constant = d;
  BOOST_TEST((base.lock() == d && constant.lock() == d));
}

BOOST_AUTO_TEST_CASE(of_many_those_that_are_kept) {
  constexpr int many = 10'000;
  std::vector<gc::root<gc::weak<node>>> all;
  gc::ptr<node> kept;
  far_below([&] {
    for (int i = 0; i < many; ++i) {
      const gc::ptr<node> n = gc::make<node>(nullptr, i);
      all.push_back(gc::make<gc::weak<node>>(n));
      if (i % 2 == 0) n->next = std::exchange(kept, n);
    }
  });
  BOOST_TEST(collect_until([&] { return all[1]->expired() && all[many - 1]->expired(); }));
  for (int i = 0; i < many; ++i) {
    const gc::ptr<node> n = all[i]->lock();
    BOOST_REQUIRE((n != nullptr) == (i % 2 == 0));
    if (n != nullptr) BOOST_REQUIRE(n->value == i);
  }
}

BOOST_AUTO_TEST_CASE(what_is_locked_stays) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      gc::ptr<gc::atomic<gc::ptr<node>>> shared = gc::make<gc::atomic<gc::ptr<node>>>();
      const gc::ptr<gc::weak<node>> w = gc::make<gc::weak<node>>();
      far_below([&] {
        shared->store(gc::make<node>(gc::make<node>(nullptr, 2), 1));
        *w = shared->load();
      });
      for (int who = 0; who < 3; ++who)
        c.start([&, who] {
          for (int i = 0; i < 300; ++i) {
            if (const gc::ptr<node> n = w->lock()) {
              gc::make<node>();
              expect(n->value == 1 && n->next->value == 2);
            }
            if (who == 0 && i % 20 == 0) gc::collect();
            if (who == 0 && i == 150) shared->store(nullptr);
          }
        });
      c.join();
    });
}

BOOST_AUTO_TEST_CASE(no_destructor_sees_a_dead_object_by_it) {
  observer::done = 0;
  observer::saw_target = false;
  far_below([] {
    const gc::ptr<observer> a = gc::make<observer>(), b = gc::make<observer>();
    a->next = b;
    b->next = a;
    a->target = b->target = gc::make<node>();
  });
  BOOST_TEST(collect_until([] { return observer::done == 2; }));
  BOOST_TEST(!observer::saw_target);
}

BOOST_AUTO_TEST_SUITE_END()
