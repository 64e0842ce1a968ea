// SPDX-License-Identifier: BSL-1.0
#include "heddle/condition_variable.hpp"

#include <atomic>
#include <boost/mpl/list.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stop_token>
#include <vector>

#include "heddle/condition_variable_any.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::cv_status;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::expect;
using heddle::testing::kind;
using heddle::testing::late;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::times;
using heddle::testing::with_crew;
using clock = std::chrono::steady_clock;
using lock = std::unique_lock<heddle::mutex>;

static_assert(!std::is_copy_constructible_v<heddle::condition_variable>);
constinit heddle::condition_variable usable_before_main;

using kinds = boost::mpl::list<heddle::condition_variable, heddle::condition_variable_any>;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(condition_variable, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE_TEMPLATE(hands_every_job_to_one_worker, Cv, kinds) {
  for (const auto& s : all_settings) {
    std::atomic<long> sum{0};
    const int jobs = s.who == kind::fibers ? 5'000 : 500;
    with_crew(s, [&](crew& c) {
      heddle::mutex m;
      Cv filled;
      std::deque<int> queue;
      bool closed = false;
      for (int worker = 0; worker < 5; ++worker)
        c.start([&] {
          for (;;) {
            lock hold(m);
            filled.wait(hold, [&] { return closed || !queue.empty(); });
            if (queue.empty()) return;
            sum += queue.front();
            queue.pop_front();
          }
        });
      for (int i = 1; i <= jobs; ++i) {
        {
          const std::lock_guard hold(m);
          queue.push_back(i);
        }
        filled.notify_one();
        if (i % 7 == 0) heddle::this_fiber::yield();
      }
      {
        const std::lock_guard hold(m);
        closed = true;
      }
      filled.notify_all();
      c.join();
    });
    BOOST_TEST(sum.load() == jobs * (jobs + 1L) / 2, s);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(two_that_take_turns_lose_no_notify, Cv, kinds) {
  for (const auto& s : all_settings) {
    const int turns = s.who == kind::fibers ? 20'000 : 1'000;
    int turn = 0;
    with_crew(s, [&](crew& c) {
      heddle::mutex m;
      Cv changed;
      for (int me = 0; me < 2; ++me)
        c.start([&, me] {
          lock hold(m);
          while (turn < turns) {
            if (turn % 2 != me) {
              changed.wait(hold);
            } else {
              ++turn;
              changed.notify_one();
            }
          }
        });
      c.join();
    });
    BOOST_TEST(turn == turns, s);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(notify_one_wakes_one_and_the_oldest, Cv, kinds) {
  std::vector<int> woken;
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::mutex m;
    Cv changed;
    for (int i = 0; i < 4; ++i) {
      c.start([&, i] {
        lock hold(m);
        changed.wait(hold);
        BOOST_TEST(hold.owns_lock());
        woken.push_back(i);
      });
      settle();
    }
    for (std::size_t i = 1; i <= 3; ++i) {
      changed.notify_one();
      settle();
      BOOST_TEST(woken.size() == i);
    }
    changed.notify_all();
    c.join();
  });
  BOOST_TEST(woken == (std::vector<int>{0, 1, 2, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(notify_without_waiters_is_forgotten, Cv, kinds) {
  heddle::mutex m;
  Cv changed;
  changed.notify_one();
  changed.notify_all();
  lock hold(m);
  BOOST_TEST((changed.wait_for(hold, 1ms) == cv_status::timeout));
  BOOST_TEST(hold.owns_lock());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(gives_up_in_time_and_holds_the_lock_then, Cv, kinds) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::mutex m;
      Cv changed;
      for (int i = 0; i < 4; ++i)
        c.start([&] {
          lock hold(m);
          const auto start = clock::now();
          expect(changed.wait_for(hold, 5ms) == cv_status::timeout);
          expect(hold.owns_lock() && !m.try_lock());
          expect(!changed.wait_for(hold, 5ms, [] { return false; }));
          expect(clock::now() - start >= 10ms);
          expect(changed.wait_until(hold, clock::now() + 2ms) == cv_status::timeout);
          const auto wall = std::chrono::system_clock::now() + 5ms;
          expect(!changed.wait_until(hold, wall, [] { return false; }));
          expect(std::chrono::system_clock::now() >= wall);
          expect(clock::now() - start < late);
        });
      c.join();
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_predicate_that_holds_wins_over_a_deadline_that_has_passed, Cv, kinds) {
  heddle::mutex m;
  Cv changed;
  std::stop_source stopped;
  stopped.request_stop();
  lock hold(m);
  BOOST_TEST(changed.wait_until(hold, clock::now() - 1s, [] { return true; }));
  BOOST_TEST(changed.wait_for(hold, -1h, [] { return true; }));
  BOOST_TEST(changed.wait(hold, stopped.get_token(), [] { return true; }));
  BOOST_TEST(!changed.wait(hold, stopped.get_token(), [] { return false; }));
  BOOST_TEST(!changed.wait_for(hold, stopped.get_token(), 1h, [] { return false; }));
  BOOST_TEST(!changed.wait_until(hold, std::stop_token(), clock::now() - 1s, [] { return false; }));
}

// Else one who polls with a deadline that has passed would keep the mutex from those it waits for.
BOOST_AUTO_TEST_CASE_TEMPLATE(lets_go_of_the_lock_even_if_the_deadline_has_passed, Cv, kinds) {
  with_crew(one_at_a_time, [&](crew& c) {
    heddle::mutex m;
    Cv changed;
    bool done = false;
    lock hold(m);
    c.start([&] {
      const std::lock_guard inside(m);
      done = true;
    });
    for (int i = 0; i < 1'000 && !done; ++i) changed.wait_for(hold, 0s);
    BOOST_TEST(done);
    hold.unlock();
    c.join();
  });
}

// A deadline is one for all of a wait: notifies do not make it begin anew.
BOOST_AUTO_TEST_CASE_TEMPLATE(notifies_do_not_put_a_deadline_off, Cv, kinds) {
  with_crew(one_at_a_time, [](crew& c) {
    heddle::mutex m;
    Cv changed;
    const std::stop_source nobody_stops;
    const auto never = [] { return false; };
    int waiting = 4;
    for (int form = 0; form < 4; ++form)
      c.start([&, form] {
        lock hold(m);
        const auto start = clock::now();
        const auto token = nobody_stops.get_token();
        expect(!(form == 0   ? changed.wait_for(hold, 30ms, never)
                 : form == 1 ? changed.wait_for(hold, token, 30ms, never)
                 : form == 2 ? changed.wait_until(hold, start + 30ms, never)
                             : changed.wait_until(hold, token, start + 30ms, never)));
        expect(clock::now() - start >= 30ms);
        --waiting;
      });
    for (const auto end = clock::now() + late; waiting != 0 && clock::now() < end; heddle::this_fiber::sleep_for(1ms))
      changed.notify_all();
    BOOST_TEST(waiting == 0);
  });
}

// Between the last look of the wait and its end the predicate may have come true, without a notify.
BOOST_AUTO_TEST_CASE_TEMPLATE(a_wait_that_ends_asks_once_more, Cv, kinds) {
  int held = 0;
  for (auto d = 20ms; held != 5 && d < 5s; d *= 2)  // until nothing else held us up
    with_crew(one_at_a_time, [&](crew& c) {
      heddle::mutex m;
      Cv changed;
      std::stop_source stop;
      bool come_true = false;
      int waiting = 0;
      held = 0;
      const auto asked = [&] { return come_true; };
      for (int form = 0; form < 5; ++form)
        c.start([&, form] {
          lock hold(m);
          ++waiting;
          const auto token = stop.get_token();
          const auto wall = std::chrono::system_clock::now() + d;
          held += form == 0   ? changed.wait_for(hold, d, asked)
                  : form == 1 ? changed.wait_for(hold, token, d, asked)
                  : form == 2 ? changed.wait_until(hold, wall, asked)
                  : form == 3 ? changed.wait_until(hold, token, wall, asked)
                              : changed.wait(hold, token, asked);
        });
      while (waiting != 5) heddle::this_fiber::yield();
      {
        const std::lock_guard hold(m);
        come_true = true;
      }
      heddle::this_fiber::sleep_for(d * 3 / 2);
      stop.request_stop();
      c.join();
    });
  BOOST_TEST(held == 5);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(is_notified_in_time, Cv, kinds) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::mutex m;
      Cv changed;
      std::atomic<int> waiting{0}, in_time{0};
      bool go = false;
      for (int i = 0; i < 6; ++i)
        c.start([&, i] {
          lock hold(m);
          ++waiting;
          if (i % 2 != 0)
            in_time += changed.wait_for(hold, 1h, [&] { return go; });
          else
            in_time += changed.wait_until(hold, std::chrono::system_clock::now() + 1h, [&] { return go; });
        });
      while (waiting.load() != 6) heddle::this_fiber::sleep_for(100us);
      {
        const std::lock_guard hold(m);
        go = true;
      }
      changed.notify_all();
      c.join();
      BOOST_TEST(in_time.load() == 6, s);
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_stop_ends_the_wait, Cv, kinds) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      heddle::mutex m;
      Cv changed;
      std::stop_source stop;
      std::atomic<int> waiting{0}, stopped{0};
      for (int i = 0; i < 6; ++i)
        c.start([&, i] {
          lock hold(m);
          ++waiting;
          const auto never = [] { return false; };
          const bool done =
              i % 3 == 0   ? changed.wait(hold, stop.get_token(), never)
              : i % 3 == 1 ? changed.wait_for(hold, stop.get_token(), 1h, never)
                           : changed.wait_until(hold, stop.get_token(), std::chrono::system_clock::now() + 1h, never);
          stopped += !done && hold.owns_lock();
        });
      while (waiting.load() != 6) heddle::this_fiber::sleep_for(100us);
      stop.request_stop();
      c.join();
      BOOST_TEST(stopped.load() == 6, s);
    });
}

// Each token is worth one notify: one that were spent on a wait that has timed out would leave somebody waiting.
BOOST_AUTO_TEST_CASE_TEMPLATE(no_notify_is_spent_on_one_that_has_timed_out, Cv, kinds) {
  for (const auto& s : all_settings) {
    const int tokens = s.who == kind::fibers ? 2'000 : 200;
    int taken = 0;
    with_crew(s, [&](crew& c) {
      heddle::mutex m;
      Cv changed;
      int available = 0;
      bool over = false;
      for (int impatient = 0; impatient < 2; ++impatient)
        c.start([&] {
          lock hold(m);
          while (!over)
            if (changed.wait_for(hold, 20us) == cv_status::no_timeout) changed.notify_one();  // passes it on
        });
      c.start([&] {
        lock hold(m);
        for (; taken < tokens; ++taken) {
          while (available == 0) changed.wait(hold);
          --available;
        }
        over = true;
      });
      for (int i = 0; i < tokens; ++i) {
        {
          const std::lock_guard hold(m);
          ++available;
        }
        changed.notify_one();
        if (i % 3 == 0) heddle::this_fiber::yield();
      }
      c.join();
    });
    BOOST_TEST(taken == tokens, s);
  }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(may_be_destroyed_once_all_are_notified, Cv, kinds) {
  for (const auto& s : all_settings)
    for (int round = 0; round < times(s.who == kind::fibers ? 200 : 20, 10); ++round)
      with_crew(s, [&](crew& c) {
        heddle::mutex m;
        auto changed = std::make_unique<Cv>();
        int waiting = 0;
        bool go = false;
        for (int i = 0; i < 4; ++i)
          c.start([&, i] {
            lock hold(m);
            ++waiting;
            if (i % 2 != 0)
              changed->wait(hold, [&] { return go; });
            else
              while (!go) changed->wait_for(hold, 100us);  // some time out just before the notify
          });
        lock hold(m);
        while (waiting != 4) {
          hold.unlock();
          heddle::this_fiber::sleep_for(50us);
          hold.lock();
        }
        go = true;
        changed->notify_all();
        changed.reset();
        hold.unlock();
        c.join();
      });
}

BOOST_AUTO_TEST_CASE(any_waits_with_other_locks) {
  for (const auto& s : all_settings) {
    int turn = 0;
    with_crew(s, [&](crew& c) {
      std::shared_mutex m;  // never held across a suspension
      heddle::condition_variable_any changed;
      c.start([&] {
        std::shared_lock hold(m);
        changed.wait(hold, [&] { return turn == 1; });
      });
      c.start([&] {
        std::unique_lock hold(m);
        while (!changed.wait_for(hold, 1ms, [&] { return turn == 1; })) {
        }
        turn = 2;
        changed.notify_all();
      });
      m.lock();
      turn = 1;
      changed.notify_all();
      changed.wait(m, [&] { return turn == 2; });  // a mutex is a lock too
      turn = 1;
      m.unlock();
      changed.notify_all();
      c.join();
    });
    BOOST_TEST(turn > 0, s);
  }
}

BOOST_AUTO_TEST_CASE(any_locks_again_when_the_predicate_throws) {
  heddle::mutex m;
  heddle::condition_variable_any changed;
  lock hold(m);
  int calls = 0;
  const auto pred = [&]() -> bool {
    if (++calls == 2) throw calls;
    return false;
  };
  BOOST_CHECK_THROW(changed.wait_for(hold, 1ms, pred), int);
  BOOST_TEST(hold.owns_lock());
  BOOST_TEST(!m.try_lock());
}

BOOST_AUTO_TEST_CASE(waiting_without_the_lock_is_reported) {
  const auto end = death_of([] {
    heddle::mutex m;
    heddle::condition_variable changed;
    lock hold(m, std::defer_lock);
    changed.wait(hold);
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("condition_variable 0x"), end.text);
  BOOST_TEST(end.says("wait without the lock"), end.text);
}

BOOST_AUTO_TEST_CASE(destruction_while_waited_for_is_reported) {
  const auto end = death_of([] {
    with_crew(one_at_a_time, [](crew& c) {
      heddle::mutex m;
      heddle::condition_variable changed;
      c.start([&] {
        lock hold(m);
        changed.wait(hold);
      });
      settle();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("destroyed while others wait"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
