// SPDX-License-Identifier: BSL-1.0
//
// A processor's timers against a sorted container: few, which are all in the heap, and many, most of which are not.
#include <malloc.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "support/scale.hpp"
#include "timer_heap.hpp"

namespace {

using heddle::detail::nanoseconds_t;
using heddle::detail::no_deadline;
using heddle::detail::timer;
using heddle::detail::timer_heap;

constexpr nanoseconds_t millisecond = 1'000'000;

/// Timers in a heap, and where they should be.
class both {
 public:
  ~both() {
    while (!alarms_.empty()) remove_one();
  }

  /// A sleep, which is not touched again: it is known by the number that stands for its fiber.
  void sleep(nanoseconds_t deadline) {
    timer t;
    t.deadline = deadline;
    t.sleeper = reinterpret_cast<heddle::detail::fiber*>(++made_ * 64);
    heap_.add(t);
    expected_.emplace(deadline, made_ * 64);
    look();
  }
  /// One that may be removed.
  void alarm(nanoseconds_t deadline) {
    auto t = std::make_unique<timer>();
    t->deadline = deadline;
    t->fire = [](timer&, heddle::detail::machine&) {};
    heap_.add(*t);
    expected_.emplace(deadline, reinterpret_cast<std::uintptr_t>(t.get()));
    alarms_.push_back(std::move(t));
    look();
  }
  void remove_one() {
    std::swap(alarms_[random_() % alarms_.size()], alarms_.back());
    timer& t = *alarms_.back();
    forget(t.deadline, reinterpret_cast<std::uintptr_t>(&t));
    BOOST_REQUIRE(heap_.remove(t));
    BOOST_REQUIRE(!heap_.remove(t));
    alarms_.pop_back();
    look();
  }
  void expire(nanoseconds_t now) {
    std::array<timer_heap::entry, 16> due;
    nanoseconds_t last = std::numeric_limits<nanoseconds_t>::min();
    for (std::size_t n = due.size(); n == due.size();) {
      n = heap_.expire(now, due.data(), due.size());
      for (std::size_t i = 0; i != n; ++i) {
        BOOST_REQUIRE(due[i].deadline >= last);  // the earliest first
        last = due[i].deadline;
        took(due[i]);
      }
    }
    BOOST_REQUIRE(expected_.empty() || expected_.begin()->first > now);
    look();
  }

  std::size_t alarms() const { return alarms_.size(); }
  timer_heap& heap() { return heap_; }
  nanoseconds_t earliest() const { return expected_.empty() ? no_deadline : expected_.begin()->first; }
  nanoseconds_t latest() const { return expected_.empty() ? 0 : expected_.rbegin()->first; }
  std::uint64_t below(std::uint64_t n) { return random_() % n; }

 private:
  void took(const timer_heap::entry& e) {
    if (e.is_sleep()) return forget(e.deadline, reinterpret_cast<std::uintptr_t>(e.sleeper()));
    timer* const t = &e.get();
    forget(e.deadline, reinterpret_cast<std::uintptr_t>(t));
    BOOST_REQUIRE(t->index == timer::absent);
    std::erase_if(alarms_, [t](const auto& one) { return one.get() == t; });
  }
  void forget(nanoseconds_t deadline, std::uintptr_t what) {
    const auto [first, last] = expected_.equal_range(deadline);
    const auto at = std::find_if(first, last, [what](const auto& one) { return one.second == what; });
    BOOST_REQUIRE(at != last);
    expected_.erase(at);
  }
  void look() {
    BOOST_REQUIRE(heap_.next() == earliest());
    BOOST_REQUIRE(heap_.size() == expected_.size());
  }

