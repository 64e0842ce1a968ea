// SPDX-License-Identifier: BSL-1.0
#include "heddle/group.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "heddle/fiber.hpp"
#include "heddle/fiber_local.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "sync/group_owners.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::as_each_owner;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::kind;
using heddle::testing::one_at_a_time;
using heddle::testing::setting;
using heddle::testing::settle;
using heddle::testing::sleep_long;
using heddle::testing::thrown_by;
using heddle::testing::with_crew;

static_assert(!std::is_copy_constructible_v<heddle::group> && !std::is_move_constructible_v<heddle::group>);

heddle::fiber_local<int> numbers_warm;  // so that the list of numbers is allocated before any test

}  // namespace

BOOST_FIXTURE_TEST_SUITE(group, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(waits_for_all_and_sees_what_they_did) {
  as_each_owner([] {
    std::vector<int> results(200);
    heddle::group g;
    for (int i = 0; i < 200; ++i)
      BOOST_TEST_REQUIRE(g.spawn([&results, i] {
        if (i % 3 == 0) heddle::this_fiber::yield();
        results[i] = i;  // not atomic: wait() must order it
      }));
    g.wait();
    int sum = 0;
    for (const int r : results) sum += r;
    BOOST_TEST(sum == 199 * 100);
    BOOST_TEST(!g.stop_requested());
  });
}

BOOST_AUTO_TEST_CASE(wait_for_nobody_returns_at_once) {
  as_each_owner([] {
    heddle::group g;
    g.wait();
    g.wait();
  });
}

BOOST_AUTO_TEST_CASE(may_be_used_again) {
  as_each_owner([] {
    heddle::group g;
    for (int round = 1; round <= 20; ++round) {
      int a = 0, b = 0;
      g.spawn([&] { a = round; });
      g.spawn([&] { b = round; });
      g.wait();
      BOOST_TEST(a == round);
      BOOST_TEST(b == round);
    }
  });
}

BOOST_AUTO_TEST_CASE(the_first_exception_stops_the_others_and_comes_out_of_wait) {
  as_each_owner([] {
    heddle::group g;
    std::atomic<int> stopped{0};
    for (int i = 0; i < 5; ++i)
      g.spawn([&](std::stop_token stop) {
        stopped += !sleep_long(stop);
        throw std::runtime_error("came later");
      });
    g.spawn([] { throw std::runtime_error("came first"); });
    BOOST_TEST(thrown_by([&] { g.wait(); }) == "came first");
    BOOST_TEST(stopped == 5);
    BOOST_TEST(g.stop_requested());
    BOOST_TEST(!g.timed_out());
    BOOST_TEST(thrown_by([&] { g.wait(); }) == "came first");  // and again
  });
}

BOOST_AUTO_TEST_CASE(the_destructor_stops_and_joins) {
  as_each_owner([] {
    bool ended = false;
    {
      heddle::group g;
      g.spawn([&](std::stop_token stop) {
        sleep_long(stop);
        heddle::this_fiber::sleep_for(1ms);
        ended = true;
      });
      g.spawn([] { throw std::runtime_error("that nobody waits for"); });
    }
    BOOST_TEST(ended);
  });
}

BOOST_AUTO_TEST_CASE(the_objects_of_a_child_are_gone_after_wait) {
  as_each_owner([] {
    const auto shared = std::make_shared<int>(1);
    heddle::fiber_local<std::shared_ptr<int>> local;
    heddle::group g;
    for (int i = 0; i < 50; ++i)
      g.spawn([&local, shared] {
        heddle::this_fiber::yield();
        *local = shared;
      });
    const std::shared_ptr<const int> watched = shared;
    g.wait();
    BOOST_TEST(shared.use_count() == 2);
  });
}

BOOST_AUTO_TEST_CASE(runs_as_many_as_the_limit_says) {
  for (const setting& s : all_settings) {
    std::atomic<int> running{0}, most{0}, started{0};
    with_crew(s, [&](crew& c) {
      heddle::group g({.limit = 3});
      for (int owner = 0; owner < 2; ++owner)  // two spawn into one group
        c.start([&] {
          for (int i = 0; i < 100; ++i)
            g.spawn([&] {
              const int now = ++running;
              for (int m = most; now > m && !most.compare_exchange_weak(m, now);) {
              }
              ++started;
              do heddle::this_fiber::yield();
              while (most < 2);  // for ever, if one keeps another out
              --running;
            });
        });
      c.join();
      g.wait();
    });
    BOOST_TEST(started == 200, s);
    BOOST_TEST(most <= 3, s);
  }
}

BOOST_AUTO_TEST_CASE(try_spawn_does_not_wait_for_a_place) {
  as_each_owner([] {
    heddle::group g({.limit = 2});
    heddle::wait_group gate(1);
    BOOST_TEST(g.try_spawn([&] { gate.wait(); }));
    BOOST_TEST(g.try_spawn([&] { gate.wait(); }));
    BOOST_TEST(!g.try_spawn([] {}));
    gate.done();
    g.wait();
    BOOST_TEST(g.try_spawn([] {}));
    g.wait();
  });
}

BOOST_AUTO_TEST_CASE(a_failure_ends_the_wait_for_a_place) {
  as_each_owner([] {
    heddle::group g({.limit = 1});
    g.spawn([] {
      heddle::this_fiber::sleep_for(3ms);
      throw std::runtime_error("no");
    });
    BOOST_TEST(!g.spawn([] {}));
    BOOST_TEST(thrown_by([&] { g.wait(); }) == "no");
  });
}

BOOST_AUTO_TEST_CASE(children_may_spawn_siblings) {
  as_each_owner([] {
    std::atomic<int> count{0};
    heddle::group g;
    struct tree {
      heddle::group& g;
      std::atomic<int>& count;
      void operator()(int depth) const {
        ++count;
        if (depth == 0) return;
        for (int i = 0; i < 2; ++i) g.spawn([*this, depth] { (*this)(depth - 1); });
      }
    };
    tree{g, count}(8);
    g.wait();
    BOOST_TEST(count == 511);
  });
}

BOOST_AUTO_TEST_CASE(children_may_have_names) {
  as_each_owner([] {
    std::string name;
    heddle::group g;
    g.spawn({.name = "weaver"}, [&] { name = heddle::this_fiber::name(); });
    g.wait();
    BOOST_TEST(name == "weaver");
  });
}

BOOST_AUTO_TEST_CASE(a_function_that_cannot_be_moved_into_a_fiber_leaves_no_trace) {
  struct heavy {
    bool throws = false;
    explicit heavy(bool t) : throws(t) {}
    heavy(heavy&& o) : throws(o.throws) {
      if (throws) throw std::bad_alloc();
    }
    void operator()() const {}
  };
  as_each_owner([] {
    heddle::group g({.limit = 1});
    BOOST_CHECK_THROW(g.spawn(heavy(true)), std::bad_alloc);
    BOOST_TEST(g.try_spawn(heavy(false)));  // the place is free
    g.wait();
  });
}

#if defined(HEDDLE_SEGMENTED) && HEDDLE_SEGMENTED
BOOST_AUTO_TEST_CASE(a_child_that_waits_stays_on_its_small_stack) {
  heddle::run(
      [] {
        heddle::wait_group gate(1);
        heddle::group g;
        for (int i = 0; i < 1'000; ++i) g.spawn([&] { gate.wait(); });
        for (int i = 0; i < 10; ++i) heddle::this_fiber::yield();
        const auto now = heddle::stats();
        BOOST_TEST(now.fibers >= 1'000U);
        BOOST_TEST(now.segments < 100U);
        gate.done();
        g.wait();
      },
      {.procs = 1});
}
#endif

BOOST_AUTO_TEST_CASE(waiting_for_the_own_group_is_reported) {
  const auto end = death_of([] {
    heddle::run([] {
      heddle::group g;
      g.spawn([&] { g.wait(); });
      g.wait();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("a child waits for its own group"), end.text);
}

BOOST_AUTO_TEST_CASE(destroying_the_own_group_is_reported) {
  const auto end = death_of([] {
    with_crew(one_at_a_time, [](crew&) {
      auto g = std::make_unique<heddle::group>();
      heddle::group& inside = *g;
      inside.spawn([&] { g.reset(); });
      settle();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("a child waits for its own group"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
