// SPDX-License-Identifier: BSL-1.0
//
// Fibers past their slice yield at the next function that they enter.
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cerrno>
#include <cfenv>
#include <chrono>
#include <cmath>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "runtime/segmented/small_stacks.hpp"

using namespace std::chrono_literals;
using heddle::testing::deep;

BOOST_AUTO_TEST_SUITE(preemption)

[[gnu::noinline]] double works(double x) { return std::sqrt(x * x + 1) - 1e-9 * deep(3); }

BOOST_AUTO_TEST_CASE(a_loop_that_calls_a_function_yields) {
  for (const bool vectors : {false, true}) {
    std::atomic<bool> stop{false};
    std::chrono::steady_clock::duration waited{};
    double sum = 0;
    heddle::run(
        [&] {
          auto busy = heddle::spawn([&] {
            double local = 1;
            std::array<double, 8> lanes{1, 2, 3, 4, 5, 6, 7, 8};
            while (!stop.load(std::memory_order_relaxed)) {
              local = works(local);
              if (vectors)
                for (double& lane : lanes) lane = lane * 1.0000001 + local;
            }
            sum = local + lanes[3];
          });
          heddle::this_fiber::yield();  // busy runs, and has the only processor
          const auto begin = std::chrono::steady_clock::now();
          heddle::this_fiber::yield();
          waited = std::chrono::steady_clock::now() - begin;
          stop = true;
          busy.join();
        },
        {.procs = 1, .max_machines = 1, .preempt = true});
    BOOST_TEST(sum != 0);
    const double ms = std::chrono::duration<double, std::milli>(waited).count();
    BOOST_TEST_MESSAGE("the other fiber ran after " << ms << " ms");
  }
}

/// Whether a fiber that has had the only processor for a slice stands still while the next one has it: it has yielded,
/// and does not run on beside that one, though there would be a thread for it.
bool stands_still_after_its_slice() {
  bool stood = false;
  heddle::run(
      [&] {
        std::atomic<bool> stop{false};
        std::atomic<long> steps{0};
        auto busy = heddle::spawn([&] {
          while (!stop.load(std::memory_order_relaxed)) {
            (void)works(1);
            steps.fetch_add(1, std::memory_order_relaxed);
          }
        });
        heddle::this_fiber::yield();  // until its slice is over
        const long before = steps;
        for (const auto end = std::chrono::steady_clock::now() + 20ms; std::chrono::steady_clock::now() < end;) {
        }
        stood = before != 0 && steps == before;
        stop = true;
        busy.join();
      },
      {.procs = 1, .slice = 60ms, .preempt = true});
  return stood;
}

BOOST_AUTO_TEST_CASE(who_yields_does_not_run_on_beside_the_next) {
  // On a machine with other things to do the monitor may be late, and takes the processor.
  bool stood = false;
  for (int tries = 0; tries != 100 && !stood; ++tries) stood = stands_still_after_its_slice();
  BOOST_TEST(stood);
}

BOOST_AUTO_TEST_CASE(errno_stays_as_it_was) {
  int turns = 0;
  bool kept = true;
  heddle::run(
      [&] {
        std::atomic<bool> stop{false};
        auto busy = heddle::spawn([&] {
          errno = 77;
          while (!stop.load(std::memory_order_relaxed)) {
            (void)works(1);
            kept = kept && errno == 77;
          }
        });
        for (; turns != 5; ++turns) {
          errno = turns;
          heddle::this_fiber::yield();
        }
        stop = true;
        busy.join();
      },
      {.procs = 1, .max_machines = 1, .preempt = true});  // one thread, and so one errno
  BOOST_TEST(turns == 5);
  BOOST_TEST(kept);
}

BOOST_AUTO_TEST_CASE(rounding_stays_with_the_fiber) {  // with either kind of switch: the fiber has not asked for it
  int of_busy = FE_UPWARD;
  int of_other = FE_TONEAREST;
  heddle::run(
      [&] {
        std::atomic<bool> stop{false};
        auto busy = heddle::spawn([&] {
          std::fesetround(FE_UPWARD);
          while (!stop.load(std::memory_order_relaxed))
            if (deep(3) < 0 || std::fegetround() != FE_UPWARD) break;
          of_busy = std::fegetround();
        });
        for (int i = 0; i != 3; ++i) {
          heddle::this_fiber::yield();
          if (of_other == FE_TONEAREST) of_other = std::fegetround();
        }
        stop = true;
        busy.join();
      },
      {.procs = 1, .max_machines = 1, .preempt = true});
  BOOST_TEST(of_busy == FE_UPWARD);
  BOOST_TEST(of_other == FE_TONEAREST);
}

BOOST_AUTO_TEST_CASE(every_register_survives) {
  struct check {
    [[gnu::noinline]] static std::array<double, 8> step(std::array<double, 8> v, long& calls, double a, double b,
                                                        double c, double d) {
      ++calls;
      v[0] += a;
      v[1] += b;
      v[2] += c;
      v[3] += d;
      return v;
    }
  };
  heddle::run(
      [&] {
        std::vector<heddle::join_handle<bool>> all;
        for (int i = 0; i != 4; ++i)
          all.push_back(heddle::spawn([] {
            std::array<double, 8> v{};
            long calls = 0;
            const auto end = std::chrono::steady_clock::now() + 200ms;
            do {
              for (int k = 0; k != 1000; ++k) v = check::step(v, calls, 1, 2, 3, 4);
            } while (std::chrono::steady_clock::now() < end);
            const auto n = static_cast<double>(calls);
            return v[0] == n && v[1] == 2 * n && v[2] == 3 * n && v[3] == 4 * n && v[4] == 0;
          }));
        for (auto& one : all) BOOST_TEST(one.join());
      },
      {.procs = 1, .preempt = true});
}

