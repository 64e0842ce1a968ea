// SPDX-License-Identifier: BSL-1.0
#include "heddle/future.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::kind;
using heddle::testing::with_crew;

static_assert(!std::is_copy_constructible_v<heddle::future<int>> &&
              !std::is_copy_constructible_v<heddle::promise<int>>);
static_assert(std::is_copy_constructible_v<heddle::shared_future<int>>);
static_assert(std::is_nothrow_move_constructible_v<heddle::promise<void>>);

/// Whether f throws a future_error with this code.
template <class F>
bool fails_with(heddle::future_errc code, F f) {
  try {
    f();
  } catch (const heddle::future_error& e) {
    return e.code() == code;
  }
  return false;
}

struct throws_once {
  explicit throws_once(int* tries) : left(tries) {}
  throws_once(throws_once&& other) : left(other.left) {
    if (left != nullptr && (*left)-- > 0) throw std::runtime_error("no move");
  }
  int* left;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(future, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(hands_over_values_references_and_nothing) {
  heddle::promise<std::string> word;
  auto w = word.get_future();
  BOOST_TEST(w.valid());
  BOOST_TEST((w.wait_for(0s) == heddle::future_status::timeout));
  word.set_value("warp");
  BOOST_TEST((w.wait_for(0s) == heddle::future_status::ready));
  BOOST_TEST(w.get() == "warp");
  BOOST_TEST(!w.valid());

  heddle::promise<std::unique_ptr<int>> moved;
  moved.set_value(std::make_unique<int>(5));
  BOOST_TEST(*moved.get_future().get() == 5);

  int n = 1;
  heddle::promise<int&> reference;
  reference.set_value(n);
  reference.get_future().get() = 2;
  BOOST_TEST(n == 2);

  heddle::promise<void> nothing;
  nothing.set_value();
  nothing.get_future().get();

  heddle::promise<std::vector<int>> braces;
  braces.set_value({1, 2, 3});
  BOOST_TEST(braces.get_future().get().size() == 3);

  BOOST_TEST(heddle::make_ready_future(7).get() == 7);
  heddle::make_ready_future().get();
}

BOOST_AUTO_TEST_CASE(the_result_is_awaited) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int round = 0; round < (s.who == kind::fibers ? 500 : 50); ++round) {
        heddle::promise<std::vector<int>> p;
        auto f = p.get_future();
        c.start([p = std::move(p), round]() mutable { p.set_value(std::vector<int>(3, round)); });
        BOOST_CHECK(f.get() == std::vector<int>(3, round));
      }
    });
}

BOOST_AUTO_TEST_CASE(exceptions_go_over) {
  heddle::promise<int> p;
  auto f = p.get_future();
  p.set_exception(std::make_exception_ptr(std::runtime_error("no thread left")));
  BOOST_CHECK_EXCEPTION(f.get(), std::runtime_error,
                        [](const auto& e) { return e.what() == std::string("no thread left"); });
  BOOST_TEST(!f.valid());
}

BOOST_AUTO_TEST_CASE(a_promise_may_be_broken) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::promise<int> p;
      auto f = p.get_future();
      c.start([p = std::move(p)]() mutable { const auto gone = std::move(p); });
      BOOST_CHECK(fails_with(heddle::future_errc::broken_promise, [&] { f.get(); }));
    });
  heddle::promise<int> overwritten;
  auto f = overwritten.get_future();
  overwritten = heddle::promise<int>();
  BOOST_TEST(fails_with(heddle::future_errc::broken_promise, [&] { f.get(); }));
}

// Not when the promise that was assigned from ends.
BOOST_AUTO_TEST_CASE(assignment_breaks_the_old_promise_at_once) {
  heddle::promise<int> p, q;
  auto old = p.get_future();
  auto kept = q.get_future();
  p = std::move(q);
  BOOST_TEST((old.wait_for(0s) == heddle::future_status::ready));
  BOOST_TEST(fails_with(heddle::future_errc::broken_promise, [&] { old.get(); }));
  BOOST_TEST(fails_with(heddle::future_errc::future_already_retrieved, [&] { (void)p.get_future(); }));
  p.set_value(1);
  BOOST_TEST(kept.get() == 1);
  heddle::promise<int> asked, fresh;
  (void)asked.get_future();
  swap(asked, fresh);
  BOOST_TEST(fails_with(heddle::future_errc::future_already_retrieved, [&] { (void)fresh.get_future(); }));
  BOOST_TEST(asked.get_future().valid());
}

