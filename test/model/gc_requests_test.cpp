// SPDX-License-Identifier: BSL-1.0
//
// Those who wait for cycles and the thread that goes through them (gc/src/cycle/requests.hpp); what is to be run
// because objects have died, and whoever runs it (gc/src/cycle/at_work.hpp).
#include <array>

#include "cycle/at_work.hpp"
#include "cycle/requests.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"

namespace {

namespace hd = heddle::detail;
using heddle::gc::detail::at_work;
using heddle::gc::detail::cycle_requests;

/// A cycle reads all that was written before it was asked for.
struct server {
  cycle_requests requests;
  hd::atomic<bool> ends{false};
  std::array<hd::atomic<int>, 3> written{};  ///< by each thread, before it asks
  std::array<hd::atomic<int>, 3> seen{};     ///< of those, by the last cycle

  void serve() {
    while (!ends.load(std::memory_order_acquire)) {
      requests.await_request();
      requests.begin_cycle();
      hd::platform::heavy_barrier();  // as the collector arms threads
      for (std::size_t i = 0; i != written.size(); ++i)
        seen[i].store(written[i].load(std::memory_order_relaxed), std::memory_order_relaxed);
      requests.end_cycle();
    }
  }
  void collect(std::size_t i, int value) {
    written[i].store(value, std::memory_order_relaxed);
    requests.wait_until(requests.next());
    model::check(seen[i].load(std::memory_order_relaxed) == value, "the cycle had begun before it was asked for");
  }
  void end() {
    ends.store(true, std::memory_order_release);
    requests.request();
  }
};

template <int Times>
void collects() {
  server s;
  model::thread serves([&] { s.serve(); });
  {
    model::thread one([&] {
      for (int i = 1; i <= Times; ++i) s.collect(1, i);
    });
    for (int i = 1; i <= Times; ++i) s.collect(2, i);
    one.join();
  }
  s.end();
  serves.join();
}

/// A request alone is enough, whatever comes together with it; and a wait for a cycle that may have ended.
void requests_alone() {
  server s;
  model::thread serves([&] { s.serve(); });
  {
    model::thread one([&] { s.requests.request(); });
    s.requests.wait_until(s.requests.present_or_next());
    s.collect(0, 1);
    one.join();
  }
  s.end();
  serves.join();
}

// --- what is due ----------------------------------------------------------------------------------------------------

struct due {
  at_work runners;
  hd::thread_mutex lock;
  int waiting = 0;              ///< under the lock
  model::data<int> running{0};  ///< of whoever runs, one at a time

  bool run_one() {
    {
      const hd::thread_lock hold(lock);
      if (waiting == 0) return false;
      --waiting;
    }
    running = running + 1;
    return true;
  }
  int left() {
    const hd::thread_lock hold(lock);
    return waiting;
  }
  void run() {
    runners.run([this] { return run_one(); }, [this] { return left() != 0; });
  }
  /// As a cycle does: one more is due, and if nobody is at it, the caller is.
  void add() {
    {
      const hd::thread_lock hold(lock);
      ++waiting;
    }
    if (runners.begin()) run();
  }
};

void runs_all() {
  due d;
  model::thread one([&] {
    d.add();
    d.add();
  });
  model::thread two([&] { d.add(); });
  d.add();
  one.join();
  two.join();
  model::check(d.left() == 0, "what was due is left alone");
}

template <class F>
void right(F f) {
  model::expect_ok({.executions = 8'000, .warm_up = true}, f);
}
template <class F>
void wrong(model::plant p, F f) {
  model::expect_bug({.executions = 60'000, .planted = p, .warm_up = true}, f);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(once) { right(collects<1>); }
BOOST_AUTO_TEST_CASE(twice) { right(collects<2>); }
BOOST_AUTO_TEST_CASE(alone) { right(requests_alone); }
BOOST_AUTO_TEST_CASE(all_that_is_due) { right(runs_all); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(request_wakes_nobody) { wrong(model::plant::gc_request_wakes_nobody, collects<1>); }
BOOST_AUTO_TEST_CASE(request_cleared_late) { wrong(model::plant::gc_request_cleared_late, collects<2>); }
BOOST_AUTO_TEST_CASE(woken_looks_not) { wrong(model::plant::gc_woken_looks_not, collects<2>); }
BOOST_AUTO_TEST_CASE(stops_without_look) { wrong(model::plant::gc_stops_without_look, runs_all); }
BOOST_AUTO_TEST_CASE(two_at_work) { wrong(model::plant::gc_two_at_work, runs_all); }
BOOST_AUTO_TEST_SUITE_END()
