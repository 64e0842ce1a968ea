// SPDX-License-Identifier: BSL-1.0
//
// condition_variable and condition_variable_any, with notifies, timeouts and stop requests that meet: between plain
// threads, and a few times with fibers.
#include <boost/test/unit_test.hpp>
#include <memory>
#include <mutex>
#include <optional>

#include "heddle/condition_variable.hpp"
#include "heddle/condition_variable_any.hpp"
#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/run.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "openings.hpp"

namespace {

using std::chrono::nanoseconds;
using lock = std::unique_lock<heddle::mutex>;

constexpr model::options threads = openings::threads_for(20'000);
constexpr model::options fibers = openings::fibers_for(2'000);

using openings::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

using openings::right;
using openings::wrong;

// --- condition variables -----------------------------------------------------------------------------------------

template <class Cv>
void wait_meets_notify_one() {
  heddle::mutex m;
  Cv changed;
  model::data<bool> go{false};
  model::thread waiter([&] {
    lock hold(m);
    changed.wait(hold, [&] { return go.get(); });
  });
  {
    const std::lock_guard hold(m);
    go = true;
  }
  changed.notify_one();
}

template <class Cv>
void two_waits_meet_notify_all() {
  heddle::mutex m;
  Cv changed;
  model::data<bool> go{false};
  const auto wait = [&] {
    lock hold(m);
    changed.wait(hold, [&] { return go.get(); });
  };
  model::thread one(wait);
  model::thread two(wait);
  const std::lock_guard hold(m);
  go = true;
  changed.notify_all();
}

/// Two wait, one of them not for long, and one notify comes: it must reach the patient one, if need be passed on by the
/// other.
template <class Cv>
void timeout_meets_notify_one() {
  heddle::mutex m;
  Cv changed;
  bool go = false;
  model::thread impatient([&] {
    lock hold(m);
    if (!go && changed.wait_for(hold, nanoseconds(300)) == heddle::cv_status::no_timeout) changed.notify_one();
  });
  model::thread patient([&] {
    lock hold(m);
    changed.wait(hold, [&] { return go; });
  });
  {
    const std::lock_guard hold(m);
    go = true;
  }
  changed.notify_one();
}

template <class Cv>
void stop_meets_notify_one() {
  heddle::mutex m;
  Cv changed;
  int tokens = 0, taken = 0;
  heddle::detail::stop_source stop;
  {
    const heddle::detail::stop_token token = stop.get_token();
    const auto wait = [&] {
      lock hold(m);
      if (!changed.wait(hold, token, [&] { return tokens != 0; })) return;
      --tokens;
      ++taken;
    };
    model::thread one(wait);
    model::thread two([&] {
      const std::lock_guard hold(m);
      ++tokens;
      changed.notify_one();
    });
    stop.request_stop();
  }
  model::check(tokens + taken == 1, "a token was lost");
}

/// One waits twice, first with a bound and so in the queue, then alone, while two notify.
template <class Cv>
void late_notify_meets_second_wait() {
  heddle::mutex m;
  Cv changed;
  bool go = false;
  model::thread waiter([&] {
    lock hold(m);
    if (!go) changed.wait_for(hold, nanoseconds(2'000));
    changed.wait(hold, [&] { return go; });
  });
  model::thread notifier([&] { changed.notify_one(); });
  changed.notify_one();
  {
    const std::lock_guard hold(m);
    go = true;
  }
  changed.notify_one();
}

/// A bare wait: each notify that is given while somebody waits is received by exactly one.
template <class Cv>
void each_notify_is_received_once() {
  heddle::mutex m;
  Cv changed;
  int waiting = 0, received = 0, sent = 0;
  {
    const auto wait = [&] {
      lock hold(m);
      ++waiting;
      const bool notified = changed.wait_for(hold, nanoseconds(300)) == heddle::cv_status::no_timeout;
      --waiting;
      received += notified;
    };
    model::thread one(wait);
    model::thread two(wait);
    const std::lock_guard hold(m);
    sent = waiting != 0;
    changed.notify_one();
  }
  model::check(received <= sent, "a notify was received twice");
}

/// It goes as soon as all have been notified, even those who were about to give up.
template <class Cv>
void condition_goes_early() {
  heddle::mutex m;
  auto changed = std::make_unique<Cv>();
  int waiting = 0;
  bool go = false;
  {
    model::thread one([&] {
      lock hold(m);
      ++waiting;
      if (!go) changed->wait_for(hold, nanoseconds(200));
    });
    model::thread two([&] {
      lock hold(m);
      ++waiting;
      while (!go) changed->wait(hold);
    });
    for (;;) {
      const std::lock_guard hold(m);
      if (waiting != 2) continue;
      go = true;
      changed->notify_all();
      changed.reset();
      break;
    }
  }
}

template <unsigned Procs>
void fibers_take_turns() {
  int turn = 0;
  heddle::run(
      [&] {
        heddle::mutex m;
        heddle::condition_variable changed;
        const auto player = [&](int me) {
          lock hold(m);
          while (turn < 4) {
            if (turn % 2 != me) {
              changed.wait(hold);
            } else {
              ++turn;
              changed.notify_one();
            }
          }
        };
        auto one = heddle::spawn([&] { player(0); });
        auto two = heddle::spawn([&] { player(1); });
        one.join();
        two.join();
      },
      {.procs = Procs, .monitor = false});
  model::check(turn == 4, "a turn was lost");
}

template <unsigned Procs>
void fibers_time_out() {
  heddle::run(
      [&] {
        heddle::mutex m;
        heddle::condition_variable changed;
        heddle::detail::stop_source stop;
        bool go = false;
        const auto there = [&] { return go; };
        const auto token = stop.get_token();
        auto timed = heddle::spawn([&] {
          lock hold(m);
          while (!changed.wait_for(hold, nanoseconds(2'000), there)) {
          }
        });
        auto stopped = heddle::spawn([&] {
          lock hold(m);
          changed.wait(hold, token, there);
        });
        auto patient = heddle::spawn([&] {
          lock hold(m);
          changed.wait(hold, there);
        });
        stop.request_stop();
        {
          const std::lock_guard hold(m);
          go = true;
        }
        for (int i = 0; i != 3; ++i) changed.notify_one();
        timed.join();
        stopped.join();
        patient.join();
      },
      {.procs = Procs, .monitor = false});
}

}  // namespace

using cv = heddle::condition_variable;
using cv_any = heddle::condition_variable_any;

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(notify_one) { right(threads, wait_meets_notify_one<cv>); }
BOOST_AUTO_TEST_CASE(notify_all) { right(threads, two_waits_meet_notify_all<cv>); }
BOOST_AUTO_TEST_CASE(notify_meets_timeout) { right(threads, timeout_meets_notify_one<cv>); }
BOOST_AUTO_TEST_CASE(notify_meets_stop) { right(threads, stop_meets_notify_one<cv>); }
BOOST_AUTO_TEST_CASE(notify_once) { right(threads, each_notify_is_received_once<cv>); }
BOOST_AUTO_TEST_CASE(two_notifies) { right(threads, late_notify_meets_second_wait<cv>); }
BOOST_AUTO_TEST_CASE(destroyed_at_once) { right(threads, condition_goes_early<cv>); }
BOOST_AUTO_TEST_CASE(any_notify_one) { right(threads, wait_meets_notify_one<cv_any>); }
BOOST_AUTO_TEST_CASE(any_notify_all) { right(threads, two_waits_meet_notify_all<cv_any>); }
BOOST_AUTO_TEST_CASE(any_notify_meets_timeout) { right(threads, timeout_meets_notify_one<cv_any>); }
BOOST_AUTO_TEST_CASE(any_notify_meets_stop) { right(threads, stop_meets_notify_one<cv_any>); }
BOOST_AUTO_TEST_CASE(fibers_turns_one) { right(fibers, fibers_take_turns<1>); }
BOOST_AUTO_TEST_CASE(fibers_turns_two) { right(fibers, fibers_take_turns<2>); }
BOOST_AUTO_TEST_CASE(fibers_timeouts_one) { right(fibers, fibers_time_out<1>); }
BOOST_AUTO_TEST_CASE(fibers_timeouts_two) { right(fibers, fibers_time_out<2>); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(condition_queues_late) {
  wrong(model::plant::condition_queues_late, threads, wait_meets_notify_one<cv>, "deadlock");
}
BOOST_AUTO_TEST_CASE(notify_spent_on_ended) {
  wrong(model::plant::notify_spent_on_ended, threads, timeout_meets_notify_one<cv>, "deadlock");
}
BOOST_AUTO_TEST_CASE(lone_waiter_forgotten) {
  wrong(model::plant::lone_waiter_forgotten, threads, two_waits_meet_notify_all<cv>, "deadlock");
}
BOOST_AUTO_TEST_CASE(latecomer_forgotten) {
  wrong(model::plant::latecomer_forgotten, threads, late_notify_meets_second_wait<cv>, "deadlock");
}
BOOST_AUTO_TEST_CASE(leaver_stays_queued) {
  wrong(model::plant::leaver_stays_queued, threads, stop_meets_notify_one<cv>);
}
BOOST_AUTO_TEST_CASE(leavers_not_awaited) {
  wrong(model::plant::leavers_not_awaited, threads, condition_goes_early<cv>);
}
BOOST_AUTO_TEST_SUITE_END()
