// SPDX-License-Identifier: BSL-1.0
#include "lru_cache.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <string>

#include "gc/dying.hpp"
#include "support/crew.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::all_settings;
using heddle::testing::collect_until;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::far_below;
using heddle::testing::with_crew;

struct page {
  int number = 0;
};
using cache = examples::lru_cache<int, page>;

gc::ptr<page> get(cache& c, int key) {
  return c.get(key, [key] { return gc::make<page>(key); });
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(lru_cache, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(keeps_those_asked_for_last) {
  const auto c = gc::make<cache>(3);
  far_below([&] {
    for (int i = 0; i < 3; ++i) get(*c, i);
    get(*c, 0);
    get(*c, 3);  // 1 has not been asked for the longest
  });
  BOOST_TEST(collect_until([&] { return c->find(1) == nullptr; }));
  BOOST_TEST((c->size() == 3 && c->find(0)->number == 0 && c->find(2) != nullptr && c->find(3) != nullptr));
}

BOOST_AUTO_TEST_CASE(what_is_in_use_is_found_again) {
  const auto c = gc::make<cache>(2);
  const gc::ptr<page> used = get(*c, 7);
  far_below([&] {
    for (int i = 0; i < 3; ++i) get(*c, i);
  });
  gc::collect();
  BOOST_TEST((get(*c, 7) == used));
  BOOST_TEST(c->size() == 2u);
}

BOOST_AUTO_TEST_CASE(what_is_pushed_out_dies) {
  const auto c = gc::make<cache>(10);
  gc::weak<page> first;
  far_below([&] {
    first = get(*c, 0);
    for (int i = 1; i < 100; ++i) get(*c, i);
  });
  BOOST_TEST(collect_until([&] { return first.expired(); }));
}

BOOST_AUTO_TEST_CASE(for_many_at_a_time_while_collecting) {
  for (const auto& s : all_settings) {
    const auto c = gc::make<cache>(50);
    with_crew(s, [&](crew& workers) {
      for (int who = 0; who < 4; ++who)
        workers.start([&, who] {
          for (int i = 0; i < 2000; ++i) {
            const int key = (i * (who + 1)) % 100;
            expect(get(*c, key)->number == key);
            if (i % 500 == who) gc::collect();
          }
        });
      workers.join();
    });
    BOOST_TEST(c->size() == 50u);
  }
}

BOOST_AUTO_TEST_SUITE_END()
