// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/atomic.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>

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
struct stack {
  gc::atomic<gc::ptr<node>> top;

  void push(int value) {
    const gc::ptr<node> n = gc::make<node>(top.load(), value);
    while (!top.compare_exchange_weak(n->next, n)) {
    }
  }
  gc::ptr<node> pop() {
    gc::ptr<node> first = top.load();
    while (first != nullptr && !top.compare_exchange_strong(first, first->next)) {
    }
    return first;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(atomic, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(one_at_a_time) {
  const gc::ptr<node> a = gc::make<node>(), b = gc::make<node>();
  gc::atomic<gc::ptr<node>> slot;
  BOOST_TEST((slot.load() == nullptr));
  slot.store(a);
  BOOST_TEST((slot.load() == a && slot.exchange(b) == a));
  gc::ptr<node> expected = a;
  BOOST_TEST(!slot.compare_exchange_strong(expected, a));
  BOOST_TEST((expected == b));
  BOOST_TEST(slot.compare_exchange_strong(expected, a));
  BOOST_TEST((slot.load() == a && expected == b));
  slot = nullptr;
  const gc::ptr<node> now = slot;
  BOOST_TEST((now == nullptr));
}

BOOST_AUTO_TEST_CASE(keeps_what_it_holds_and_no_more) {
  gc::ptr<gc::atomic<gc::ptr<node>>> slot = gc::make<gc::atomic<gc::ptr<node>>>();
  gc::weak<node> first, second;
  far_below([&] {
    slot->store(gc::make<node>(nullptr, 1));
    first = slot->load();
    second = gc::make<node>(nullptr, 2);
    slot->exchange(second.lock());
  });
  BOOST_TEST(collect_until([&] { return first.expired(); }));
  far_below([&] {
    BOOST_TEST(slot->load()->value == 2);
    slot->store(nullptr);
  });
  BOOST_TEST(collect_until([&] { return second.expired(); }));
}

BOOST_AUTO_TEST_CASE(a_stack_of_many_while_collecting) {
  constexpr int each = 2000, pushers = 2;
  for (const auto& s : all_settings) {
    const gc::ptr<stack> shared = gc::make<stack>();
    std::atomic<long> sum{0};
    std::atomic<int> popped{0};
    with_crew(s, [&](crew& c) {
      for (int who = 0; who < pushers; ++who) {
        c.start([&, who] {
          for (int i = 0; i < each; ++i) {
            shared->push(i);
            if (i % 500 == who) gc::collect();
          }
        });
        c.start([&] {
          for (int i = 0; i < each; ++i)
            if (const gc::ptr<node> n = shared->pop()) {
              expect(n->value >= 0 && n->value < each);
              sum += n->value;
              ++popped;
            }
        });
      }
      c.join();
    });
    while (const gc::ptr<node> n = shared->pop()) {
      sum += n->value;
      ++popped;
    }
    BOOST_TEST(popped == each * pushers);
    BOOST_TEST(sum == long{each} * (each - 1) / 2 * pushers);
  }
}

BOOST_AUTO_TEST_SUITE_END()
