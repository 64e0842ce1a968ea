// SPDX-License-Identifier: BSL-1.0
//
// Fibers that lend their processor for the time of a call that blocks, and those that announce a call to the monitor,
// under the explorer. As in runtime_test.cpp there is no monitor where a fiber that is left behind is to be seen.
#include <boost/test/unit_test.hpp>
#include <chrono>

#include "heddle/blocking.hpp"
#include "heddle/detail/blocked_section.hpp"
#include "heddle/fiber.hpp"
#include "heddle/this_fiber.hpp"
#include "runtimes.hpp"
#include "scheduler.hpp"

namespace {

using namespace std::chrono_literals;
namespace platform = heddle::detail::platform;
using runtimes::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

/// Waits on its thread until `word` is set, its processor lent.
void lends_until(platform::atomic<std::uint32_t>& word) {
  heddle::detail::machine* const mine = heddle::detail::this_machine();
  {
    const heddle::detail::blocked_section lent;
    while (word.load(std::memory_order_acquire) == 0) platform::futex_wait(word, 0);
  }
  model::check(heddle::detail::this_machine() == mine, "the fiber has left its thread");
}
void set(platform::atomic<std::uint32_t>& word) {
  word.store(1, std::memory_order_release);
  platform::futex_wake(word, 1);
}
/// A call that only another fiber of the same processor can end.
void lends_for_a_queued_one() {
  platform::atomic<std::uint32_t> word{0};
  heddle::go([&] { set(word); });
  lends_until(word);
}
/// One that sleeps in the processor's heap.
void lends_for_a_sleeper() {
  platform::atomic<std::uint32_t> word{0};
  heddle::go([&] {
    heddle::this_fiber::sleep_for(1ms);
    set(word);
  });
  heddle::this_fiber::yield();
  lends_until(word);
}
/// One that another processor's fiber queues and waits for, while the lender's processor goes idle.
void lends_while_another_queues() {
  platform::atomic<std::uint32_t> word{0};
  platform::atomic<int> begun{0};
  auto other = heddle::spawn([&] {
    begun.store(1, std::memory_order_relaxed);
    heddle::go([&] { set(word); });
    while (word.load(std::memory_order_relaxed) == 0) platform::cpu_relax();
  });
  while (begun.load(std::memory_order_relaxed) == 0) platform::cpu_relax();  // so it runs on the other machine
  lends_until(word);
  other.join();
}
/// A plain thread ends the call, with no other fiber there; then the fiber works on.
void lends_to_nobody() {
  platform::atomic<std::uint32_t> word{0};
  model::thread plain([&] { set(word); });
  lends_until(word);
  plain.join();
  runtimes::joins();
}

/// The first announced call of the runtime, at a time when the monitor falls asleep for 5 ms: it must be seen before
/// that. Time passes here only while everyone waits, or by some ns with each operation.
void announces_the_first() {
  heddle::this_fiber::sleep_for(10'605us);  // after 0.8, 1.6, 3.2 and 5 ms of the monitor
  platform::atomic<std::uint32_t> word{0};
  const auto begun = platform::now();
  heddle::go([&] {
    model::check(platform::now() - begun < 3'000'000, "the monitor has not seen the call");
    set(word);
  });
  heddle::blocking([&] {
    while (word.load(std::memory_order_acquire) == 0) platform::futex_wait(word, 0);
  });
}
/// Two at the same time, one with nobody behind: it may be the first, and the other one rely on what that has said.
void announces_two() {
  platform::atomic<std::uint32_t> last{0};
  auto other = heddle::spawn([&] {
    heddle::this_fiber::sleep_for(10'605us);
    heddle::blocking([&] {
      while (last.load(std::memory_order_acquire) == 0) platform::futex_wait(last, 0);
    });
  });
  announces_the_first();
  set(last);
  other.join();
}

void right(std::uint64_t executions, unsigned procs, bool monitor, void (*f)()) {
  model::expect_ok(runtimes::by_chance_times(executions), runtimes::in_runtime(procs, monitor, f));
}
void wrong(model::plant bug, unsigned procs, void (*f)(), const char* text) {
  openings::wrong(bug, runtimes::by_chance_times(60'000), runtimes::in_runtime(procs, false, f), text);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(one_processor)
BOOST_AUTO_TEST_CASE(queued) { right(4000, 1, false, lends_for_a_queued_one); }
BOOST_AUTO_TEST_CASE(queued_with_monitor) { right(4000, 1, true, lends_for_a_queued_one); }
BOOST_AUTO_TEST_CASE(asleep) { right(4000, 1, false, lends_for_a_sleeper); }
BOOST_AUTO_TEST_CASE(alone) { right(4000, 1, false, lends_to_nobody); }
BOOST_AUTO_TEST_CASE(alone_with_monitor) { right(4000, 1, true, lends_to_nobody); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(two_processors)
BOOST_AUTO_TEST_CASE(queued) { right(8000, 2, false, lends_for_a_queued_one); }
BOOST_AUTO_TEST_CASE(queued_meanwhile) { right(8000, 2, false, lends_while_another_queues); }
BOOST_AUTO_TEST_CASE(queued_meanwhile_with_monitor) { right(4000, 2, true, lends_while_another_queues); }
BOOST_AUTO_TEST_CASE(asleep) { right(4000, 2, false, lends_for_a_sleeper); }
BOOST_AUTO_TEST_CASE(alone) { right(4000, 2, false, lends_to_nobody); }
BOOST_AUTO_TEST_SUITE_END()

/// A timeout that comes early would put the clock ahead.
model::options in_time(std::uint64_t executions) {
  model::options o = runtimes::by_chance_times(executions);
  o.early_timeouts = 0;
  return o;
}

BOOST_AUTO_TEST_SUITE(announced)
BOOST_AUTO_TEST_CASE(first) { model::expect_ok(in_time(8000), runtimes::in_runtime(1, true, announces_the_first)); }
BOOST_AUTO_TEST_CASE(two) { model::expect_ok(in_time(8000), runtimes::in_runtime(2, true, announces_two)); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
void monitor_sleeps(model::plant bug) {
  model::options o = in_time(60'000);
  o.planted = bug;
  model::expect_bug(o, runtimes::in_runtime(1, true, announces_the_first), "the monitor has not seen the call");
}
BOOST_AUTO_TEST_CASE(nap_relaxed) { monitor_sleeps(model::plant::nap_relaxed); }
BOOST_AUTO_TEST_CASE(first_call_relaxed) { monitor_sleeps(model::plant::first_call_relaxed); }
BOOST_AUTO_TEST_CASE(lender_looks_once) {
  wrong(model::plant::lender_looks_once, 2, lends_while_another_queues, "livelock");
}
BOOST_AUTO_TEST_CASE(lender_forgets_time) {
  wrong(model::plant::lender_forgets_time, 1, lends_for_a_sleeper, "deadlock");
}
BOOST_AUTO_TEST_CASE(rejoins_uncounted) { wrong(model::plant::rejoins_uncounted, 1, lends_to_nobody, "deadlock"); }
BOOST_AUTO_TEST_SUITE_END()
