// SPDX-License-Identifier: BSL-1.0
//
// Mutexes that may be given up waiting for, with a deadline or a stop request, between plain threads; some with fibers
// of a whole runtime.
#include <boost/test/unit_test.hpp>
#include <mutex>
#include <optional>

#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/run.hpp"
#include "locks.hpp"

namespace {

using namespace locks;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

using heddle::timed_mutex;

/// One with a deadline, one or two who wait as long as it takes.
template <int Others>
void deadline_meets_unlock() {
  timed_mutex m;
  guarded g;
  const auto patient = [&] {
    const std::lock_guard hold(m);
    g.write();
  };
  {
    model::thread impatient([&] {
      if (!m.try_lock_for(soon)) return;
      g.write();
      m.unlock();
    });
    std::optional<model::thread<decltype(patient)>> other;
    if (Others > 1) other.emplace(patient);
    patient();
    patient();
  }
  model::check(m.try_lock(), "left locked");
  model::check(g.value == g.written, "an increment was lost");
  m.unlock();
}

/// Two may give up while a third must get its turn in the end.
void two_deadlines() {
  timed_mutex m;
  guarded g;
  const auto impatient = [&] {
    for (int i = 0; i != 2; ++i) {
      if (!m.try_lock_for(soon)) continue;
      g.write();
      m.unlock();
    }
  };
  {
    model::thread one(impatient);
    model::thread two(impatient);
    for (int i = 0; i != 2; ++i) {
      const std::lock_guard hold(m);
      g.write();
    }
  }
  model::check(m.try_lock(), "left locked");
  m.unlock();
}

/// One is woken to try, finds that another was faster, and gives up: it must not count as awake any longer.
void gives_up_awake() {
  heddle::mutex m;
  guarded g;
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  m.lock();
  model::thread stoppable([&] {
    if (m.lock(token)) m.unlock();
  });
  model::thread patient([&] {
    const std::lock_guard hold(m);
    g.write();
  });
  m.unlock();
  m.lock();
  stop.request_stop();
  g.write();
  m.unlock();
}

/// The only one that waits has waited for so long that it is to be given the mutex, and gives up then.
void gives_up_starving() {
  heddle::mutex m;
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  m.lock();
  {
    model::thread stoppable([&] {
      if (m.lock(token)) m.unlock();
    });
    m.unlock();
    m.lock();
    stop.request_stop();
    m.unlock();
  }
  model::check(m.try_lock(), "left locked");
  m.unlock();
}

/// The mutex goes as soon as one that gave up and the holder have left: nobody else knows of it.
void given_up_mutex_dies_early() {
  auto* m = new timed_mutex;
  heddle::detail::atomic<int> users{2};
  const auto work = [&](bool patient) {
    bool last = false;
    if (patient || m->try_lock_for(soon)) {
      if (patient) m->lock();
      last = users.fetch_sub(1, std::memory_order_acq_rel) == 1;
      m->unlock();
    } else {
      // It does not know whether the other has let go: it may be the last one only after another turn.
      m->lock();
      last = users.fetch_sub(1, std::memory_order_acq_rel) == 1;
      m->unlock();
    }
    if (last) delete m;
  };
  model::thread one([&] { work(false); });
  work(true);
}

template <unsigned Procs>
void fibers_with_deadlines() {
  timed_mutex m;
  guarded g;
  heddle::run(
      [&] {
        auto impatient = heddle::spawn([&] {
          if (!m.try_lock_for(soon)) return;
          g.write();
          m.unlock();
        });
        auto patient = heddle::spawn([&] {
          const std::lock_guard hold(m);
          g.write();
        });
        {
          const std::lock_guard hold(m);
          g.write();
        }
        impatient.join();
        patient.join();
      },
      {.procs = Procs, .monitor = false});
  model::check(g.value == g.written && g.written >= 2, "an increment was lost");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(deadline_two) { right(deadline_meets_unlock<1>); }
BOOST_AUTO_TEST_CASE(deadline_three) { right(deadline_meets_unlock<2>); }
BOOST_AUTO_TEST_CASE(deadlines) { right(two_deadlines); }
BOOST_AUTO_TEST_CASE(stop) { right(stop_meets_unlock<heddle::mutex>); }
BOOST_AUTO_TEST_CASE(stopped_awake) { right(gives_up_awake); }
BOOST_AUTO_TEST_CASE(stopped_starving) { right(gives_up_starving); }
BOOST_AUTO_TEST_CASE(stop_alone) { right(stop_alone_wakes<heddle::mutex>); }
BOOST_AUTO_TEST_CASE(destroyed_after_giving_up) { right(given_up_mutex_dies_early); }
BOOST_AUTO_TEST_CASE(fiber_deadline_one) { right(fibers, fibers_with_deadlines<1>); }
BOOST_AUTO_TEST_CASE(fiber_deadline_two) { right(fibers, fibers_with_deadlines<2>); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(leaver_keeps_woken) { wrong(model::plant::leaver_keeps_woken, gives_up_awake, "deadlock"); }
BOOST_AUTO_TEST_CASE(leaver_clears_queued) {
  wrong(model::plant::leaver_clears_queued, deadline_meets_unlock<2>, "deadlock");
}
BOOST_AUTO_TEST_CASE(leaver_keeps_starving) { wrong(model::plant::leaver_keeps_starving, gives_up_starving); }
BOOST_AUTO_TEST_CASE(leaver_stays_linked) { wrong(model::plant::leaver_stays_linked, two_deadlines); }
BOOST_AUTO_TEST_CASE(passed_over_stay_queued) { wrong(model::plant::passed_over_stay_queued, two_deadlines); }
BOOST_AUTO_TEST_SUITE_END()
