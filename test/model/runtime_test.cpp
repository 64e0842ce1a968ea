// SPDX-License-Identifier: BSL-1.0
//
// Whole runtimes under the explorer: machines and the monitor are model threads, fibers switch as
// they always do, and time is virtual. The monitor repairs a lost wakeup at its next round
// (scheduler.hpp, invariant 4), so the tests of the idle protocol run without it: there a fiber
// left behind is a deadlock.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <stdexcept>
#include <string>

#include "heddle/blocking.hpp"
#include "heddle/channel.hpp"
#include "heddle/detail/blocked_section.hpp"
#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "runtimes.hpp"
#include "scheduler.hpp"

namespace {

using namespace std::chrono_literals;
namespace platform = heddle::detail::platform;
using runtimes::by_chance;
using runtimes::in_runtime;
using runtimes::joins;
using runtimes::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

// --- scenarios: what main does as a fiber -------------------------------------------------------------------------

/// The joined fiber begins on the stack of the joiner, or a thief has it; there it suspends and may move.
void joins_one_that_waits() {
  platform::atomic<int> begun{0};
  heddle::channel<int> c;
  auto receiver = heddle::spawn([&] {
    model::check(begun.fetch_add(1, std::memory_order_relaxed) == 0, "begun twice");
    return c.receive().value();
  });
  heddle::go([&] { c.send(42); });
  auto joiner = heddle::spawn([&] { return receiver.join(); });
  model::check(joiner.join() == 42, "a result was lost");
}
void joins_an_exception() {
  auto a = heddle::spawn([]() -> int { throw std::runtime_error("expected"); });
  heddle::this_fiber::yield();
  try {
    a.join();
    model::fail("the exception was lost");
  } catch (const std::runtime_error& e) {
    heddle::this_fiber::yield();
    model::check(std::string(e.what()) == "expected", "another exception");
  }
}
/// More fibers than the rings hold.
void overflows() {
  heddle::wait_group all(12);
  platform::atomic<int> ran{0};
  for (int i = 0; i != 12; ++i)
    heddle::go([&] {
      heddle::this_fiber::yield();
      ran.fetch_add(1, std::memory_order_relaxed);
      all.done();
    });
  all.wait();
  model::check(ran.load(std::memory_order_relaxed) == 12, "a fiber was lost or ran twice");
}

/// Fibers that wait for each other without letting go of their processors: right only if no
/// processor stays idle while one of them is queued. One for each processor.
template <int Fibers>
void meet_running() {
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
/// The same with one that is woken, not made, while the other machine goes idle.
void meet_after_wakes() {
  heddle::channel<int> start;
  platform::atomic<int> progress{0};
  const auto await = [&](int n) {
    while (progress.load(std::memory_order_relaxed) < n) platform::cpu_relax();
  };
  auto other = heddle::spawn([&] {
    progress.store(1, std::memory_order_relaxed);
    (void)start.receive();
    progress.store(2, std::memory_order_relaxed);
  });
  await(1);  // so it runs on the other machine
  start.send(1);
  await(2);
  other.join();
}

/// The same with one that yields while the other machine goes idle.
void meet_after_yields() {
  platform::atomic<int> arrived{0};
  auto other = heddle::spawn([&] {
    heddle::this_fiber::yield();
    arrived.store(1, std::memory_order_relaxed);
  });
  heddle::this_fiber::yield();
  while (arrived.load(std::memory_order_relaxed) == 0) platform::cpu_relax();
  other.join();
}

/// The same after turns of two fibers, which are not worth a wake of the other machine.
void meet_after_turns() {
  heddle::channel<int> there, back;
  auto echo = heddle::spawn([&] {
    for (const int n : there) back.send(n);
  });
  for (int i = 0; i != 2; ++i) {
    there.send(i);
    model::check(back.receive() == i, "a value was lost");
  }
  meet_running<2>();
  there.close();
  echo.join();
}

void counts_under_a_mutex() {
  heddle::mutex m;
  model::data<int> count{0};
  heddle::wait_group all(2);
  const auto work = [&] {
    for (int i = 0; i != 2; ++i) {
      m.lock();
      count = count + 1;
      heddle::this_fiber::yield();
      m.unlock();
    }
  };
  for (int i = 0; i != 2; ++i)
    heddle::go([&] {
      work();
      all.done();
    });
  work();
  all.wait();
  model::check(count == 6, "an increment was lost");
}

template <int Capacity>
void passes_values() {
  heddle::channel<int> c(Capacity);
  heddle::go([&] {
    for (int i = 1; i <= 4; ++i) c.send(i);
    c.close();
  });
  int last = 0;
  for (const int n : c) model::check(n == ++last, "out of order");
  model::check(last == 4, "a value was lost");
}
/// Many wakes at once: the ring overflows into the global queue.
void wakes_many() {
  heddle::channel<int> c;
  heddle::wait_group all(8);
  for (int i = 0; i != 8; ++i)
    heddle::go([&] {
      model::check(!c.receive().has_value(), "a value from nowhere");
      all.done();
    });
  for (int i = 0; i != 8; ++i) heddle::this_fiber::yield();
  c.close();
  all.wait();
}
void closes_on_both_sides() {
  heddle::channel<int> c;
  heddle::wait_group all(2);
  for (int i = 0; i != 2; ++i)
    heddle::go([&] {
      model::check(!c.receive().has_value(), "a value from nowhere");
      all.done();
    });
  heddle::this_fiber::yield();
  c.close();
  all.wait();
}

/// CHECKLIST row 20: fibers that are suspended inside a catch block, and go on elsewhere.
void rethrows() {
  heddle::wait_group all(3);
  for (int i = 0; i != 3; ++i)
    heddle::go([&, i] {
      try {
        throw i;
      } catch (int mine) {
        heddle::this_fiber::yield();
        try {
          throw;
        } catch (int again) {
          model::check(mine == i && again == i, "another fiber's exception");
        }
      }
      all.done();
    });
  all.wait();
}

/// Sleepers wake in time, whichever processor's heap they are in.
void sleeps() {
  heddle::wait_group all(3);
  for (const auto ms : {3000, 20, 500})
    heddle::go([&, ms] {
      const std::int64_t until = platform::now() + ms * 1'000'000LL;
      heddle::this_fiber::sleep_for(std::chrono::milliseconds(ms));
      const std::int64_t late = platform::now() - until;
      model::check(late >= 0, "woken too early");
      model::check(late < 15'000'000, "woken too late");
      all.done();
    });
  all.wait();
}
void sleeps_against_a_wake() {
  heddle::channel<int> c(1);
  heddle::go([&] {
    heddle::this_fiber::sleep_for(1ms);
    c.send(1);
  });
  heddle::this_fiber::sleep_for(1ms);
  model::check(c.receive() == 1, "a value was lost");
}

void blocks_until_another_runs();

/// A machine without a processor keeps the time while another has the only one, and the next sleep begins after that.
void sleeps_beside_a_plain_thread() {
  blocks_until_another_runs();  // from now on there are two machines
  heddle::channel<int> c;
  heddle::go([&] {
    heddle::this_fiber::sleep_for(1ms);
    heddle::this_fiber::sleep_for(30s);  // long enough for the monitor to go to sleep as well
    c.send(0);
  });
  model::thread plain([&] { c.send(1); });
  model::check(c.receive().value() + c.receive().value() == 1, "a value was lost");
  plain.join();
}

/// An announced call that only another fiber of the same processor can end.
void blocks_until_another_runs() {
  platform::atomic<std::uint32_t> word{0};
  heddle::go([&] {
    word.store(1, std::memory_order_release);
    platform::futex_wake(word, 1);
  });
  heddle::blocking([&] {
    while (word.load(std::memory_order_acquire) == 0) platform::futex_wait(word, 0);
  });
}
/// Waits inside an announced call: for a lock, a value, a deadline, a join, by yields.
void waits_inside_a_call() {
  heddle::mutex m;
  heddle::channel<int> c;
  platform::atomic<std::uint32_t> word{0};
  auto holder = heddle::spawn([&] {
    const std::lock_guard hold(m);
    heddle::this_fiber::yield();
    word.store(1, std::memory_order_release);
  });
  auto sender = heddle::spawn([&] { c.send(4); });
  heddle::blocking([&] {
    heddle::detail::machine* const mine = heddle::detail::this_machine();
    model::check(c.receive() == 4, "a value was lost");
    const std::lock_guard hold(m);
    auto child = heddle::spawn([&] { return word.load(std::memory_order_acquire); });
    (void)child.join();
    model::check(heddle::detail::this_machine() == mine, "the fiber has left its thread");
  });
  holder.join();
  sender.join();
}
/// The same without the announcement.
void blocks_unannounced() {
  platform::atomic<std::uint32_t> word{0};
  heddle::go([&] {
    word.store(1, std::memory_order_release);
    platform::futex_wake(word, 1);
  });
  while (word.load(std::memory_order_acquire) == 0) platform::futex_wait(word, 0);
}
/// A loop that never lets go.
void loops_until_another_runs() {
  platform::atomic<std::uint32_t> word{0};
  heddle::go([&] { word.store(1, std::memory_order_release); });
  while (word.load(std::memory_order_acquire) == 0) platform::preempt_point();
}

/// A processor belongs to one machine at a time, and each owner sees what the one before did to it.
class ownership {
 public:
  void use() {
    heddle::detail::machine& m = *heddle::detail::this_machine();
    if (m.enter()) {
      of_processor& p = processors_[m.p->index];
      model::check(p.owners++ == 0, "a processor has two owners");
      p.uses = p.uses + 1;
      platform::preempt_point();
      p.uses = p.uses + 1;
      --p.owners;
    }
    m.leave();
  }

 private:
  struct of_processor {
    int owners = 0;  // changes without a scheduling point, so it is right without being atomic
    model::data<int> uses{0};
  };
  of_processor processors_[2];
};
void hogs() {
  ownership all;
  heddle::wait_group done(2);
  const auto work = [&] {
    for (int i = 0; i != 3; ++i) {
      for (int k = 0; k != 4; ++k) platform::preempt_point();
      all.use();
    }
    heddle::blocking([&] { platform::preempt_point(); });
    all.use();
    {
      const heddle::detail::blocked_section lent;
      platform::preempt_point();
    }
    all.use();
  };
  for (int i = 0; i != 2; ++i)
    heddle::go([&] {
      work();
      done.done();
    });
  work();
  done.wait();
}

/// Long silence, all memory given back, after which the monitor is needed at once.
void blocks_after_a_long_sleep() {
  heddle::this_fiber::sleep_for(10s);
  blocks_until_another_runs();
}
/// The same. While a plain thread runs, too, the machine wakes three times as often as the monitor is about to sleep.
void blocks_after_a_long_sleep_beside_a_thread() {
  platform::atomic<int> counted{0};
  {
    model::thread plain([&] {
      for (int i = 1; i != 40; ++i) counted.store(i, std::memory_order_relaxed);
    });
    heddle::this_fiber::yield();
    heddle::this_fiber::sleep_for(10s);
  }
  blocks_until_another_runs();
}

/// Plain threads and fibers meet.
void meets_a_plain_thread() {
  heddle::channel<int> there, back;
  model::thread plain([&] {
    for (const int n : there) back.send(n + 1);
    back.close();
  });
  heddle::run(
      [&] {
        for (int i = 0; i != 2; ++i) {
          there.send(i);
          model::check(back.receive() == i + 1, "a value was lost");
        }
        there.close();
        model::check(!back.receive().has_value(), "a value from nowhere");
      },
      runtimes::with(2, false));
  runtimes::nothing_left();
}
/// Machines are dismissed while others rely on their looking once more before they sleep.
template <void (*F)()>
void while_machines_end() {
  heddle::detail::scheduler& s = heddle::detail::this_machine()->sched;
  model::thread plain([&] {
    for (int i = 0; i != 2; ++i) (void)s.end_machines(1, 0);
  });
  F();
  plain.join();
}

/// A machine made for a blocking call ends, and its record serves the next one.
void ends_spare_machines() {
  for (int i = 0; i != 2; ++i) {
    blocks_until_another_runs();
    heddle::this_fiber::sleep_for(30s);
    model::check(heddle::stats().machines == 1, "the spare machine has not ended");
  }
}

/// Nobody will ever send.
void waits_for_ever() {
  heddle::channel<int> c;
  (void)c.receive();
}

/// A timeout that races with a wake puts the clock ahead of who still runs, so nobody is in time
/// any more.
unsigned early_timeouts_for(void (*f)()) {
  const bool in_time = f == sleeps || f == while_machines_end<sleeps> || f == ends_spare_machines;
  return in_time ? 0 : by_chance.early_timeouts;
}

void right(std::uint64_t executions, unsigned procs, bool monitor, void (*f)()) {
  model::options o = by_chance;
  o.executions = executions;
  o.early_timeouts = early_timeouts_for(f);
  model::expect_ok(o, in_runtime(procs, monitor, f));
}
void with_one_preemption(unsigned procs, void (*f)()) {
  model::options o = by_chance;
  o.strategy = model::strategy::exhaustive;
  o.executions = 5'000;
  o.preemptions = 1;
  o.stale_reads = 1;
  o.weak_failures = o.spurious_wakes = o.early_timeouts = 0;
  model::expect_ok(o, in_runtime(procs, false, f));
}
void wrong(model::plant bug, unsigned procs, bool monitor, void (*f)(), const char* text = "") {
  model::options o = by_chance;
  o.executions = 60'000;
  o.early_timeouts = early_timeouts_for(f);
  openings::wrong(bug, o, in_runtime(procs, monitor, f), text);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(one_processor)
BOOST_AUTO_TEST_CASE(spawn_and_join) { right(1000, 1, false, joins); }
BOOST_AUTO_TEST_CASE(spawn_and_join_with_monitor) { right(1000, 1, true, joins); }
BOOST_AUTO_TEST_CASE(overflow) { right(1000, 1, false, overflows); }
BOOST_AUTO_TEST_CASE(overflow_by_wakes) { right(1000, 1, false, wakes_many); }
BOOST_AUTO_TEST_CASE(mutex) { right(1000, 1, true, counts_under_a_mutex); }
BOOST_AUTO_TEST_CASE(channel) { right(1000, 1, true, passes_values<0>); }
BOOST_AUTO_TEST_CASE(sleep) { right(1000, 1, true, sleeps); }
BOOST_AUTO_TEST_CASE(sleep_twice) { right(4000, 1, true, sleeps_beside_a_plain_thread); }
BOOST_AUTO_TEST_CASE(exceptions) { right(1000, 1, true, rethrows); }
BOOST_AUTO_TEST_CASE(announced_call) { right(4000, 1, true, blocks_until_another_runs); }
BOOST_AUTO_TEST_CASE(unannounced_call) { right(4000, 1, true, blocks_unannounced); }
BOOST_AUTO_TEST_CASE(waits_in_a_call) { right(4000, 1, false, waits_inside_a_call); }
BOOST_AUTO_TEST_CASE(waits_in_a_call_with_monitor) { right(4000, 1, true, waits_inside_a_call); }
BOOST_AUTO_TEST_CASE(endless_loop) { right(4000, 1, true, loops_until_another_runs); }
BOOST_AUTO_TEST_CASE(announced_call_after_silence) { right(8000, 1, true, blocks_after_a_long_sleep); }
BOOST_AUTO_TEST_CASE(one_owner) { right(8000, 1, true, hogs); }
BOOST_AUTO_TEST_CASE(spare_machines) { right(2000, 1, true, ends_spare_machines); }
BOOST_AUTO_TEST_CASE(deadlock_is_reported) {
  model::options o = by_chance;
  o.warm_up = false;  // even that would be reported
  const auto r = model::expect_bug(o, in_runtime(1, true, waits_for_ever), "Aborted");
  BOOST_CHECK_MESSAGE(r.trace.find("all fibers are asleep") != std::string::npos, r.trace);
}
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(two_processors)
BOOST_AUTO_TEST_CASE(spawn_and_join) { right(8000, 2, false, joins); }
BOOST_AUTO_TEST_CASE(spawn_and_join_with_monitor) { right(4000, 2, true, joins); }
BOOST_AUTO_TEST_CASE(join_one_that_waits) { right(8000, 2, false, joins_one_that_waits); }
BOOST_AUTO_TEST_CASE(join_an_exception) { right(4000, 2, false, joins_an_exception); }
BOOST_AUTO_TEST_CASE(overflow) { right(4000, 2, false, overflows); }
BOOST_AUTO_TEST_CASE(no_idle_processor) { right(8000, 2, false, meet_running<2>); }
BOOST_AUTO_TEST_CASE(no_idle_processor_when_reluctant) { right(8000, 2, true, meet_after_turns); }
BOOST_AUTO_TEST_CASE(no_idle_processor_after_wakes) { right(8000, 2, false, meet_after_wakes); }
BOOST_AUTO_TEST_CASE(no_idle_processor_after_yields) { right(8000, 2, false, meet_after_yields); }
BOOST_AUTO_TEST_CASE(mutex) { right(4000, 2, false, counts_under_a_mutex); }
BOOST_AUTO_TEST_CASE(channel_unbuffered) { right(4000, 2, false, passes_values<0>); }
BOOST_AUTO_TEST_CASE(channel_buffered) { right(4000, 2, false, passes_values<2>); }
BOOST_AUTO_TEST_CASE(channel_close) { right(4000, 2, false, closes_on_both_sides); }
BOOST_AUTO_TEST_CASE(exceptions) { right(4000, 2, false, rethrows); }
BOOST_AUTO_TEST_CASE(sleep) { right(4000, 2, false, sleeps); }
BOOST_AUTO_TEST_CASE(sleep_and_wake) { right(4000, 2, false, sleeps_against_a_wake); }
BOOST_AUTO_TEST_CASE(announced_call) { right(4000, 2, true, blocks_until_another_runs); }
BOOST_AUTO_TEST_CASE(waits_in_a_call) { right(4000, 2, false, waits_inside_a_call); }
BOOST_AUTO_TEST_CASE(waits_in_a_call_with_monitor) { right(4000, 2, true, waits_inside_a_call); }
BOOST_AUTO_TEST_CASE(one_owner) { right(8000, 2, true, hogs); }
BOOST_AUTO_TEST_CASE(plain_threads) {
  model::options o = by_chance;
  o.executions = 4000;
  model::expect_ok(o, meets_a_plain_thread);
}
BOOST_AUTO_TEST_CASE(no_idle_processor_while_machines_end) {
  right(8000, 2, false, while_machines_end<meet_running<2>>);
}
BOOST_AUTO_TEST_CASE(sleep_while_machines_end) { right(4000, 2, false, while_machines_end<sleeps>); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(every_single_preemption)
BOOST_AUTO_TEST_CASE(spawn_and_join) { with_one_preemption(2, joins); }
BOOST_AUTO_TEST_CASE(no_idle_processor) { with_one_preemption(2, meet_after_wakes); }
BOOST_AUTO_TEST_CASE(channel) { with_one_preemption(2, passes_values<0>); }
BOOST_AUTO_TEST_CASE(mutex) { with_one_preemption(2, counts_under_a_mutex); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(three_processors)
BOOST_AUTO_TEST_CASE(no_idle_processor) { right(4000, 3, false, meet_running<3>); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(overflow_loses_newest) {
  wrong(model::plant::overflow_loses_newest, 1, false, wakes_many, "deadlock");
}
BOOST_AUTO_TEST_CASE(recheck_without_barrier) {
  wrong(model::plant::recheck_without_barrier, 3, false, meet_running<3>, "livelock");
}
BOOST_AUTO_TEST_CASE(join_overwrites_end) { wrong(model::plant::join_overwrites_end, 2, false, joins, "deadlock"); }
BOOST_AUTO_TEST_CASE(joined_though_stolen) {
  wrong(model::plant::joined_though_stolen, 2, false, joins_one_that_waits);
}
BOOST_AUTO_TEST_CASE(missing_recheck) { wrong(model::plant::missing_recheck, 2, false, meet_running<2>, "livelock"); }
BOOST_AUTO_TEST_CASE(last_spinner_forgets) {
  wrong(model::plant::last_spinner_forgets, 3, false, meet_running<3>, "livelock");
}
BOOST_AUTO_TEST_CASE(reluctant_without_monitor) {
  wrong(model::plant::reluctant_without_monitor, 2, false, meet_after_turns, "livelock");
}
BOOST_AUTO_TEST_CASE(machine_stays_listed) { wrong(model::plant::machine_stays_listed, 2, false, joins); }
BOOST_AUTO_TEST_CASE(leaver_forgets) {
  wrong(model::plant::leaver_forgets, 2, false, while_machines_end<meet_running<2>>, "livelock");
}
BOOST_AUTO_TEST_CASE(leaver_forgets_the_time) {
  wrong(model::plant::leaver_forgets, 1, false, while_machines_end<sleeps_against_a_wake>, "deadlock");
}
BOOST_AUTO_TEST_CASE(machine_believes_any_wake) { wrong(model::plant::machine_believes_any_wake, 2, false, joins); }
BOOST_AUTO_TEST_CASE(timekeeper_stays) { wrong(model::plant::timekeeper_stays, 2, false, sleeps, "too late"); }
BOOST_AUTO_TEST_CASE(timekeeper_stays_late) {
  wrong(model::plant::timekeeper_stays_late, 1, true, sleeps_beside_a_plain_thread);
}
BOOST_AUTO_TEST_CASE(revoke_without_barrier) { wrong(model::plant::revoke_without_barrier, 1, true, hogs); }
BOOST_AUTO_TEST_CASE(enter_ignores_revoked) { wrong(model::plant::enter_ignores_revoked, 1, true, hogs); }
BOOST_AUTO_TEST_CASE(leave_without_release) { wrong(model::plant::leave_without_release, 1, true, hogs, "data race"); }
BOOST_AUTO_TEST_CASE(pinned_keeps_processor) {
  wrong(model::plant::pinned_keeps_processor, 1, false, waits_inside_a_call, "deadlock");
}
BOOST_AUTO_TEST_CASE(deep_sleep_without_look) {
  // Seven seeds found it after 500 to 68,000 executions, 30,000 on average.
  wrong(model::plant::deep_sleep_without_look, 1, true, blocks_after_a_long_sleep_beside_a_thread, "deadlock");
}
BOOST_AUTO_TEST_SUITE_END()