BOOST_AUTO_TEST_CASE(misuse_throws_the_codes_of_std) {
  using enum heddle::future_errc;
  heddle::promise<int> p;
  auto f = p.get_future();
  BOOST_TEST(fails_with(future_already_retrieved, [&] { (void)p.get_future(); }));
  p.set_value(1);
  BOOST_TEST(fails_with(promise_already_satisfied, [&] { p.set_value(2); }));
  BOOST_TEST(fails_with(promise_already_satisfied, [&] { p.set_exception(nullptr); }));
  BOOST_TEST(f.get() == 1);
  BOOST_TEST(fails_with(no_state, [&] { f.get(); }));
  BOOST_TEST(fails_with(no_state, [&] { f.wait(); }));
  BOOST_TEST(fails_with(no_state, [] { (void)heddle::shared_future<int>().get(); }));
  const auto taken = std::move(p);
  BOOST_TEST(fails_with(no_state, [&] { p.set_value(1); }));
  BOOST_TEST(fails_with(no_state, [&] { (void)p.get_future(); }));
}

BOOST_AUTO_TEST_CASE(a_value_whose_move_throws_is_not_set) {
  int throws = 1;
  heddle::promise<throws_once> p;
  auto f = p.get_future();
  throws_once value(&throws);
  BOOST_CHECK_THROW(p.set_value(std::move(value)), std::runtime_error);
  BOOST_TEST((f.wait_for(0s) == heddle::future_status::timeout));
  p.set_value(std::move(value));
  BOOST_TEST(f.get().left == &throws);
}

BOOST_AUTO_TEST_CASE(is_shared) {
  for (const auto& s : all_settings) {
    std::atomic<int> sum{0};
    with_crew(s, [&](crew& c) {
      heddle::promise<std::unique_ptr<int>> p;
      const heddle::shared_future<std::unique_ptr<int>> f = p.get_future().share();
      for (int i = 0; i < 8; ++i) c.start([f, &sum] { sum += *f.get(); });
      heddle::this_fiber::sleep_for(500us);
      p.set_value(std::make_unique<int>(3));
      c.join();
      BOOST_TEST(f.valid());
      BOOST_TEST(&f.get() == &f.get());
    });
    BOOST_TEST(sum.load() == 24, s);
  }
  heddle::promise<void> p;
  heddle::shared_future<void> f(p.get_future());
  p.set_exception(std::make_exception_ptr(1));
  BOOST_CHECK_THROW(f.get(), int);
  BOOST_CHECK_THROW(f.get(), int);
}

BOOST_AUTO_TEST_CASE(waits_end_by_deadline_stop_or_result) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::promise<int> p;
      const auto f = p.get_future().share();
      std::stop_source stop;
      std::atomic<int> timed_out{0}, stopped{0}, ready{0};
      c.start([&, f] { timed_out += f.wait_for(1ms) == heddle::future_status::timeout; });
      c.start([&, f] {
        timed_out += f.wait_until(std::chrono::system_clock::now() + 1ms) == heddle::future_status::timeout;
      });
      for (int i = 0; i < 2; ++i) {
        c.start([&, f] { stopped += !f.wait(stop.get_token()); });
        c.start([&, f] { ready += f.wait_for(1h) == heddle::future_status::ready; });
      }
      heddle::this_fiber::sleep_for(2ms);
      stop.request_stop();
      while (timed_out.load() + stopped.load() != 4) heddle::this_fiber::sleep_for(100us);
      p.set_value(1);
      c.join();
      BOOST_TEST(ready.load() == 2, s);
      BOOST_TEST(f.wait(stop.get_token()), s);
    });
}

// The one who has the result may destroy the promise, perhaps while set_value() is still returning.
BOOST_AUTO_TEST_CASE(the_promise_may_go_when_the_result_is_there) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int round = 0; round < (s.who == kind::fibers ? 500 : 50); ++round) {
        std::optional<heddle::promise<int>> p(std::in_place);
        auto f = p->get_future();
        c.start([&p] { p->set_value(1); });
        f.get();
        p.reset();
        c.join();
      }
    });
}

BOOST_AUTO_TEST_SUITE_END()
