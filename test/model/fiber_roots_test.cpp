// SPDX-License-Identifier: BSL-1.0
//
// A collector's thread that scans the stacks of fibers while machines run them (runtime/src/scan_mark.hpp,
// fiber_roots.cpp). A fiber carries a record in its closure, with data that it changes whenever it runs, and once more
// when it is all but off its stack; the scan reads them, so that the explorer sees a race if the two meet.
#include <boost/test/unit_test.hpp>
#include <utility>

#include "heddle/detail/fiber_roots.hpp"
#include "heddle/detail/wait.hpp"
#include "heddle/fiber.hpp"
#include "heddle/this_fiber.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "runtimes.hpp"
#include "scheduler.hpp"

namespace {

namespace platform = heddle::detail::platform;
using runtimes::nothing_left;
using runtimes::warm_up;

struct warm_up_pool : warm_up {
  warm_up_pool() { heddle::detail::fiber_pool::instance(); }
};
BOOST_TEST_GLOBAL_FIXTURE(warm_up_pool);

constexpr std::uintptr_t tag = 0x7A6'7A6'7A6'7A6;

struct record {
  model::data<int> turns = 0;
};

/// What a closure begins with.
struct carried {
  std::uintptr_t mark = tag;
  record* of = nullptr;
};

/// Looks into closures only: on stacks there may be copies that mean nothing.
class reader final : public heddle::detail::word_visitor {
 public:
  void words(const void* from, const void* to) noexcept override {
    const auto* const w = static_cast<const std::uintptr_t*>(from);
    if (static_cast<const char*>(to) - static_cast<const char*>(from) >
            std::ptrdiff_t{heddle::detail::inline_closure} ||
        w[0] != tag || w[1] == 0)
      return;
    ++found;
    (void)reinterpret_cast<record*>(w[1])->turns.get();
  }
  int found = 0;
};

/// The collector scans what is suspended, at most so many times. Returns whether all has been scanned.
bool scan(reader& r, int passes, int firm_from = 1) {
  heddle::detail::fiber_roots roots(r);
  for (int i = 0; i != passes; ++i)
    if (roots.scan_suspended(i >= firm_from)) return true;
  return false;
}

heddle::options with(unsigned procs) { return runtimes::with(procs, false); }

// --- fibers that park and are woken ------------------------------------------------------------------------------

struct sleeper {
  record& r;
  heddle::detail::waiter w{};
  platform::atomic<int> asleep{0};

  void sleep() {
    w.park(
        [](void* self) {
          auto& s = *static_cast<sleeper*>(self);
          s.r.turns = s.r.turns + 1;  // as the machine saves the fiber's registers
          s.asleep.store(1, std::memory_order_release);
        },
        this);
  }
  void wake() {
    while (asleep.load(std::memory_order_acquire) == 0) heddle::this_fiber::yield();
    w.wake();
  }
};

template <unsigned Procs>
void parks() {
  record r;
  reader found;
  {
    model::thread collector([&] { scan(found, 2); });
    heddle::run(
        [&] {
          platform::atomic<sleeper*> there{nullptr};
          auto f = heddle::spawn([c = carried{tag, &r}, &there] {
            for (int i = 0; i != 2; ++i) {
              sleeper s{*c.of};
              there.store(&s, std::memory_order_release);
              c.of->turns = c.of->turns + 1;
              s.sleep();
              c.of->turns = c.of->turns + 1;
            }
          });
          for (int i = 0; i != 2; ++i) {
            sleeper* s = nullptr;
            while ((s = there.exchange(nullptr, std::memory_order_acq_rel)) == nullptr) heddle::this_fiber::yield();
            s->wake();
          }
          f.join();
        },
        with(Procs));
  }
  nothing_left();
}

template <unsigned Procs>
void yields() {
  record a;
  record b;
  reader found;
  {
    model::thread collector([&] { scan(found, 2); });
    heddle::run(
        [&] {
          const auto turn = [](record& r) {
            return [c = carried{tag, &r}] {
              for (int i = 0; i != 3; ++i) {
                c.of->turns = c.of->turns + 1;
                heddle::this_fiber::yield();
              }
            };
          };
          auto f = heddle::spawn(turn(a));
          auto g = heddle::spawn(turn(b));
          f.join();
          g.join();
        },
        with(Procs));
  }
  nothing_left();
}

// --- fibers that hand on what they have, and end -------------------------------------------------------------------

struct relay {
  carried c;
  int left;
  void operator()() {
    c.of->turns = c.of->turns + 1;
    heddle::this_fiber::yield();
    record* const of = std::exchange(c.of, nullptr);
    if (left != 0) heddle::go(relay{{tag, of}, left - 1});
  }
};

/// Whoever ends up with the record: it has been found, if the collector says that all has been scanned.
template <unsigned Procs>
void handed_on() {
  record r;
  reader found;
  bool all = false;
  platform::atomic<int> begun{0};
  {
    model::thread collector([&] {
      while (begun.load(std::memory_order_acquire) == 0) platform::cpu_relax();
      all = scan(found, 4, 4);
    });
    heddle::run(
        [&] {
          carried kept{tag, &r};
          begun.store(1, std::memory_order_release);
          // So that the record is not always with the fiber that runs.
          heddle::go([] {
            for (int i = 0; i != 12; ++i) heddle::this_fiber::yield();
          });
          heddle::go(relay{std::exchange(kept, carried{0, nullptr}), 5});
        },
        with(Procs));
  }
  // Handed on to the last one, nothing is left of it: only what was found before counts.
  model::check(!all || found.found != 0 || r.turns.get() == 6, "an address was overlooked");
  nothing_left();
}

model::options by_chance(std::uint64_t executions) { return runtimes::by_chance_times(executions); }

template <class F>
void right(F f) {
  model::expect_ok(by_chance(3000), f);
}
template <class F>
void wrong(model::plant p, F f, std::uint64_t executions = 60'000) {
  model::options o = by_chance(executions);
  o.planted = p;
  // Without running the seed again: what a stack that is read too early holds differs from run to run.
  const model::result r = model::explore(o, f);
  BOOST_TEST_MESSAGE(r.executions << " executions, finds: " << r.message.substr(0, r.message.find('\n')));
  BOOST_CHECK_MESSAGE(r.failed, "the bug was not found in " << r.executions << " executions");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(parking) { right(parks<2>); }
BOOST_AUTO_TEST_CASE(parking_on_one) { right(parks<1>); }
BOOST_AUTO_TEST_CASE(yielding) { right(yields<2>); }
BOOST_AUTO_TEST_CASE(yielding_on_one) { right(yields<1>); }
BOOST_AUTO_TEST_CASE(handing_on) { right(handed_on<2>); }
BOOST_AUTO_TEST_CASE(handing_on_on_one) { right(handed_on<1>); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(claims_without_barrier) { wrong(model::plant::claims_without_barrier, parks<2>); }
BOOST_AUTO_TEST_CASE(resumes_while_scanned) { wrong(model::plant::resumes_while_scanned, yields<2>); }
BOOST_AUTO_TEST_CASE(scans_without_claim) { wrong(model::plant::scans_without_claim, yields<2>); }
BOOST_AUTO_TEST_CASE(scans_whatever_it_does) { wrong(model::plant::scans_whatever_it_does, yields<2>); }
BOOST_AUTO_TEST_CASE(departures_not_awaited) { wrong(model::plant::departures_not_awaited, parks<2>); }
BOOST_AUTO_TEST_CASE(scan_ends_relaxed) { wrong(model::plant::scan_ends_relaxed, yields<2>); }
BOOST_AUTO_TEST_SUITE_END()
