// SPDX-License-Identifier: BSL-1.0
//
// A channel as a range: an input range without a size that receives no more values than it is asked for.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <concepts>
#include <iterator>
#include <memory>
#include <numeric>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "heddle/channel.hpp"
#include "support/channel_values.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace {

using heddle::channel;
using heddle::testing::crew;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::touchy;
using heddle::testing::with_crew;
namespace views = std::views;
using ints = std::vector<int>;

// --- what it models, and what not ------------------------------------------------------------------------

template <class C>
constexpr bool only_input_range =
    std::ranges::input_range<C>&& std::ranges::viewable_range<C&> && !std::ranges::forward_range<C> &&
    !std::ranges::sized_range<C> && !std::ranges::common_range<C> && !std::ranges::borrowed_range<C> &&
    !std::ranges::view<C> && !std::ranges::contiguous_range<C>;
static_assert(only_input_range<channel<int>> && only_input_range<channel<std::unique_ptr<int>>>);
static_assert(only_input_range<channel<std::string>> && only_input_range<channel<bool>>);
struct derived : channel<int> {};
static_assert(only_input_range<derived>);
static_assert(!std::ranges::range<const channel<int>>);  // to go through it is to receive
static_assert(!std::sized_sentinel_for<std::default_sentinel_t, channel<int>::iterator>);
static_assert(std::same_as<std::ranges::range_reference_t<channel<int>>, int&>);
static_assert(std::same_as<std::ranges::range_rvalue_reference_t<channel<int>>, int&&>);
static_assert(std::movable<channel<std::unique_ptr<int>>::iterator> &&
              !std::copyable<channel<std::unique_ptr<int>>::iterator>);

template <class C>
concept has_size = requires(C& c) {
  std::ranges::size(c);
};
template <class C>
concept has_signed_size = requires(C& c) {
  std::ranges::ssize(c);
};
template <class C>
concept has_empty = requires(C& c) {
  std::ranges::empty(c);
};
template <class C>
concept has_std_empty = requires(C& c) {
  std::empty(c);
};
template <class C>
concept has_data = requires(C& c) {
  std::ranges::data(c);
};
template <class C>
concept has_rbegin = requires(C& c) {
  std::ranges::rbegin(c);
};
template <class C>
constexpr bool has_none =
    !has_size<C> && !has_signed_size<C> && !has_empty<C> && !has_std_empty<C> && !has_data<C> && !has_rbegin<C>;
static_assert(has_none<channel<int>> && has_none<const channel<int>> && has_none<channel<std::string>>);
static_assert(has_none<heddle::received<int>> && !std::ranges::range<heddle::received<int>>);
static_assert(!std::ranges::range<heddle::received<std::string>>);

// clang before 16 does not compile libstdc++'s views of anything.
#if !defined(__clang_major__) || __clang_major__ >= 16
#define HEDDLE_TEST_HAS_VIEWS
#endif

#ifdef HEDDLE_TEST_HAS_VIEWS
// A view of a channel has no size either.
using taken = decltype(std::declval<channel<int>&>() | views::take(3));
using transformed = decltype(std::declval<channel<int>&>() | views::transform([](int i) { return i; }));
static_assert(!std::ranges::sized_range<taken> && !std::ranges::sized_range<transformed>);
template <class F>
concept applies = requires(channel<int>& c, F f) {
  c | f;
};
static_assert(applies<decltype(views::lazy_split(0))> && !applies<decltype(views::split(0))>);
static_assert(!applies<decltype(views::reverse)>);
#endif

