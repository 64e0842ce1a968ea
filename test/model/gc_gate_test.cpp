// SPDX-License-Identifier: BSL-1.0
//
// Threads in functions of the collector, and the collector that excludes one after the other
// (gc/src/barrier/mutators.hpp).
#include <array>

#include "barrier/mutators.hpp"
#include "collected_threads.hpp"
#include "model/data.hpp"

namespace {

using namespace heddle::gc::detail;

/// What belongs to a thread, and to the collector while the thread is excluded.
struct shared {
  std::array<model::data<int>, 4> values{0, 0, 0, 0};
  std::array<model::data<bool>, 4> is_armed{false, false, false, false};
};

void go_in(shared& s, int times) {
  for (int i = 0; i != times; ++i) {
    const critical_call inside;
    const unsigned me = model::current_thread();
    s.values[me] = s.values[me] + 1;
    if (inside.self().taken == 0) inside.self().taken = me;
    model::check(!inside.marking() || s.is_armed[me], "a thread heeds what does not hold yet");
    model::check(inside.marking() || !s.is_armed[me], "a thread heeds what does not hold any more");
  }
}

void exclude_all(shared& s, bool arms) {
  the_mutators.for_each_excluded(arms ? armed_bits::marking : std::uint8_t{0}, [&](mutator& m) {
    if (m.taken == 0) return;  // it has not been inside
    s.values[m.taken] = s.values[m.taken] + 1;
    s.is_armed[m.taken] = arms;
  });
}

/// Threads that are known already.
template <int Threads, int Times, int Rounds>
void excluded() {
  shared s;
  heddle::detail::atomic<int> begun{0};
  const auto work = [&] {
    go_in(s, 1);
    begun.fetch_add(1, std::memory_order_acq_rel);
    while (begun.load(std::memory_order_acquire) != Threads) heddle::detail::platform::cpu_relax();
    go_in(s, Times);
  };
  const auto collect = [&] {
    while (begun.load(std::memory_order_acquire) != Threads) heddle::detail::platform::cpu_relax();
    for (int i = 0; i != Rounds; ++i) exclude_all(s, i % 2 == 0);
  };
  collected::thread one(work);
  if constexpr (Threads == 2) {
    collected::thread two(work);
    collect();
    two.join();
  } else {
    collect();
  }
  one.join();
  the_mutators.for_each_excluded(0, [](mutator&) {});
}

/// Threads that come and go.
void coming() {
  heddle::detail::atomic<int> phase{0};
  const auto work = [&] {
    for (int i = 0; i != 2; ++i) {
      const int seen = phase.load(std::memory_order_acquire);
      {
        const critical_call inside;
        model::check(inside.marking() || seen != 1 || phase.load(std::memory_order_relaxed) != 1,
                     "a thread that came late is not armed");
      }
      collected::end_thread();
    }
  };
  collected::thread one(work);
  collected::thread two(work);
  the_mutators.for_each_excluded(armed_bits::marking, [](mutator&) {});
  phase.store(1, std::memory_order_release);
  the_mutators.for_each_excluded(armed_bits::marking, [](mutator&) {});
  phase.store(2, std::memory_order_release);
  the_mutators.for_each_excluded(0, [](mutator&) {});
  one.join();
  two.join();
  model::check(the_mutators.count() == 0, "a thread that has ended is still known");
}

/// A thread that forks, which may use the heap itself, and one that collects.
void forking() {
  shared s;
  const auto work = [&] { go_in(s, 2); };
  collected::thread one(work);
  collected::thread two(work);
  model::thread collector([] { the_mutators.for_each_excluded(0, [](mutator&) {}); });
  for (int i = 0; i != 2; ++i) {
    the_mutators.stop_all();
    int sum = 0;
    for (const auto& v : s.values) sum += v;
    the_mutators.go_on();
    model::check(sum <= 4, "what a child sees was never so");
  }
  collector.join();
  one.join();
  two.join();
}

template <class F>
void right(F f) {
  model::expect_ok({.executions = 6'000}, f);
}
template <class F>
void wrong(model::plant p, F f, std::uint64_t executions = 60'000) {
  model::expect_bug({.executions = executions, .planted = p}, f);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(one_thread) { right(excluded<1, 3, 3>); }
BOOST_AUTO_TEST_CASE(two_threads) { right(excluded<2, 2, 3>); }
BOOST_AUTO_TEST_CASE(threads_come_and_go) { right(coming); }
BOOST_AUTO_TEST_CASE(a_thread_forks) { right(forking); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(closes_without_barrier) { wrong(model::plant::gc_closes_without_barrier, excluded<1, 3, 3>); }
BOOST_AUTO_TEST_CASE(awaits_nobody) { wrong(model::plant::gc_awaits_nobody, excluded<1, 3, 3>); }
BOOST_AUTO_TEST_CASE(fork_awaits_nobody) { wrong(model::plant::gc_awaits_nobody, forking); }
BOOST_AUTO_TEST_CASE(awaits_relaxed) { wrong(model::plant::gc_awaits_relaxed, excluded<1, 3, 3>); }
BOOST_AUTO_TEST_CASE(leaves_relaxed) { wrong(model::plant::gc_leaves_relaxed, excluded<1, 3, 3>); }
BOOST_AUTO_TEST_CASE(opens_relaxed) { wrong(model::plant::gc_opens_relaxed, excluded<1, 3, 3>); }
BOOST_AUTO_TEST_CASE(enters_late) { wrong(model::plant::gc_enters_late, excluded<1, 3, 3>); }
BOOST_AUTO_TEST_CASE(open_wakes_nobody) { wrong(model::plant::gc_open_wakes_nobody, excluded<1, 3, 3>); }
BOOST_AUTO_TEST_CASE(open_looks_early) { wrong(model::plant::gc_open_looks_early, excluded<1, 3, 3>); }
BOOST_AUTO_TEST_SUITE_END()
