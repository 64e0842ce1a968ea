// SPDX-License-Identifier: BSL-1.0
//
// Chains of ephemerons, each of whose values is the key of the next: long ones, found in the worst order, and while
// they are being built.
#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "support/scale.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using namespace std::chrono_literals;
using heddle::testing::collect_until;
using heddle::testing::collecting;
using heddle::testing::counted;
using heddle::testing::far_below;
using heddle::testing::make_witness;
using heddle::testing::sanitized;
using heddle::testing::timer;
using heddle::testing::times;
using heddle::testing::witness;
using map = gc::ephemeron_map<witness, witness>;

constexpr std::uint64_t length = times(100'000);

/// Keys 0, 1, ... of which each is the value of the one before. On a thread whose stack is gone afterwards: only the
/// first one is kept, and the map.
void make_chain(map& m, gc::ptr<witness>& first, bool backwards) {
  std::thread([&] {
    std::vector<gc::root<witness>> keys;
    for (std::uint64_t i = 0; i <= length; ++i) keys.emplace_back(make_witness(i));
    first = keys[0].get();
    for (std::uint64_t i = 0; i != length; ++i) {
      const std::uint64_t k = backwards ? length - 1 - i : i;
      m.insert_or_assign(keys[k].get(), gc::ptr<witness>(keys[k + 1].get()));
    }
  }).join();
}

/// How far the chain goes.
std::uint64_t follow(const map& m, const witness* w) {
  std::uint64_t n = 0;
  for (; w != nullptr && w->is_whole() && w->id == n; w = m.find(w)) ++n;
  return n;
}

void keep_and_lose(bool backwards) {
  map m;
  gc::ptr<witness> first;
  make_chain(m, first, backwards);
  const auto begin = heddle::testing::processor_time();
  gc::collect();
  gc::collect();
  const auto took = heddle::testing::processor_time() - begin;
  BOOST_TEST((sanitized || took < 2s), "two cycles took " << took / 1ms << " ms");
  std::uint64_t found = 0;
  std::thread([&] { found = follow(m, first); }).join();
  BOOST_TEST(found == length + 1);
  far_below([&] { first = nullptr; });
  // Some word may lead to an element in the middle: then the rest of the chain stays.
  BOOST_TEST(collect_until([&] { return m.size() < length; }));
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(ephemerons, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(a_long_chain) { keep_and_lose(false); }
BOOST_AUTO_TEST_CASE(a_long_chain_in_the_worst_order) { keep_and_lose(true); }

/// The key of one map is the value of another, over many maps.
BOOST_AUTO_TEST_CASE(a_chain_through_many_maps) {
  constexpr std::uint64_t many = 500;
  std::vector<gc::root<map>> maps(many);
  gc::ptr<witness> first;
  std::thread([&] {
    gc::ptr<witness> key = first = make_witness(0);
    for (std::uint64_t i = 0; i != many; ++i) {
      maps[many - 1 - i] = gc::make<map>();
      const gc::ptr<witness> value = make_witness(i + 1);
      maps[many - 1 - i]->insert_or_assign(key, value);
      key = value;
    }
  }).join();
  gc::collect();
  gc::collect();
  std::uint64_t n = 0;
  std::thread([&] {
    for (const witness* w = first; w != nullptr && w->is_whole() && w->id == n; ++n)
      w = n == many ? nullptr : maps[many - 1 - n]->find(w).get();
  }).join();
  BOOST_TEST(n == many + 1);
}

/// Entries are made, given other values and looked for while the collector decides what has died.
BOOST_AUTO_TEST_CASE(built_while_collecting) {
  const collecting all_the_time;
  map m;
  std::uint64_t wrong = 0;
  for (const timer t(400ms); !t.is_over() || all_the_time.cycles() < 3;) {
    gc::ptr<witness> keys[20];
    for (std::uint64_t i = 0; i != 20; ++i) {
      keys[i] = make_witness(i);
      m.insert_or_assign(keys[i], make_witness(100 + i));
    }
    for (std::uint64_t i = 0; i != 20; i += 2) m.insert_or_assign(keys[i], make_witness(200 + i));
    std::this_thread::sleep_for(200us);
    for (std::uint64_t i = 0; i != 20; ++i) {
      const gc::ptr<witness> v = m.find(keys[i]);
      wrong += v == nullptr || !v->is_whole() || v->id != (i % 2 == 0 ? 200 : 100) + i;
    }
  }
  BOOST_TEST(wrong == 0u);
}

/// A value that refers to its key does not keep it, over any number of steps.
BOOST_AUTO_TEST_CASE(values_that_point_back) {
  gc::ephemeron_map<witness, gc::ptr<witness>> m;
  far_below([&] {
    for (std::uint64_t i = 0; i != 1000; ++i) {
      const gc::ptr<witness> key = make_witness(i);
      m.insert_or_assign(key, gc::make<gc::ptr<witness>>(make_witness(i, make_witness(i, key))));
    }
  });
  BOOST_TEST(collect_until([&] { return m.size() <= 2; }));
}

BOOST_AUTO_TEST_SUITE_END()
