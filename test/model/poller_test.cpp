// SPDX-License-Identifier: BSL-1.0
//
// Turns at the poller: machines that sleep in the poller and are woken, dismissed or kept busy; timers meanwhile;
// runtimes that follow each other. What happens to a descriptor: poll_test.cpp.
#include <boost/test/unit_test.hpp>

#include "descriptors.hpp"
#include "heddle/blocking.hpp"
#include "heddle/channel.hpp"
#include "heddle/detail/blocked_section.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"
#include "scheduler.hpp"

namespace {

namespace platform = heddle::detail::platform;
using namespace descriptors;
using runtimes::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

/// A descriptor that a fiber waits for as long as this lives, so that idle machines sleep in the poller.
class watched {
 public:
  watched() : reader_(heddle::spawn([this] { return receive(d_, 1).how; })) {}
  ~watched() {
    d_.close();
    model::check(reader_.join() == poll_outcome::closed, "a reader was not told of the close");
  }
  int descriptor() const noexcept { return d_.descriptor(); }

 private:
  polled d_{make()};
  heddle::join_handle<poll_outcome> reader_;
};

/// Machines are woken without an event, by fibers that plain threads wake.
void wakes_a_machine_that_polls() {
  const watched idle;
  heddle::channel<int> there, back;
  model::thread plain([&] {
    for (const int n : there) back.send(n + 1);
    back.close();
  });
  for (int i = 0; i != 2; ++i) {
    there.send(i);
    model::check(back.receive() == i + 1, "a value was lost");
  }
  there.close();
  model::check(!back.receive().has_value(), "a value from nowhere");
}

/// One fiber for each processor, which meet without letting go: no machine sleeps on in the poller.
template <int Fibers>
void meets_though_one_polls() {
  const watched idle;
  platform::atomic<int> arrived{0};
  const auto meet = [&] {
    arrived.fetch_add(1, std::memory_order_relaxed);
    while (arrived.load(std::memory_order_relaxed) < Fibers) platform::cpu_relax();
  };
  heddle::wait_group all(Fibers - 1);
  for (int i = 1; i != Fibers; ++i)
    heddle::go([&] {
      meet();
      all.done();
    });
  meet();
  all.wait();
}

/// Events and sleeps, each in time: whoever sleeps in the poller may keep the time or leave that to another.
void sleeps_while_one_polls() {
  const polled d(make());
  const int fd = d.descriptor();
  heddle::wait_group all(3);
  heddle::go([&] {
    for (int i = 0; i != 2; ++i) model::check(receive_some(d, 1) == 1, "no byte");
    all.done();
  });
  for (const int wait : {20, 60})
    heddle::go([&, wait] {
      const nanoseconds_t until = platform::now() + wait * ms;
      heddle::this_fiber::sleep_for(std::chrono::milliseconds(wait));
      const nanoseconds_t late = platform::now() - until;
      model::check(late >= 0 && late < 15 * ms, "woken too early or too late");
      send(fd, 1);
      all.done();
    });
  all.wait();
}

/// Events for fibers, while machines are dismissed that would have polled.
void polls_while_machines_end() {
  heddle::detail::scheduler& s = heddle::detail::this_machine()->sched;
  const polled d(make());
  const int fd = d.descriptor();
  heddle::wait_group all(1);
  heddle::go([&] {
    for (int i = 0; i != 2; ++i) model::check(receive_some(d, 1) == 1, "no byte");
    all.done();
  });
  model::thread plain([&] {
    for (int i = 0; i != 2; ++i) {
      for (int k = 0; k != 4; ++k) (void)s.end_machines(1, 0);
      send(fd, 1);
    }
  });
  all.wait();
}

/// A machine waits inside a blocking call and gives its processor to one that polls.
void polls_beside_a_call() {
  const polled d(make());
  const int fd = d.descriptor();
  auto reader = heddle::spawn([&] { return receive_some(d, 1); });
  model::thread peer([fd] { send(fd, 1); });
  heddle::channel<int> c;
  heddle::go([&] {
    model::check(reader.join() == 1, "no byte");
    c.send(1);
  });
  heddle::blocking([&] { model::check(c.receive() == 1, "a value was lost"); });
}

/// The same, and the fiber lends it to whoever has something to do, which is nobody until an event comes.
void polls_beside_a_lender() {
  const polled d(make());
  const int fd = d.descriptor();
  platform::atomic<std::uint32_t> word{0};
  auto reader = heddle::spawn([&] {
    model::check(receive_some(d, 1) == 1, "no byte");
    word.store(1, std::memory_order_release);
    platform::futex_wake(word, 1);
  });
  heddle::this_fiber::yield();
  model::thread peer([fd] { send(fd, 1); });
  {
    const heddle::detail::blocked_section lent;
    while (word.load(std::memory_order_acquire) == 0) platform::futex_wait(word, 0);
  }
  reader.join();
}

/// The only processor runs a fiber that does not let go before it has seen what another reads.
template <int Hogs>
void hogs_until_another_has_read() {
  const polled d(make());
  const int fd = d.descriptor();
  platform::atomic<int> seen{0};
  auto reader = heddle::spawn([&] {
    (void)receive_some(d, 1);
    seen.store(1, std::memory_order_relaxed);
  });
  for (int i = 0; i != 2; ++i) heddle::this_fiber::yield();
  model::thread peer([fd] { send(fd, 1); });
  const auto hog = [&] {
    while (seen.load(std::memory_order_relaxed) == 0) platform::preempt_point();
  };
  heddle::wait_group all(Hogs - 1);
  for (int i = 1; i != Hogs; ++i)
    heddle::go([&] {
      hog();
      all.done();
    });
  hog();
  all.wait();
  reader.join();
}

/// Fibers that yield to each other do not keep events waiting.
void yields_until_another_has_read() {
  const polled d(make());
  const int fd = d.descriptor();
  platform::atomic<int> seen{0};
  auto reader = heddle::spawn([&] {
    (void)receive_some(d, 1);
    seen.store(1, std::memory_order_relaxed);
  });
  heddle::this_fiber::yield();
  send(fd, 1);
  while (seen.load(std::memory_order_relaxed) == 0) {
    platform::preempt_point();
    heddle::this_fiber::yield();
  }
  reader.join();
}

/// More fibers are woken at once than the local queue holds.
void wakes_many() {
  constexpr int pairs = 4;
  std::array<polled, pairs> all;
  for (polled& d : all) d = polled(make(0));
  heddle::wait_group done(2 * pairs);
  for (polled& d : all) {
    heddle::go([&] {
      model::check(receive_some(d, 1) == 1, "no byte");
      done.done();
    });
    heddle::go([&] {
      model::check(transmit(d, 1).bytes == 1, "no room");
      done.done();
    });
  }
  for (int i = 0; i != 2 * pairs; ++i) heddle::this_fiber::yield();
  for (const polled& d : all) {
    send(d.descriptor(), 1);
    make_room(d.descriptor(), 1);
  }
  done.wait();
}

/// A descriptor that outlives its runtime, and is waited for in the next one; an alarm of the first is left.
void outlives_its_runtime() {
  polled d(make());
  const int fd = d.descriptor();
  for (int i = 0; i != 2; ++i) {
    heddle::run(
        [&] {
          heddle::go([fd] { send(fd, 1); });
          const wait_bounds bounds{.deadline = platform::now() + 30'000 * ms};
          model::check(receive(d, 1, bounds).bytes == 1, "a byte was lost");
        },
        runtimes::with(2, false));
    runtimes::nothing_left();
  }
  d.close();
  model::check(count() == 0, "a descriptor is left open");
}

/// The first descriptor that is waited for, beside machines that look whether there is one. In a child, so that the
/// queue is opened in each execution.
template <bool Monitor>
void opens_while_others_look() {
  heddle::detail::poller& p = heddle::detail::poller::instance();
  p.before_fork();
  p.after_fork_in_child();
  heddle::run(
      [] {
        const polled d(make());
        const int fd = d.descriptor();
        auto reader = heddle::spawn([&] { return receive_some(d, 1); });
        model::thread peer([fd] { send(fd, 1); });
        model::check(reader.join() == 1, "no byte");
      },
      runtimes::with(2, Monitor));
  runtimes::nothing_left();
}

/// All wait for descriptors, and the others who could wake them are no threads of this process: no deadlock.
void waits_long() {
  const polled d(make());
  const int fd = d.descriptor();
  heddle::go([fd] {
    heddle::this_fiber::sleep_for(std::chrono::milliseconds(1));
    send(fd, 1);
  });
  model::check(receive_some(d, 1) == 1, "no byte");
}
void waits_for_ever_beside_a_descriptor() {
  polled d(make());
  heddle::go([fd = d.descriptor()] { send(fd, 1); });
  (void)receive_some(d, 1);
  heddle::channel<int> c;
  (void)c.receive();  // nobody sends, and nobody waits for the descriptor
}

}  // namespace

BOOST_AUTO_TEST_SUITE(machines)
BOOST_AUTO_TEST_CASE(woken_on_one_processor) { right(3000, 1, false, wakes_a_machine_that_polls); }
BOOST_AUTO_TEST_CASE(woken_on_two) { right(3000, 2, false, wakes_a_machine_that_polls); }
BOOST_AUTO_TEST_CASE(no_idle_processor) { right(3000, 2, false, meets_though_one_polls<2>); }
BOOST_AUTO_TEST_CASE(no_idle_processor_of_three) { right(2000, 3, false, meets_though_one_polls<3>); }
BOOST_AUTO_TEST_CASE(sleep) { right(3000, 2, false, sleeps_while_one_polls); }
BOOST_AUTO_TEST_CASE(sleep_on_one_processor) { right(2000, 1, false, sleeps_while_one_polls); }
BOOST_AUTO_TEST_CASE(while_the_only_machine_ends) { right(2000, 1, false, polls_while_machines_end); }
BOOST_AUTO_TEST_CASE(while_machines_end) { right(4000, 2, false, polls_while_machines_end); }
BOOST_AUTO_TEST_CASE(beside_a_call) { right(2000, 1, false, polls_beside_a_call); }
BOOST_AUTO_TEST_CASE(beside_a_call_with_monitor) { right(2000, 2, true, polls_beside_a_call); }
BOOST_AUTO_TEST_CASE(beside_a_lender) { right(2000, 1, false, polls_beside_a_lender); }
BOOST_AUTO_TEST_CASE(one_hog) { right(2000, 1, true, hogs_until_another_has_read<1>); }
BOOST_AUTO_TEST_CASE(two_hogs) { right(2000, 2, true, hogs_until_another_has_read<2>); }
BOOST_AUTO_TEST_CASE(a_hog_and_an_idle_machine) { right(2000, 2, true, hogs_until_another_has_read<1>); }
BOOST_AUTO_TEST_CASE(yields) { right(2000, 1, false, yields_until_another_has_read); }
BOOST_AUTO_TEST_CASE(many_events) { right(1000, 2, false, wakes_many); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(life)
BOOST_AUTO_TEST_CASE(two_runtimes) {
  model::options o = runtimes::by_chance_times(2000);
  o.early_timeouts = 0;
  model::expect_ok(o, outlives_its_runtime);
}
BOOST_AUTO_TEST_CASE(opened) { model::expect_ok(runtimes::by_chance_times(3000), opens_while_others_look<false>); }
BOOST_AUTO_TEST_CASE(opened_beside_a_monitor) {
  model::expect_ok(runtimes::by_chance_times(2000), opens_while_others_look<true>);
}
BOOST_AUTO_TEST_CASE(no_deadlock) { right(1000, 2, true, waits_long); }
BOOST_AUTO_TEST_CASE(deadlock_is_reported) {
  model::options o = runtimes::by_chance;
  o.warm_up = false;  // even that would be reported
  const auto r = model::expect_bug(o, in_runtime(1, true, waits_for_ever_beside_a_descriptor), "Aborted");
  BOOST_CHECK_MESSAGE(r.trace.find("all fibers are asleep") != std::string::npos, r.trace);
}
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(poller_not_interrupted) {
  wrong(model::plant::poller_not_interrupted, 1, false, wakes_a_machine_that_polls, "deadlock");
}
BOOST_AUTO_TEST_CASE(poller_sleeps_though_woken) {
  wrong(model::plant::poller_sleeps_though_woken, 1, false, wakes_a_machine_that_polls);
}
BOOST_AUTO_TEST_CASE(leaver_leaves_poller) {
  wrong(model::plant::leaver_leaves_poller, 1, false, polls_while_machines_end, "deadlock");
}
BOOST_AUTO_TEST_CASE(poller_hides) { wrong(model::plant::poller_hides, 1, false, wakes_a_machine_that_polls); }
BOOST_AUTO_TEST_CASE(rouse_relaxed) { wrong(model::plant::rouse_relaxed, 1, false, wakes_a_machine_that_polls); }
BOOST_AUTO_TEST_CASE(poller_opened_relaxed) {
  model::options o = runtimes::by_chance;
  o.planted = model::plant::poller_opened_relaxed;
  model::expect_bug(o, opens_while_others_look<false>, "data race");
}
BOOST_AUTO_TEST_CASE(poller_released_relaxed) {
  wrong(model::plant::poller_released_relaxed, 2, false, wakes_a_machine_that_polls, "data race");
}
BOOST_AUTO_TEST_CASE(monitor_leaves_poller) {
  wrong(model::plant::monitor_leaves_poller, 1, true, hogs_until_another_has_read<1>, "livelock");
}
BOOST_AUTO_TEST_CASE(lender_leaves_poller) {
  wrong(model::plant::lender_leaves_poller, 1, false, polls_beside_a_lender, "deadlock");
}
BOOST_AUTO_TEST_SUITE_END()