BOOST_AUTO_TEST_CASE(not_under_a_lock_of_the_runtime) {
  struct slow {
    int value = 0;
    slow() = default;
    explicit slow(int v) : value(v) {}
    slow(slow&& other) noexcept : value(other.value) {
      for (int i = 0; i != 300; ++i) (void)works(i);
    }
    slow& operator=(slow&&) = default;
  };
  heddle::run(
      [] {
        heddle::channel<slow> c(4);
        std::vector<heddle::join_handle<void>> all;
        for (int k = 0; k != 4; ++k)
          all.push_back(heddle::spawn([&] {
            for (int i = 0; i != 2'000; ++i) c.send(slow(i));
          }));
        for (int k = 0; k != 4; ++k)
          all.push_back(heddle::spawn([&] {
            for (int i = 0; i != 2'000; ++i) (void)c.receive();
          }));
      },
      {.procs = 2, .slice = 1ms, .preempt = true});
}

[[gnu::noinline]] int has_a_frame_for_a_segment(int n) {
  volatile int frame[600];
  frame[n % 600] = n;
  return frame[n % 600];
}
BOOST_AUTO_TEST_CASE(on_the_boundary_of_a_segment) {
  std::atomic<long> sum{0};
  heddle::run(
      [&] {
        for (int k = 0; k != 6; ++k)
          heddle::go([&] {
            long mine = 0;
            for (int round = 0; round != 200; ++round) {
              for (int i = 0; i != 20'000; ++i) mine += has_a_frame_for_a_segment(1);
              sum += mine;
              mine = 0;
            }
          });
      },
      {.procs = 2, .slice = 1ms, .preempt = true});
  BOOST_TEST(sum == 6L * 200 * 20'000);
}

// --- what belongs to a thread ---------------------------------------------------------------------------------------

/// Whether the caller, which is past its slice while another fiber waits, yields: whether the other has run when
/// functions have been entered for long enough. On the only processor, which cannot be taken away.
bool lets_others_run(bool in_scope, bool preempt, bool waits_inside = false) {
  bool let = false;
  heddle::run(
      [&] {
        std::optional<heddle::no_preemption> stay;
        std::optional<heddle::no_preemption> nested;
        if (in_scope) {
          stay.emplace();
          nested.emplace();
          nested.reset();
        }
        if (waits_inside) heddle::this_fiber::sleep_for(1ms);
        std::atomic<bool> ran{false};
        auto other = heddle::spawn([&] { ran = true; });
        const auto end = std::chrono::steady_clock::now() + 150ms;
        while (std::chrono::steady_clock::now() < end && !ran) (void)works(1);
        let = ran;
        stay.reset();
        if (in_scope && preempt)  // it ends with the scope
          while (!ran) (void)works(1);
        other.join();
      },
      {.procs = 1, .max_machines = 1, .preempt = preempt});
  return let;
}

BOOST_AUTO_TEST_CASE(is_off_unless_asked_for) {
  BOOST_TEST(!heddle::options().preempt);
  BOOST_TEST(!lets_others_run(false, false));
  BOOST_TEST(lets_others_run(false, true));
}

BOOST_AUTO_TEST_CASE(not_in_a_scope_without) {
  BOOST_TEST(!lets_others_run(true, true));
  BOOST_TEST(!lets_others_run(true, true, true));  // the scope is the fiber's, not the thread's
}

BOOST_AUTO_TEST_CASE(a_scope_is_its_fibers_alone) {
  std::atomic<bool> ran{false};
  heddle::run(
      [&] {
        heddle::channel<int> never;
        heddle::go([&] {
          const heddle::no_preemption stay;
          (void)never.receive();  // leaves the thread to others
        });
        heddle::this_fiber::yield();
        auto other = heddle::spawn([&] { ran = true; });
        while (!ran) (void)works(1);
        never.close();
        other.join();
      },
      {.procs = 1, .max_machines = 1, .preempt = true});
  BOOST_TEST(ran);
}

/// Fibers hold the lock over many calls, longer than a slice.
template <class Lock, class Hold>
void held_over_calls(const heddle::options& o, bool in_scope = false) {
  Lock lock;
  long count = 0;
  heddle::run(
      [&] {
        for (int f = 0; f != 4; ++f)
          heddle::go([&] {
            for (int k = 0; k != 3; ++k) {
              std::optional<heddle::no_preemption> stay;
              if (in_scope) stay.emplace();
              const std::thread::id here = std::this_thread::get_id();
              Hold hold(lock);
              const long before = count;
              const auto end = std::chrono::steady_clock::now() + 5ms;
              while (std::chrono::steady_clock::now() < end) (void)works(1);
              BOOST_CHECK((std::this_thread::get_id() == here));
              BOOST_CHECK(count == before);
              count = before + 1;
            }
          });
      },
      o);
  BOOST_TEST(count == 12);
}

BOOST_AUTO_TEST_CASE(standard_locks_may_be_held_over_calls) {
  const heddle::options by_default{.procs = 2, .slice = 1ms};
  held_over_calls<std::recursive_mutex, std::lock_guard<std::recursive_mutex>>(by_default);
  held_over_calls<std::shared_mutex, std::unique_lock<std::shared_mutex>>(by_default);
  held_over_calls<std::timed_mutex, std::lock_guard<std::timed_mutex>>(by_default);
  const heddle::options preempting{.procs = 2, .slice = 1ms, .preempt = true};
  held_over_calls<std::recursive_mutex, std::lock_guard<std::recursive_mutex>>(preempting, true);
  held_over_calls<std::shared_mutex, std::unique_lock<std::shared_mutex>>(preempting, true);
}

BOOST_AUTO_TEST_SUITE_END()