  timer_heap heap_;
  std::multimap<nanoseconds_t, std::uintptr_t> expected_;
  std::vector<std::unique_ptr<timer>> alarms_;
  std::mt19937_64 random_{42};
  std::uintptr_t made_ = 0;
};

/// So many timers up to `ahead` from now, for a while.
void goes_on(std::size_t timers, nanoseconds_t ahead, int steps) {
  both b;
  nanoseconds_t now = 5 * 1000 * millisecond;
  for (int step = 0; step != steps; ++step) {
    while (b.heap().size() < timers) {
      const nanoseconds_t deadline = now + static_cast<nanoseconds_t>(b.below(static_cast<std::uint64_t>(ahead)));
      b.below(8) == 0 && b.alarms() < 300 ? b.alarm(deadline) : b.sleep(deadline);
    }
    for (int i = 0; i != 20 && b.alarms() > 100; ++i) b.remove_one();
    now += static_cast<nanoseconds_t>(b.below(static_cast<std::uint64_t>(ahead) / 50 + 2));
    b.expire(now);
  }
  b.expire(now + 2 * ahead);
  BOOST_TEST(b.heap().size() == 0U);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(timers)

BOOST_AUTO_TEST_CASE(few) { goes_on(100, 1000 * millisecond, 500); }
BOOST_AUTO_TEST_CASE(many_soon) { goes_on(5'000, 3 * millisecond, 300); }
BOOST_AUTO_TEST_CASE(many_within_two_seconds) { goes_on(5'000, 2000 * millisecond, 300); }
BOOST_AUTO_TEST_CASE(many_far_ahead) { goes_on(5'000, 60'000 * millisecond, 300); }

BOOST_AUTO_TEST_CASE(later_ones_first) {
  both b;
  for (nanoseconds_t i = 4'000; i != 0; --i) b.sleep(i * millisecond);
  for (nanoseconds_t now = 0; now != 4'100 * millisecond; now += 50 * millisecond) b.expire(now);
  BOOST_TEST(b.heap().size() == 0U);
}

/// A rest in which nothing expires: the ring is behind the time then.
BOOST_AUTO_TEST_CASE(after_a_long_rest) {
  both b;
  for (nanoseconds_t i = 0; i != 3'000; ++i) b.sleep((i + 1) * millisecond / 2);
  b.expire(1'000'000 * millisecond);
  BOOST_TEST(b.heap().size() == 0U);
  for (nanoseconds_t i = 0; i != 3'000; ++i) b.sleep((1'000'000 + i) * millisecond);
  b.expire(1'001'000 * millisecond);
  BOOST_TEST(b.heap().size() == 1'999U);
}

BOOST_AUTO_TEST_CASE(at_the_ends_of_time) {
  both b;
  for (int i = 0; i != 3'000; ++i) b.sleep(no_deadline - 1 - i % 5);
  for (int i = 0; i != 3'000; ++i) b.sleep(i % 7);
  for (int i = 0; i != 3'000; ++i) b.alarm(no_deadline - 1);
  b.expire(millisecond);
  BOOST_TEST(b.heap().size() == 6'000U);
  BOOST_TEST(b.heap().has_sleepers());
}

// Memory that timers ahead have used is used again.
BOOST_AUTO_TEST_CASE(timers_that_are_removed_leave_no_memory,
                     *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  timer_heap heap;
  std::vector<timer> near(2'000);
  for (timer& t : near) {
    t.deadline = millisecond;
    t.fire = [](timer&, heddle::detail::machine&) {};
    heap.add(t);
  }
  const auto used = [] {
    const auto m = ::mallinfo2();
    return m.uordblks + m.hblkhd;
  };
  std::size_t at_first = 0;
  for (int i = 0; i != 100'000; ++i) {
    timer t;
    t.deadline = (100 + i % 500) * millisecond;
    t.fire = near.front().fire;
    heap.add(t);
    BOOST_REQUIRE(heap.remove(t));
    if (i == 1'000) at_first = used();
  }
  BOOST_TEST(used() < at_first + 1'000'000);
  for (timer& t : near) BOOST_REQUIRE(heap.remove(t));
}

BOOST_AUTO_TEST_CASE(last_sleep_and_sleepers) {
  both b;
  for (int i = 0; i != 3'000; ++i) b.alarm((10 + i % 100) * millisecond);
  BOOST_TEST(!b.heap().has_sleepers());
  BOOST_TEST(b.heap().last_sleep() == 0);
  b.sleep(50 * millisecond);
  BOOST_TEST(b.heap().has_sleepers());
  BOOST_TEST(b.heap().last_sleep() == 50 * millisecond);
}

BOOST_AUTO_TEST_SUITE_END()
