// SPDX-License-Identifier: BSL-1.0
#include "heddle/group.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <stdexcept>
#include <stop_token>

#include "heddle/fiber.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"
#include "sync/group_owners.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::as_each_owner;
using heddle::testing::crew;
using heddle::testing::late;
using heddle::testing::setting;
using heddle::testing::sleep_long;
using heddle::testing::thrown_by;
using heddle::testing::with_crew;
using clock = std::chrono::steady_clock;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(group_stop, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(a_stopped_group_starts_nobody) {
  as_each_owner([] {
    heddle::group g;
    BOOST_TEST(g.request_stop());
    BOOST_TEST(!g.request_stop());
    bool ran = false;
    BOOST_TEST(!g.spawn([&] { ran = true; }));
    BOOST_TEST(!g.try_spawn([&] { ran = true; }));
    g.wait();
    BOOST_TEST(!ran);
  });
}

BOOST_AUTO_TEST_CASE(its_token_says_when_it_has_ended) {
  as_each_owner([] {
    std::stop_token kept;
    {
      heddle::group g;
      kept = g.get_token();
      g.spawn([] {});
      g.wait();
      BOOST_TEST(!kept.stop_requested());
    }
    BOOST_TEST(kept.stop_requested());
  });
}

BOOST_AUTO_TEST_CASE(a_stop_ends_the_wait_for_a_place) {
  as_each_owner([] {
    heddle::group g({.limit = 1});
    heddle::wait_group gate(1);
    g.spawn([&] { gate.wait(); });
    auto stopper = heddle::spawn([&] {
      heddle::this_fiber::sleep_for(5ms);
      g.request_stop();
    });
    BOOST_TEST(!g.spawn([] {}));  // blocked until then
    stopper.join();
    gate.done();
    g.wait();
  });
}

BOOST_AUTO_TEST_CASE(the_deadline_stops_the_children_and_wait_says_so) {
  as_each_owner([] {
    int started = 0;
    for (auto timeout = 20ms; started != 3 && timeout < 10s; timeout *= 2) {
      const auto start = clock::now();
      heddle::group g({.timeout = timeout});
      std::atomic<int> stopped{0};
      started = 0;
      for (int i = 0; i < 3; ++i) started += g.spawn([&](std::stop_token stop) { stopped += !sleep_long(stop); });
      BOOST_CHECK_THROW(g.wait(), heddle::deadline_exceeded);
      BOOST_TEST(stopped == started);
      BOOST_TEST(g.timed_out());
      BOOST_TEST((clock::now() - start >= timeout));
      BOOST_TEST((clock::now() - start < timeout + late));
      BOOST_TEST(!g.spawn([] {}));
    }
    BOOST_TEST(started == 3);
  });
}

BOOST_AUTO_TEST_CASE(a_deadline_that_is_not_reached_does_nothing) {
  as_each_owner([] {
    const auto start = clock::now();
    {
      heddle::group g({.deadline = clock::now() + 1h});
      bool ran = false;
      g.spawn([&] { ran = true; });
      g.wait();
      BOOST_TEST(ran);
      BOOST_TEST(!g.timed_out());
    }
    BOOST_TEST((clock::now() - start < late));
  });
}

BOOST_AUTO_TEST_CASE(a_deadline_that_has_passed_stops_at_once) {
  as_each_owner([] {
    heddle::group g({.deadline = clock::now() - 1s});
    BOOST_TEST(g.stop_requested());
    BOOST_TEST(!g.spawn([] {}));
    BOOST_CHECK_THROW(g.wait(), heddle::deadline_exceeded);
    heddle::group h({.timeout = 0s});
    BOOST_CHECK_THROW(h.wait(), heddle::deadline_exceeded);
  });
}

BOOST_AUTO_TEST_CASE(an_exception_goes_before_the_deadline) {
  as_each_owner([] {
    bool started = false;
    for (auto timeout = 1ms; !started && timeout < 10s; timeout *= 2) {
      heddle::group g({.timeout = timeout});
      started = g.spawn([](std::stop_token stop) {
        sleep_long(stop);
        throw std::runtime_error("cleanup failed");
      });
      if (started) BOOST_TEST(thrown_by([&] { g.wait(); }) == "cleanup failed");
      BOOST_TEST(g.timed_out());
    }
    BOOST_TEST(started);
  });
}

BOOST_AUTO_TEST_CASE(the_token_and_deadline_around_a_fiber) {
  as_each_owner([] {
    BOOST_TEST(!heddle::this_fiber::stop_token().stop_possible());
    BOOST_TEST(!heddle::this_fiber::deadline().has_value());
    heddle::group outer({.deadline = clock::now() + 1h});
    outer.spawn([&] {
      BOOST_TEST((heddle::this_fiber::stop_token() == outer.get_token()));
      const auto near = heddle::this_fiber::deadline();
      BOOST_TEST_REQUIRE(near.has_value());
      {
        heddle::group later({.deadline = clock::now() + 2h});
        heddle::group nearer({.timeout = 30min});
        later.spawn([&] {
          BOOST_TEST((heddle::this_fiber::stop_token() == later.get_token()));
          BOOST_TEST((heddle::this_fiber::deadline() == near));
        });
        later.wait();
        nearer.spawn([&] { BOOST_TEST((*heddle::this_fiber::deadline() < *near)); });
        nearer.wait();
      }
      heddle::spawn([] { BOOST_TEST(!heddle::this_fiber::stop_token().stop_possible()); }).join();
      BOOST_TEST((heddle::this_fiber::stop_token() == outer.get_token()));
      BOOST_TEST(!heddle::this_fiber::stop_requested());
      outer.request_stop();
      BOOST_TEST(heddle::this_fiber::stop_requested());
    });
    outer.wait();
    BOOST_TEST(!heddle::this_fiber::stop_requested());
    heddle::group none;
    none.spawn([] { BOOST_TEST(!heddle::this_fiber::deadline().has_value()); });
    none.wait();
  });
}

BOOST_AUTO_TEST_CASE(a_stop_goes_down_the_tree_not_up) {
  as_each_owner([] {
    heddle::group outer;
    std::atomic<bool> inner_stopped{false}, outer_unharmed{false};
    outer.spawn([&] {
      heddle::group inner;
      inner.spawn([] { throw std::runtime_error("inner"); });
      thrown_by([&] { inner.wait(); });
      outer_unharmed = !outer.stop_requested();
    });
    outer.wait();
    BOOST_TEST(outer_unharmed);
    outer.spawn([&] {
      heddle::group inner;
      inner.spawn([] { sleep_long(heddle::this_fiber::stop_token()); });
      inner.wait();  // no exception: the stop was asked for
      inner_stopped = inner.stop_requested() && !inner.timed_out();
    });
    outer.spawn([&] { outer.request_stop(); });
    outer.wait();
    BOOST_TEST(inner_stopped);
  });
}

// A machine that has other things to do may let the deadline pass before the tree stands; it gets more time then.
BOOST_AUTO_TEST_CASE(a_deadline_goes_down_the_tree) {
  as_each_owner([] {
    bool stood = false;
    for (auto timeout = 10ms; !stood && timeout < 10s; timeout *= 2) {
      heddle::group outer({.timeout = timeout});
      std::atomic<int> timed_out{0};
      outer.spawn([&] {
        heddle::group middle;
        middle.spawn([&] {
          heddle::group inner({.timeout = 1h});
          stood = inner.spawn([](std::stop_token stop) { sleep_long(stop); });
          try {
            inner.wait();
          } catch (const heddle::deadline_exceeded&) {
            ++timed_out;
            throw;
          }
        });
        middle.wait();
      });
      BOOST_CHECK_THROW(outer.wait(), heddle::deadline_exceeded);
      if (stood) BOOST_TEST(timed_out == 1);
    }
    BOOST_TEST(stood);
  });
}

BOOST_AUTO_TEST_CASE(a_token_of_the_user_stops_it_too) {
  as_each_owner([] {
    std::stop_source source;
    heddle::group g({.stop = source.get_token()});
    g.spawn([](std::stop_token stop) { sleep_long(stop); });
    source.request_stop();
    g.wait();
    BOOST_TEST(g.stop_requested());
    heddle::group late({.stop = source.get_token()});
    BOOST_TEST(!late.spawn([] {}));
  });
}

BOOST_AUTO_TEST_CASE(stops_and_ends_meet_many_times) {
  for (const setting& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int worker = 0; worker < 4; ++worker)
        c.start([worker] {
          for (int round = 0; round < 50; ++round) {
            heddle::group g({.limit = 2, .timeout = std::chrono::microseconds(20 * (round % 7) + 1)});
            for (int i = 0; i < 6; ++i)
              g.spawn([&, i](std::stop_token stop) {
                if (i == worker) throw std::runtime_error("x");
                heddle::this_fiber::sleep_for(std::chrono::microseconds(10 * i), stop);
                heddle::group inner;
                inner.spawn([] { heddle::this_fiber::yield(); });
              });
            if (round % 3 == 0) continue;
            thrown_by([&] { g.wait(); });
          }
        });
    });
}

BOOST_AUTO_TEST_SUITE_END()
