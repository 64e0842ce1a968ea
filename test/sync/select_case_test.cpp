// SPDX-License-Identifier: BSL-1.0
//
// Cases as objects that move, and selects over ranges of them.
#include "heddle/select_case.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <memory>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sync/selecting.hpp"

namespace {

using namespace selecting;

template <class Case>
constexpr bool only_movable = !std::is_copy_constructible_v<Case> && !std::is_copy_assignable_v<Case> &&
                              std::is_nothrow_move_constructible_v<Case> && std::is_nothrow_move_assignable_v<Case>;
static_assert(only_movable<receive_case<int>> && only_movable<send_case<int>>);
static_assert(only_movable<receive_case<std::unique_ptr<int>>> && only_movable<send_case<std::unique_ptr<int>>>);
static_assert(std::is_move_constructible_v<receive_case<touchy>> &&
              !std::is_nothrow_move_constructible_v<receive_case<touchy>>);
static_assert(!std::is_move_constructible_v<select_case>);  // which would lose the value

/// Can be moved, but not assigned.
struct unassignable {
  const int number;
};
static_assert(std::is_move_assignable_v<receive_case<unassignable>>);
static_assert(std::is_move_constructible_v<send_case<unassignable>> &&
              !std::is_move_assignable_v<send_case<unassignable>>);

template <class Cases>
concept selectable = requires(Cases& cases) {
  select(cases);
};
static_assert(selectable<std::vector<receive_case<int>>> && selectable<std::array<send_case<int>, 2>>);
static_assert(selectable<std::vector<receive_case<int>*>> && selectable<std::span<select_case* const>>);
static_assert(selectable<std::vector<std::unique_ptr<receive_case<int>>>> && selectable<std::span<receive_case<int>>>);
static_assert(!selectable<const std::vector<receive_case<int>>> && !selectable<std::vector<int>>);
static_assert(!selectable<std::vector<int*>> && !selectable<channel<receive_case<int>>>);

}  // namespace