/// A channel that has these values, and is closed.
struct stream : channel<int> {
  explicit stream(int n) : channel<int>(static_cast<std::size_t>(n)) {
    for (int i = 1; i <= n; ++i) send(i);
    close();
  }
};
template <std::ranges::input_range R>
ints all_of(R&& r) {
  ints got;
  for (auto&& v : r) got.push_back(v);
  return got;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(channel_ranges, heddle::testing::leak_check)

// --- views -----------------------------------------------------------------------------------------------

#ifdef HEDDLE_TEST_HAS_VIEWS
BOOST_AUTO_TEST_CASE(take_takes_no_more) {
  stream c(10);
  BOOST_TEST(all_of(c | views::take(3)) == (ints{1, 2, 3}));
  BOOST_TEST(c.size() == 7u);
  BOOST_TEST(all_of(c | views::take(0)) == ints{});
  BOOST_TEST(c.size() == 7u);
  BOOST_TEST(all_of(c | views::take(100)) == (ints{4, 5, 6, 7, 8, 9, 10}));
  BOOST_TEST(all_of(c | views::take(3)) == ints{});
}

// Nor does the view wait for one more value: here nobody would send it.
BOOST_AUTO_TEST_CASE(take_waits_for_no_more) {
  for (const std::size_t capacity : {0u, 1u})
    with_crew(one_at_a_time, [&](crew& crew) {
      channel<int> c(capacity);
      crew.start([&] {
        for (int i = 1; i <= 3; ++i) c.send(i);
      });
      BOOST_TEST(all_of(c | views::take(3)) == (ints{1, 2, 3}));
      BOOST_TEST(!c.try_receive());
    });
}

BOOST_AUTO_TEST_CASE(take_while_takes_the_first_that_does_not_fit) {
  stream c(10);
  BOOST_TEST(all_of(c | views::take_while([](int i) { return i < 4; })) == (ints{1, 2, 3}));
  BOOST_TEST(c.receive().value() == 5);
}

BOOST_AUTO_TEST_CASE(drop_drops_so_many) {
  stream c(6);
  auto rest = c | views::drop(2);
  BOOST_TEST(c.size() == 6u);  // a view receives when it is gone through
  BOOST_TEST(all_of(rest | views::take(2)) == (ints{3, 4}));
  BOOST_TEST(c.receive().value() == 5);
  BOOST_TEST(all_of(c | views::drop(5)) == ints{});
  stream d(6);
  BOOST_TEST(all_of(d | views::drop_while([](int i) { return i < 4; })) == (ints{4, 5, 6}));
}

BOOST_AUTO_TEST_CASE(filter_and_transform) {
  stream c(10);
  const auto even = [](int i) { return i % 2 == 0; };
  const auto twice = [](int i) { return 2 * i; };
  BOOST_TEST(all_of(c | views::filter(even) | views::transform(twice) | views::take(2)) == (ints{4, 8}));
  BOOST_TEST(c.receive().value() == 7);  // filter has looked for another value
  int calls = 0;
  auto counting = c | views::transform([&](int i) { return ++calls, i; }) | views::take(2);
  BOOST_TEST(all_of(counting) == (ints{8, 9}));
  BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_CASE(split_and_join) {
  channel<int> c(6);
  for (const int i : {1, 2, 0, 3, 0, 4}) c.send(i);
  c.close();
  std::vector<ints> parts;
  for (auto part : c | views::lazy_split(0)) {
    parts.emplace_back();
    for (const int i : part) parts.back().push_back(i);
  }
  BOOST_TEST((parts == std::vector<ints>{{1, 2}, {3}, {4}}));
  channel<ints> lists(2);
  lists.send({1, 2});
  lists.send({3});
  lists.close();
  BOOST_TEST(all_of(lists | views::join) == (ints{1, 2, 3}));
}
#endif

// --- algorithms ------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(algorithms_receive_what_they_need) {
  stream c(10);
  BOOST_TEST((*std::ranges::find(c, 3) == 3));
  BOOST_TEST(c.receive().value() == 4);
  ints copied;
  std::ranges::copy_n(c.begin(), 2, std::back_inserter(copied));
  BOOST_TEST(copied == (ints{5, 6}));
  BOOST_TEST(c.size() == 4u);
  BOOST_TEST(std::ranges::distance(c) == 4);  // receives them all
  BOOST_TEST(c.size() == 0u);
  stream d(3);
  std::vector<int> moved;
  std::ranges::move(d, std::back_inserter(moved));
  BOOST_TEST(moved == (ints{1, 2, 3}));
  stream e(4);
  BOOST_TEST(std::ranges::count_if(e, [](int i) { return i > 2; }) == 2);
}

// --- the iterator ----------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(an_iterator_receives_when_it_is_looked_at) {
  stream c(10);
  auto it = c.begin();
  BOOST_TEST(c.size() == 10u);
  BOOST_TEST(*it == 1);
  BOOST_TEST(*it == 1);
  BOOST_TEST((it != c.end()));
  BOOST_TEST(c.size() == 9u);
  ++it;
  BOOST_TEST(c.size() == 9u);
  ++it;  // over 2
  BOOST_TEST(c.size() == 8u);
  BOOST_TEST((it != std::default_sentinel));
  BOOST_TEST(c.size() == 7u);
  BOOST_TEST(*it == 3);
  it++;
  auto copy = it;
  BOOST_TEST(*copy == 4);
  BOOST_TEST(*it == 5);
  auto same = it;
  BOOST_TEST(*same == 5);
  std::ranges::advance(it, 3);
  BOOST_TEST(*it == 8);
  std::ranges::advance(it, 100, c.end());
  BOOST_TEST((it == c.end()));
  BOOST_TEST((it == c.end()));
  channel<std::string> words(1);
  words.send("word");
  BOOST_TEST(words.begin()->size() == 4u);
}

BOOST_AUTO_TEST_CASE(a_value_goes_when_it_is_passed) {
  channel<std::shared_ptr<int>> c(2);
  const auto value = std::make_shared<int>(1);
  c.send(value);
  auto it = c.begin();
  BOOST_TEST(**it == 1);
  BOOST_TEST(value.use_count() == 2);
  ++it;
  BOOST_TEST(value.use_count() == 1);
  c.close();
  BOOST_TEST((it == c.end()));
}

BOOST_AUTO_TEST_CASE(a_move_that_throws_leaves_the_value_in_the_channel) {
  {
    channel<touchy> c(1);
    c.send(touchy(7));
    c.close();
    auto it = c.begin();
    touchy::moves_until_throw = 0;
    BOOST_CHECK_THROW((void)(it == c.end()), std::runtime_error);
    touchy::moves_until_throw = 0;
    BOOST_CHECK_THROW((void)*it, std::runtime_error);
    BOOST_TEST(it->number == 7);
    ++it;
    BOOST_TEST((it == c.end()));
  }
  BOOST_TEST(touchy::alive.load() == 0);
}

BOOST_AUTO_TEST_CASE(several_go_through_one_channel) {
  with_crew({heddle::testing::kind::mixed, 2}, [](crew& crew) {
    channel<int> c(4);
    std::atomic<long> sum{0};
    for (int i = 0; i < 4; ++i)
      crew.start([&] {
        for (const int v : c) sum += v;
      });
    for (int i = 1; i <= 1000; ++i) c.send(i);
    c.close();
    crew.join();
    BOOST_TEST(sum.load() == 500'500);
  });
}

BOOST_AUTO_TEST_SUITE_END()
