// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/vector.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <iterator>
#include <numeric>
#include <random>
#include <sstream>
#include <stdexcept>
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
struct tree {
  gc::vector<tree> children;  // of its own type, which is not complete yet
  int value = 0;
};
/// A copy throws when `left` has come to 0.
struct throws {
  explicit throws(int n) : number(n) {}
  throws(const throws& other) : number(other.number) {
    if (left >= 0 && left-- == 0) throw std::runtime_error("a copy");
  }
  throws& operator=(const throws&) = default;
  int number;
  static inline int left = -1;
};

static_assert(std::contiguous_iterator<gc::vector<int>::iterator> && std::ranges::contiguous_range<gc::vector<int>>);

template <class T>
void expect_same(const gc::vector<T>& ours, const std::vector<T>& theirs) {
  BOOST_REQUIRE(ours.size() == theirs.size());
  BOOST_REQUIRE(std::equal(ours.begin(), ours.end(), theirs.begin()));
  BOOST_REQUIRE(ours.capacity() >= ours.size());
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(vector, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(is_made_as_those_of_std) {
  BOOST_TEST(gc::vector<int>().empty());
  expect_same(gc::vector<int>(3), {0, 0, 0});
  expect_same(gc::vector<int>(2, 7), {7, 7});
  expect_same(gc::vector<int>{1, 2}, {1, 2});
  std::istringstream words("4 5 6");
  expect_same(gc::vector<int>(std::istream_iterator<int>(words), std::istream_iterator<int>()), {4, 5, 6});
  gc::vector<int> v{1, 2, 3};
  gc::vector<int> copy = v, moved = std::move(v);
  BOOST_TEST((v.empty() && copy == moved));
  copy.push_back(4);
  BOOST_TEST((moved.size() == 3 && moved < copy));
  v = copy;
  gc::vector<int>& itself = v;
  v = itself;
  expect_same(v, {1, 2, 3, 4});
  v = {9};
  expect_same(v, {9});
}

BOOST_AUTO_TEST_CASE(access) {
  gc::vector<int> v{1, 2, 3};
  const gc::vector<int>& constant = v;
  BOOST_TEST((v.front() == 1 && v.back() == 3 && v[1] == 2 && constant.at(2) == 3 && *v.data() == 1));
  BOOST_CHECK_THROW(v.at(3), std::out_of_range);
  BOOST_TEST(std::accumulate(v.begin(), v.end(), 0) == 6);
  BOOST_TEST((*v.rbegin() == 3 && *std::prev(constant.rend()) == 1));
}

BOOST_AUTO_TEST_CASE(random_changes_as_in_std) {
  std::mt19937 random(7);
  gc::vector<long> ours;
  std::vector<long> theirs;
  for (int step = 0; step < 20'000; ++step) {
    const auto at = theirs.empty() ? 0 : static_cast<std::ptrdiff_t>(random() % theirs.size());
    switch (random() % 9) {
      case 0:
      case 1: ours.push_back(step), theirs.push_back(step); break;
      case 2: ours.insert(ours.begin() + at, step), theirs.insert(theirs.begin() + at, step); break;
      case 3:
        if (!theirs.empty()) ours.pop_back(), theirs.pop_back();
        break;
      case 4:
        if (!theirs.empty()) ours.erase(ours.begin() + at), theirs.erase(theirs.begin() + at);
        break;
      case 5: {
        const auto end = at + std::min<std::ptrdiff_t>(3, std::ssize(theirs) - at);
        BOOST_REQUIRE(ours.erase(ours.begin() + at, ours.begin() + end) == ours.begin() + at);
        theirs.erase(theirs.begin() + at, theirs.begin() + end);
        break;
      }
      case 6: {
        const long more[] = {1, 2, 3};
        ours.insert(ours.begin() + at, std::begin(more), std::end(more));
        theirs.insert(theirs.begin() + at, std::begin(more), std::end(more));
        break;
      }
      case 7: {
        const std::size_t n = random() % 20 + theirs.size() - std::min<std::size_t>(10, theirs.size());
        ours.resize(n), theirs.resize(n);
        break;
      }
      default:
        if (random() % 50 == 0) ours.clear(), ours.shrink_to_fit(), theirs.clear();
        if (!theirs.empty()) ours.push_back(ours[at]), theirs.push_back(long{theirs[at]});
    }
    expect_same(ours, theirs);
  }
}

BOOST_AUTO_TEST_CASE(an_element_made_from_one_of_its_own_through_a_growth) {
  gc::vector<gc::ptr<node>> v;
  v.push_back(gc::make<node>(nullptr, 1));
  for (int i = 0; i < 100; ++i) v.push_back(v.front());
  BOOST_TEST(std::all_of(v.begin(), v.end(), [](const node* n) { return n->value == 1; }));
  v.insert(v.begin(), v.back());
  BOOST_TEST(v.size() == 102u);
}

BOOST_AUTO_TEST_CASE(keeps_its_elements_and_not_those_that_were) {
  const auto v = gc::make<gc::vector<gc::ptr<node>>>();
  gc::weak<node> popped, erased, cleared, kept;
  far_below([&] {
    for (int i = 0; i < 100; ++i) v->push_back(gc::make<node>(nullptr, i));
    popped = v->back();
    erased = v->front();
    kept = (*v)[50];
    v->pop_back();
    v->erase(v->begin());
  });
  BOOST_TEST(collect_until([&] { return has_died(popped) && has_died(erased); }));
  BOOST_TEST(!has_died(kept));
  far_below([&] {
    for (int i = 0; i < 98; ++i) BOOST_REQUIRE((*v)[i]->value == i + 1);
  });
  far_below([&] { cleared = v->front(), v->clear(); });
  BOOST_TEST(v->capacity() >= 98u);
  BOOST_TEST(collect_until([&] { return has_died(cleared) && has_died(kept); }));
}

BOOST_AUTO_TEST_CASE(an_address_of_an_element_outlives_a_growth) {
  gc::vector<int> v{1, 2, 3};
  int* const old = &v[1];
  far_below([&] {
    for (int i = 0; i < 10'000; ++i) v.push_back(i);
  });
  gc::collect();
  far_below([] {
    for (int i = 0; i < 10'000; ++i) gc::make_array<int>(4, -1);
  });
  BOOST_TEST(*old == 2);
}

BOOST_AUTO_TEST_CASE(of_its_own_type) {
  const auto root = gc::make<tree>();
  for (int i = 0; i < 10; ++i) root->children.push_back({{{{}, 2}, {{}, 3}}, i});
  gc::collect();
  BOOST_TEST((root->children[9].value == 9 && root->children[9].children[1].value == 3));
}

BOOST_AUTO_TEST_CASE(what_throws_changes_nothing) {
  gc::vector<throws> v;
  for (int i = 0; i < 4; ++i) v.emplace_back(i);
  for (int until = 0; until < 5; ++until) {
    v.shrink_to_fit();
    throws::left = until;
    BOOST_CHECK_THROW(v.push_back(throws(9)), std::runtime_error);
    throws::left = -1;
    BOOST_TEST(v.size() == 4u);
    for (int i = 0; i < 4; ++i) BOOST_TEST(v[i].number == i);
  }
  BOOST_CHECK_THROW(v.reserve(v.max_size() + 1), std::bad_array_new_length);
  BOOST_TEST(v.size() == 4u);
}

BOOST_AUTO_TEST_CASE(erase_if_and_algorithms) {
  gc::vector<int> v{5, 3, 8, 1, 9, 2};
  BOOST_TEST(erase_if(v, [](int i) { return i > 5; }) == 2u);
  std::ranges::sort(v);
  expect_same(v, {1, 2, 3, 5});
  gc::vector<int> other;
  swap(v, other);
  BOOST_TEST((v.empty() && other.size() == 4));
}

BOOST_AUTO_TEST_SUITE_END()
