// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/hash_map.hpp"

#include <boost/test/unit_test.hpp>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>

#include "dying.hpp"
#include "heddle/gc.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::collect_until;
using heddle::testing::counted;
using heddle::testing::far_below;

struct node {
  gc::ptr<node> next;
  int value = 0;
};
struct all_collide {
  std::size_t operator()(int) const noexcept { return 3; }
};
struct throwing_value {
  explicit throwing_value(bool now) {
    if (now) throw std::runtime_error("a value");
  }
};

static_assert(std::forward_iterator<gc::hash_map<int, int>::iterator>);
static_assert(std::forward_iterator<gc::hash_map<int, int>::const_iterator>);
static_assert(!gc::needs_destructor<gc::hash_map<int, int>>);

}  // namespace

BOOST_FIXTURE_TEST_SUITE(hash_map, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(single_steps) {
  gc::hash_map<std::string, int> m;
  BOOST_TEST((m.empty() && m.find("a") == m.end() && m.erase("a") == 0 && m.begin() == m.end()));
  BOOST_TEST(m.insert({"a", 1}).second);
  BOOST_TEST(!m.insert({"a", 2}).second);
  m["b"] = 3;
  BOOST_TEST((m["a"] == 1 && m.at("b") == 3 && m.size() == 2 && m.contains("b") && m["new"] == 0));
  BOOST_CHECK_THROW(m.at("c"), std::out_of_range);
  BOOST_TEST(!m.insert_or_assign("a", 5).second);
  BOOST_TEST(m.find("a")->second == 5);
  BOOST_TEST(!m.try_emplace("a", 6).second);
  const gc::hash_map<std::string, int> copy = m;
  BOOST_TEST((copy == m && copy.find("a")->second == 5));
  m.erase(m.find("a"));
  BOOST_TEST((!m.contains("a") && copy.contains("a") && !(copy == m)));
  gc::hash_map<std::string, int> moved = std::move(m);
  BOOST_TEST((m.empty() && moved.size() == 2));
  m = copy;
  BOOST_TEST(m.size() == 3u);
  m.clear();
  BOOST_TEST((m.empty() && m.begin() == m.end()));
}

template <class Map>
void change_at_random(int key_count) {
  std::mt19937 random(11);
  Map ours;
  std::unordered_map<int, int> theirs;
  for (int step = 0; step < 20'000; ++step) {
    const int key = static_cast<int>(random() % static_cast<unsigned>(key_count));
    switch (random() % 4) {
      case 0: BOOST_REQUIRE(ours.erase(key) == theirs.erase(key)); break;
      case 1: BOOST_REQUIRE(ours.insert({key, step}).second == theirs.insert({key, step}).second); break;
      case 2: ours[key] = theirs[key] = step; break;
      default: BOOST_REQUIRE(ours.contains(key) == theirs.contains(key));
    }
    BOOST_REQUIRE(ours.size() == theirs.size());
  }
  std::size_t seen = 0;
  for (const auto& [key, value] : ours) {
    BOOST_REQUIRE(theirs.at(key) == value);
    ++seen;
  }
  BOOST_TEST(seen == theirs.size());
}

BOOST_AUTO_TEST_CASE(random_changes_as_in_std) {
  change_at_random<gc::hash_map<int, int>>(3000);
  change_at_random<gc::hash_map<int, int, all_collide>>(60);
}

BOOST_AUTO_TEST_CASE(keeps_keys_and_values_and_not_those_that_were) {
  const auto m = gc::make<gc::hash_map<gc::ptr<node>, gc::ptr<node>>>();
  gc::ptr<node> key;
  gc::weak<node> kept_value, erased_key, erased_value;
  far_below([&] {
    for (int i = 0; i < 1000; ++i) {
      const gc::ptr<node> k = gc::make<node>(nullptr, i), v = gc::make<node>(nullptr, -i);
      (*m)[k] = v;
      if (i == 500) key = k, kept_value = v;
      if (i == 700) erased_key = k, erased_value = v;
    }
    m->erase(erased_key.lock());
  });
  BOOST_TEST(collect_until([&] { return erased_key.expired() && erased_value.expired(); }));
  BOOST_TEST((m->size() == 999 && m->at(key)->value == -500));
  for (const auto& [k, v] : *m) BOOST_REQUIRE(k->value == -v->value);
  far_below([&] { m->clear(); });
  BOOST_TEST(collect_until([&] { return kept_value.expired(); }));
}

BOOST_AUTO_TEST_CASE(an_erased_entry_stays_usable) {
  gc::hash_map<int, std::string> m;
  m[1] = "one";
  const std::string& one = m[1];
  const auto at = m.find(1);
  far_below([&] { m.erase(1); });
  gc::collect();
  BOOST_TEST((one == "one" && at->second == "one"));
}

BOOST_AUTO_TEST_CASE(values_with_destructors_are_destroyed_when_found_dead) {
  far_below([] {
    gc::hash_map<int, std::pair<counted, std::string>> m;
    for (int i = 0; i < 100; ++i) m[i].second = "a text that is too long to be kept in the string itself";
    m.erase(5);
    BOOST_TEST(counted::alive == 100);
  });
  BOOST_TEST(collect_until([] { return counted::alive == 0; }));
}

BOOST_AUTO_TEST_CASE(a_value_that_throws_changes_nothing) {
  gc::hash_map<int, throwing_value> m;
  m.try_emplace(1, false);
  BOOST_CHECK_THROW(m.try_emplace(2, true), std::runtime_error);
  BOOST_TEST((m.size() == 1 && !m.contains(2)));
}

BOOST_AUTO_TEST_CASE(what_can_only_be_moved) {
  gc::hash_map<int, std::unique_ptr<int>> m;
  m[1] = std::make_unique<int>(5);
  m.insert({2, std::make_unique<int>(6)});
  m.insert_or_assign(1, std::make_unique<int>(7));
  BOOST_TEST((*m[1] == 7 && *m[2] == 6));
  m[1].reset();
  m[2].reset();
}

BOOST_AUTO_TEST_SUITE_END()
