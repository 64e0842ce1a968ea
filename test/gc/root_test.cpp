// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/root.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
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
using heddle::testing::has_died;
using heddle::testing::holds;
using heddle::testing::with_crew;

struct node {
  gc::ptr<node> next;
  int value = 0;
};
struct derived : node {};

constinit gc::root<node> global;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(root, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(keeps_from_memory_that_is_not_scanned) {
  gc::weak<node> seen;
  auto held = std::make_unique<gc::root<node>>();
  far_below([&] {
    *held = gc::make<node>(gc::make<node>(nullptr, 2), 1);
    seen = held->get();
  });
  gc::collect();
  BOOST_TEST(!has_died(seen));
  BOOST_TEST(holds([&] { return (*held)->next->value == 2; }));
  held.reset();
  BOOST_TEST(collect_until([&] { return has_died(seen); }));
}

BOOST_AUTO_TEST_CASE(copies_are_roots_of_their_own_and_moving_leaves_null) {
  gc::weak<node> seen;
  auto first = std::make_unique<gc::root<node>>();
  far_below([&] {
    *first = gc::make<node>();
    seen = first->get();
  });
  std::unique_ptr<gc::root<node>> second, third, fourth;
  far_below([&] { second = std::make_unique<gc::root<node>>(*first); });
  BOOST_TEST(holds([&] { return *first == *second; }));
  first.reset();
  gc::collect();
  BOOST_TEST(!has_died(seen));
  far_below([&] { third = std::make_unique<gc::root<node>>(std::move(*second)); });
  BOOST_TEST(holds([&] { return *second == nullptr && *third != nullptr; }));
  second.reset();
  gc::collect();
  BOOST_TEST(!has_died(seen));
  fourth = std::make_unique<gc::root<node>>();
  far_below([&] { *fourth = std::move(*third); });
  BOOST_TEST((*third == nullptr));
  far_below([&] {
    gc::root<node>& itself = *fourth;
    *fourth = std::move(itself);
  });
  BOOST_TEST(holds([&] { return *fourth != nullptr; }));
  far_below([&] { swap(*third, *fourth); });
  BOOST_TEST((*fourth == nullptr));
  gc::collect();
  BOOST_TEST(!has_died(seen));
  *third = nullptr;
  BOOST_TEST(collect_until([&] { return has_died(seen); }));
}

BOOST_AUTO_TEST_CASE(converts_as_pointers_do) {
  const gc::ptr<derived> d = gc::make<derived>();
  const gc::root<node> from_ptr = d;
  const gc::root<node> from_raw = d.get();
  const gc::ptr<node> back = from_ptr;
  BOOST_TEST((from_ptr == from_raw && from_ptr == d && back == d && from_ptr == d.get() && !(from_ptr < from_raw)));
  BOOST_TEST(std::hash<gc::root<node>>()(from_ptr) == std::hash<gc::root<node>>()(from_raw));
  const gc::root<int[]> array = gc::make_array<int>(3);
  array[2] = 5;
  BOOST_TEST(array[2] == 5);
  const gc::root<node> none;
  BOOST_TEST((none == nullptr && !none && from_ptr));
}

BOOST_AUTO_TEST_CASE(in_containers_of_std) {
  std::map<std::string, gc::root<node>> named;
  std::vector<gc::root<node>> row;
  std::unordered_set<gc::root<node>> set;
  far_below([&] {
    for (int i = 0; i < 100; ++i) {
      row.push_back(gc::make<node>(nullptr, i));
      named[std::to_string(i)] = gc::make<node>(nullptr, i);
      set.insert(gc::make<node>(nullptr, i));
    }
    std::reverse(row.begin(), row.end());
    row.erase(row.begin() + 10, row.begin() + 20);
  });
  gc::collect();
  for (int i = 0; i < 90; ++i) BOOST_REQUIRE(row[i]->value == (i < 10 ? 99 - i : 89 - i));
  for (const auto& [name, held] : named) BOOST_REQUIRE(std::to_string(held->value) == name);
  int sum = 0;
  for (const gc::root<node>& held : set) sum += held->value;
  BOOST_TEST(sum == 4950);
}

BOOST_AUTO_TEST_CASE(in_a_function_of_std) {
  std::function<int()> f;
  far_below([&] { f = [held = gc::root<node>(gc::make<node>(nullptr, 6))] { return held->value; }; });
  gc::collect();
  BOOST_TEST(f() == 6);
}

BOOST_AUTO_TEST_CASE(a_global_one) {
  gc::weak<node> seen;
  far_below([&] {
    global = gc::make<node>(nullptr, 3);
    seen = global.get();
  });
  gc::collect();
  far_below([&] {
    BOOST_TEST(!has_died(seen));
    global = nullptr;
  });
  BOOST_TEST(collect_until([&] { return has_died(seen); }));
}

BOOST_AUTO_TEST_CASE(many_come_and_go_while_collecting) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int who = 0; who < 4; ++who)
        c.start([who] {
          std::vector<gc::root<node>> mine;
          for (int round = 0; round < 20; ++round) {
            for (int i = 0; i < 50; ++i) mine.push_back(gc::make<node>(gc::make<node>(nullptr, i), who));
            if (round % 5 == who) gc::collect();
            for (int i = 0; i < 50; ++i) expect(mine[i]->value == who && mine[i]->next->value == i);
            mine.erase(mine.begin() + 50, mine.end());
          }
        });
    });
}

BOOST_AUTO_TEST_SUITE_END()
