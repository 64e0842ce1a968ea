// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/ephemeron_map.hpp"

#include <boost/test/unit_test.hpp>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::collect_until;
using heddle::testing::far_below;
using heddle::testing::has_died;
using heddle::testing::holds;

struct node {
  gc::ptr<node> next;
  int value = 0;
};
using map = gc::ephemeron_map<node, node>;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(ephemeron_map, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(finds_assigns_and_erases) {
  map m;
  const gc::ptr<node> a = gc::make<node>(), b = gc::make<node>();
  BOOST_TEST((m.find(a) == nullptr && m.size() == 0 && !m.erase(a)));
  BOOST_TEST(m.insert_or_assign(a, gc::make<node>(nullptr, 1)));
  BOOST_TEST(!m.insert_or_assign(a, gc::make<node>(nullptr, 2)));
  BOOST_TEST(m.insert_or_assign(b, nullptr));
  BOOST_TEST((m.find(a)->value == 2 && m.contains(b) && m.find(b) == nullptr && m.size() == 2));
  BOOST_TEST((m.erase(a) && !m.contains(a) && m.size() == 1));
  map moved = std::move(m);
  BOOST_TEST((moved.contains(b) && m.size() == 0));
  m = std::move(moved);
  m.clear();
  BOOST_TEST((!m.contains(b) && m.size() == 0));
}

BOOST_AUTO_TEST_CASE(many_are_found_through_growth) {
  map m;
  constexpr int many = 5000;
  const auto keys = gc::make_array<gc::ptr<node>>(many);
  for (int i = 0; i < many; ++i) {
    keys[i] = gc::make<node>(nullptr, i);
    m.insert_or_assign(keys[i], gc::make<node>(nullptr, -i));
  }
  gc::collect();
  for (int i = 0; i < many; i += 3) BOOST_REQUIRE(m.erase(keys[i]));
  long sum = 0;
  std::size_t seen = 0;
  m.for_each([&](node* key, const gc::ptr<node>& value) {
    sum += key->value + value->value;
    ++seen;
  });
  BOOST_TEST(sum == 0);
  BOOST_TEST(seen == m.size());
  for (int i = 0; i < many; ++i) BOOST_REQUIRE((m.find(keys[i]) != nullptr) == (i % 3 != 0));
}

BOOST_AUTO_TEST_CASE(an_entry_keeps_neither_key_nor_value) {
  map m;
  gc::weak<node> key, value;
  far_below([&] {
    const gc::ptr<node> k = gc::make<node>(), v = gc::make<node>();
    v->next = k;  // the value points back: a map of weak keys and strong values would keep both for ever
    m.insert_or_assign(k, v);
    key = k;
    value = v;
  });
  BOOST_TEST(collect_until([&] { return has_died(key) && has_died(value); }));
  BOOST_TEST(m.size() == 0u);
}

BOOST_AUTO_TEST_CASE(a_value_lives_with_its_key) {
  map m;
  gc::ptr<node> key;
  far_below([&] {
    key = gc::make<node>();
    m.insert_or_assign(key, gc::make<node>(gc::make<node>(nullptr, 2), 1));
  });
  gc::collect();
  gc::collect();
  BOOST_TEST((m.find(key)->value == 1 && m.find(key)->next->value == 2));
}

BOOST_AUTO_TEST_CASE(a_value_dies_with_the_map) {
  gc::ptr<node> key;
  gc::weak<node> value;
  far_below([&] {
    key = gc::make<node>();
    const gc::ptr<map> m = gc::make<map>();
    const gc::ptr<node> v = gc::make<node>();
    m->insert_or_assign(key, v);
    value = v;
  });
  BOOST_TEST(collect_until([&] { return has_died(value); }));
}

BOOST_AUTO_TEST_CASE(a_chain_of_a_hundred_thousand) {
  constexpr int length = 100'000;
  map m;
  gc::ptr<node> first;
  gc::weak<node> last;
  far_below([&] {
    gc::ptr<node> k = first = gc::make<node>(nullptr, 0);
    for (int i = 1; i < length; ++i) {
      const gc::ptr<node> next = gc::make<node>(nullptr, i);
      m.insert_or_assign(k, next);
      k = next;
    }
    last = k;
  });
  gc::collect();
  BOOST_TEST(holds([&] { return m.size() == length - 1u; }));
  far_below([&] {
    int i = 0;
    for (gc::ptr<node> k = first; k != nullptr; k = m.find(k)) BOOST_REQUIRE(k->value == i++);
    BOOST_TEST(i == length);
  });
  BOOST_TEST(!has_died(last));
  far_below([&] { first = nullptr; });
  BOOST_TEST(collect_until([&] { return has_died(last); }));
  BOOST_TEST(holds([&] { return m.size() == 0u; }));
}

BOOST_AUTO_TEST_SUITE_END()
