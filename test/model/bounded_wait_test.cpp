// SPDX-License-Identifier: BSL-1.0
//
// Waits that may end in three ways: by what was waited for, by a deadline, by a stop request; between plain threads,
// and with a fiber as the sleeper. The little primitive below is what every primitive of sync does with them.
#include <boost/test/unit_test.hpp>
#include <optional>

#include "heddle/detail/bounded_wait.hpp"
#include "heddle/detail/fifo.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "openings.hpp"

namespace {

using heddle::detail::bounded_waiter;
using heddle::detail::thread_mutex;
using heddle::detail::wait_bounds;
using heddle::detail::wait_state;

constexpr model::options threads = openings::threads_for(30'000);
constexpr model::options fibers = openings::fibers_for(3'000);

using openings::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

/// Gives numbers to those who wait, each to exactly one.
class dispenser {
 public:
  /// 0 if the bounds end the wait first.
  int take(const wait_bounds& bounds) {
    bounded_waiter self(bounds);
    lock_.lock();
    if (stock_ != 0) {
      const int n = stock_;
      stock_ = 0;
      lock_.unlock();
      return n;
    }
    queue_.push_back(self);
    const wait_state how = self.park([](void* d) { static_cast<dispenser*>(d)->lock_.unlock_in_commit(); }, this);
    lock_.unlocked_by_commit();
    if (how == wait_state::signalled) return static_cast<int>(self.result);
    heddle::detail::thread_lock hold(lock_);
    if (heddle::detail::fifo<heddle::detail::waiter>::linked(self)) queue_.erase(self);
    return 0;
  }
  void give(int n) {
    lock_.lock();
    heddle::detail::waiter* const w = queue_.pop_claimed();
    if (w != nullptr)
      w->result = static_cast<std::uint32_t>(n);
    else
      stock_ = n;
    lock_.unlock();
    if (w != nullptr) w->wake();
  }
  int rest() { return stock_; }
  bool deserted() const { return queue_.empty(); }

 private:
  thread_mutex lock_;
  heddle::detail::fifo<heddle::detail::waiter> queue_;
  model::data<int> stock_{0};
};

wait_bounds within(heddle::detail::nanoseconds_t ns) { return {heddle::detail::platform::now() + ns, nullptr}; }

void check_given_once(dispenser& d, int taken) {
  model::check(taken + d.rest() == 7, "a number was lost or came twice");
  model::check(d.deserted(), "who has left is still queued");
}

void deadline_meets_signal() {
  dispenser d;
  int taken = 0;
  {
    model::thread sleeper([&] { taken = d.take(within(300)); });
    d.give(7);
  }
  check_given_once(d, taken);
}

void two_deadlines_meet_signal() {
  dispenser d;
  int taken[2] = {};
  {
    model::thread one([&] { taken[0] = d.take(within(300)); });
    model::thread two([&] { taken[1] = d.take(within(400)); });
    d.give(7);
  }
  check_given_once(d, taken[0] + taken[1]);
}

void stop_meets_signal() {
  dispenser d;
  heddle::detail::stop_source stop;
  int taken = 0;
  {
    const heddle::detail::stop_token token = stop.get_token();
    model::thread sleeper([&] { taken = d.take({.stop = &token}); });
    model::thread giver([&] { d.give(7); });
    stop.request_stop();
  }
  check_given_once(d, taken);
}

void stop_alone_wakes() {
  dispenser d;
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  model::thread sleeper([&] { model::check(d.take({.stop = &token}) == 0, "a number from nowhere"); });
  stop.request_stop();
}

void all_three_meet() {
  dispenser d;
  heddle::detail::stop_source stop;
  int taken = 0;
  {
    const heddle::detail::stop_token token = stop.get_token();
    model::thread sleeper([&] {
      wait_bounds bounds = within(300);
      bounds.stop = &token;
      taken = d.take(bounds);
    });
    model::thread giver([&] { d.give(7); });
    stop.request_stop();
  }
  check_given_once(d, taken);
}

/// The same with the sleeper a fiber: then the deadline is a timer of a processor, and the sleeper may come back on
/// another machine before its commit function has ended.
template <bool WithStop, unsigned Procs>
void fiber_sleeps() {
  dispenser d;
  int taken = 0;
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  heddle::run(
      [&] {
        auto sleeper = heddle::spawn([&] {
          wait_bounds bounds = within(3'000);
          if (WithStop) bounds.stop = &token;
          taken = d.take(bounds);
        });
        auto giver = heddle::spawn([&] { d.give(7); });
        if (WithStop) stop.request_stop();
        giver.join();
        sleeper.join();
      },
      {.procs = Procs, .monitor = false});
  check_given_once(d, taken);
}

void fiber_is_stopped_asleep() {
  heddle::detail::stop_source stop;
  bool slept = true;
  heddle::run(
      [&] {
        auto sleeper =
            heddle::spawn([&] { slept = heddle::this_fiber::sleep_for(std::chrono::hours(1), stop.get_token()); });
        stop.request_stop();
        sleeper.join();
      },
      {.procs = 2, .monitor = false});
  model::check(!slept, "it slept on");
}

using openings::right;
using openings::wrong;

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(deadline) { right(threads, deadline_meets_signal); }
BOOST_AUTO_TEST_CASE(two_deadlines) { right(threads, two_deadlines_meet_signal); }
BOOST_AUTO_TEST_CASE(stop) { right(threads, stop_meets_signal); }
BOOST_AUTO_TEST_CASE(stop_alone) { right(threads, stop_alone_wakes); }
BOOST_AUTO_TEST_CASE(all_three) { right(threads, all_three_meet); }
BOOST_AUTO_TEST_CASE(fiber_deadline_one) { right(fibers, fiber_sleeps<false, 1>); }
BOOST_AUTO_TEST_CASE(fiber_deadline_two) { right(fibers, fiber_sleeps<false, 2>); }
BOOST_AUTO_TEST_CASE(fiber_all_three) { right(fibers, fiber_sleeps<true, 2>); }
BOOST_AUTO_TEST_CASE(fiber_stopped) { right(fibers, fiber_is_stopped_asleep); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(two_end_a_wait) { wrong(model::plant::two_end_a_wait, threads, all_three_meet); }
BOOST_AUTO_TEST_CASE(early_end_ignored) {
  wrong(model::plant::early_end_ignored, threads, stop_alone_wakes, "deadlock");
}
BOOST_AUTO_TEST_SUITE_END()