BOOST_FIXTURE_TEST_SUITE(select_cases, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(cases_move_with_what_they_have) {
  channel<std::string> c(2), other(1);
  c.send("one");
  receive_case from{c};
  BOOST_TEST(select(from) == 0u);
  receive_case moved = std::move(from);
  BOOST_TEST(moved.result().value() == "one");
  BOOST_TEST(!from.result());
  BOOST_TEST(select(from, heddle::otherwise()) == 1u);  // a case that was moved from is never ready
  c.send("two");
  BOOST_TEST(select(from, moved) == 1u);
  BOOST_TEST(moved.result().value() == "two");
  receive_case<std::string> assigned{other};
  assigned = std::move(moved);
  BOOST_TEST(assigned.result().value() == "two");
  BOOST_TEST(select(moved, assigned, heddle::otherwise()) == 2u);
  BOOST_TEST(!assigned.result());
  moved = receive_case{c};  // and can be used again
  c.send("three");
  BOOST_TEST(select(moved) == 0u);
  BOOST_TEST(moved.result().value() == "three");
  receive_case<std::string>& itself = moved;
  moved = std::move(itself);
  BOOST_TEST(moved.result().value() == "three");

  send_case to{other, "a"};
  send_case to_c{c, "b"};
  send_case gone = std::move(to);
  BOOST_TEST(select(to, heddle::otherwise()) == 1u);
  to_c = std::move(gone);
  BOOST_TEST(select(to_c) == 0u);
  BOOST_TEST(other.receive().value() == "a");
  BOOST_TEST(!c.try_receive());
  BOOST_TEST(select(gone, heddle::otherwise()) == 1u);

  channel<unassignable> fixed(1);
  std::vector<receive_case<unassignable>> cases;
  for (int i = 0; i < 5; ++i) cases.emplace_back(fixed);
  fixed.send({7});
  BOOST_TEST(cases[select(cases)].result()->number == 7);
  cases.erase(cases.begin(), cases.begin() + 4);
  BOOST_TEST(!heddle::try_select(cases));
}

// A case that has waited and was moved afterwards: its place in the queue is the new object's.
BOOST_AUTO_TEST_CASE(cases_move_between_selects_that_wait) {
  for (const auto& s : all_settings) {
    std::atomic<long> got{0};
    with_crew(s, [&](crew& crew) {
      std::array<channel<long>, 3> c;
      crew.start([&] {
        std::vector<receive_case<long>> cases;
        for (long i = 0; i < 300; ++i) {
          if (i % 100 == 0) cases.emplace_back(c[static_cast<std::size_t>(i / 100)]);  // moves those before it
          std::rotate(cases.begin(), cases.begin() + 1, cases.end());
          got += cases[select(cases)].result().value();
        }
      });
      crew.start([&] {
        for (long i = 0; i < 300; ++i) c[static_cast<std::size_t>(i) % static_cast<std::size_t>(i / 100 + 1)].send(i);
      });
      crew.join();
    });
    BOOST_TEST(got.load() == 299 * 300 / 2, s);
  }
}

BOOST_AUTO_TEST_CASE(a_move_that_throws_leaves_the_case_as_it_was) {
  {
    channel<touchy> c(1);
    send_case to{c, touchy(7)};
    touchy::moves_until_throw = 0;
    BOOST_CHECK_THROW(send_case<touchy>(std::move(to)), std::runtime_error);
    BOOST_TEST(select(to) == 0u);
    receive_case from{c};
    BOOST_TEST(select(from) == 0u);
    touchy::moves_until_throw = 0;
    BOOST_CHECK_THROW(receive_case<touchy>(std::move(from)), std::runtime_error);
    BOOST_TEST(from.result()->number == 7);
    const receive_case moved = std::move(from);
    // The error of a send that a receiver could not move comes out of the select of the object that has moved.
    with_crew(one_at_a_time, [&](crew& crew) {
      channel<touchy> unbuffered;
      crew.start([&] {
        send_case first{unbuffered, touchy(8)};
        send_case second = std::move(first);
        BOOST_CHECK_THROW(select(second), std::runtime_error);
        BOOST_TEST(second.value().number == 8);
      });
      settle();
      touchy::moves_until_throw = 0;
      BOOST_TEST(!unbuffered.try_receive());
      crew.join();
    });
  }
  BOOST_TEST(touchy::alive.load() == 0);
}

BOOST_AUTO_TEST_CASE(ranges_of_cases) {
  for (const std::size_t n : {1, 8, 9, 20}) {
    const auto channels = make_channels(n);
    std::vector<receive_case<int>> cases;
    for (auto& c : channels) cases.emplace_back(c.get());
    auto pointers = cases_of(channels);
    pointers.push_back(nullptr);
    BOOST_TEST(!heddle::try_select(cases));
    BOOST_TEST(!heddle::try_select(pointers));
    std::stop_source stop;
    stop.request_stop();
    BOOST_TEST(!select(cases, stop.get_token()));
    BOOST_TEST(!heddle::select_for(cases, 1h, stop.get_token()));
    BOOST_TEST(!heddle::select_until(cases, steady::now() + 1h, stop.get_token()));
    BOOST_TEST(!heddle::select_for(cases, 1us));
    BOOST_TEST(!heddle::select_until(cases, steady::now()));
    for (std::size_t i = 0; i < n; ++i) {
      const int value = static_cast<int>(i);
      channels[i]->send(value);
      BOOST_TEST(select(cases) == i);
      BOOST_TEST(cases[i].result().value() == value);
      channels[i]->send(value);
      BOOST_TEST(select(pointers) == i);
      BOOST_TEST(pointers[i]->result().value() == value);
      channels[i]->send(value);
      BOOST_TEST(heddle::try_select(cases).value() == i);
      channels[i]->send(value);
      BOOST_TEST(select(std::span(cases), stop.get_token()).value() == i);
      channels[i]->send(value);
      BOOST_TEST(heddle::select_for(cases, -1s).value() == i);
      channels[i]->send(value);
      BOOST_TEST(heddle::select_until(cases, steady::time_point::min()).value() == i);
    }
  }
  std::deque<send_case<int>> to;  // no array
  channel<int> full(1), c(1);
  full.send(0);
  to.emplace_back(full, 1);
  to.emplace_back(c, 2);
  BOOST_TEST(select(to) == 1u);
  BOOST_TEST(c.receive().value() == 2);
}

BOOST_AUTO_TEST_SUITE_END()
