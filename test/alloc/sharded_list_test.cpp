// SPDX-License-Identifier: BSL-1.0
//
// A list by page of address, in which objects of the program are while others come and go.
#include "heddle/detail/sharded_list.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace {

struct node {
  node *next = nullptr, *previous = nullptr;
  int visits = 0;
  char rest[200];
};

using list = heddle::detail::sharded_list<node>;

/// One after the other, so that many have the same shard, over some pages.
struct nodes {
  explicit nodes(std::size_t n) : all(new node[n]), count(n) {}
  node& operator[](std::size_t i) const { return all[i]; }
  std::unique_ptr<node[]> all;
  std::size_t count;
};

/// How often each is visited, when others get the lock after so much work.
std::map<const node*, int> visits(list& l, std::size_t most) {
  std::map<const node*, int> seen;
  l.for_each(most, [&](node& n) {
    ++seen[&n];
    return std::size_t{1};
  });
  return seen;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sharded_lists)

BOOST_AUTO_TEST_CASE(an_empty_one) {
  auto l = std::make_unique<list>();
  BOOST_TEST(visits(*l, 1).empty());
}

/// Each element in it is visited once, and nothing else; also where the place of the walk stands in between.
BOOST_AUTO_TEST_CASE(what_is_in_it_is_visited_once) {
  auto l = std::make_unique<list>();
  const nodes all(300);
  std::vector<bool> in(all.count);
  std::mt19937 random(7);
  for (int round = 0; round != 3000; ++round) {
    const std::size_t i = random() % all.count;
    in[i] ? l->remove(all[i]) : l->add(all[i]);
    in[i] = !in[i];
    if (round % 20 != 0) continue;
    const auto seen = visits(*l, 1 + round % 7);
    for (std::size_t k = 0; k != all.count; ++k) {
      const auto found = seen.find(&all[k]);
      BOOST_REQUIRE((found != seen.end() ? found->second : 0) == (in[k] ? 1 : 0));
    }
  }
}

/// A walk leaves the links as they were: every node can leave afterwards, from the first to the last and back.
BOOST_AUTO_TEST_CASE(leave_in_any_order) {
  for (const std::size_t most : {1, 2, 3, 100})
    for (const bool backwards : {false, true}) {
      auto l = std::make_unique<list>();
      const nodes all(40);
      for (std::size_t i = 0; i != all.count; ++i) l->add(all[i]);
      for (std::size_t i = 0; i != all.count; ++i) {
        BOOST_TEST(visits(*l, most).size() == all.count - i);
        l->remove(all[backwards ? all.count - 1 - i : i]);
      }
      BOOST_TEST(visits(*l, most).empty());
    }
}

/// Nodes that stay are visited once by each walk while others come and go beside them.
BOOST_AUTO_TEST_CASE(while_others_come_and_go) {
  auto l = std::make_unique<list>();
  const nodes stay(64), come(64);
  for (std::size_t i = 0; i != stay.count; ++i) l->add(stay[i]);
  std::atomic<bool> stop{false};
  std::thread others([&] {
    std::mt19937 random(3);
    std::vector<bool> in(come.count);
    while (!stop) {
      const std::size_t i = random() % come.count;
      in[i] ? l->remove(come[i]) : l->add(come[i]);
      in[i] = !in[i];
    }
    for (std::size_t i = 0; i != come.count; ++i)
      if (in[i]) l->remove(come[i]);
  });
  for (int round = 0; round != 500; ++round) {
    const auto seen = visits(*l, 1 + round % 5);
    for (std::size_t i = 0; i != stay.count; ++i) {
      const auto found = seen.find(&stay[i]);
      BOOST_REQUIRE((found != seen.end() && found->second == 1));
    }
  }
  stop = true;
  others.join();
  BOOST_TEST(visits(*l, 1).size() == stay.count);
}

BOOST_AUTO_TEST_CASE(as_after_a_fork) {
  auto l = std::make_unique<list>();
  const nodes all(100);
  for (std::size_t i = 0; i != 50; ++i) l->add(all[i]);
  l->lock_all();
  l->unlock_all();
  for (std::size_t i = 50; i != 100; ++i) l->add(all[i]);
  BOOST_TEST(visits(*l, 3).size() == 100u);
}

BOOST_AUTO_TEST_SUITE_END()
