// SPDX-License-Identifier: BSL-1.0
//
// How the processor rounds in a fiber: the words that it begins with, keeps, and gives back. Built twice, once for each
// kind of switch: HEDDLE_FAST_SWITCH says which.
#include <immintrin.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cfenv>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include "heddle/detail/wait.hpp"
#include "heddle/fiber.hpp"
#include "heddle/large_stack.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;

constexpr bool kept_over_suspensions = HEDDLE_FAST_SWITCH == 0;

/// All control words, the flags of SSE too.
struct words {
  std::uint32_t sse = 0;
  std::uint16_t x87 = 0;

  static words here() {
    words now;
    asm volatile("stmxcsr %0" : "=m"(now.sse));
    asm volatile("fnstcw %0" : "=m"(now.x87));
    return now;
  }
  void set() const {
    asm volatile("ldmxcsr %0" : : "m"(sse));
    asm volatile("fldcw %0" : : "m"(x87));
  }
  friend bool operator==(const words&, const words&) = default;
  friend std::ostream& operator<<(std::ostream& out, const words& w) {
    return out << std::hex << w.sse << '/' << w.x87 << std::dec;
  }
};

constexpr words usual{0x1f80, 0x37f};
// Each differs from the usual words, and from the others, in one setting.
constexpr std::array<words, 8> strange{{
    {0x3f80, 0x37f},  // SSE rounds down
    {0x9f80, 0x37f},  // flush to zero
    {0x1fc0, 0x37f},  // denormals are zero
    {0x1e80, 0x37f},  // division by zero traps... once
    {0x1f84, 0x37f},  // has divided by zero
    {0x1f80, 0xb7f},  // the x87 unit rounds up
    {0x1f80, 0x07f},  // has the precision of float
    {0x1f80, 0x37b},  // traps
}};

/// While it lives fibers have the usual words; afterwards the test has them again.
struct at_usual : heddle::testing::leak_check {
  at_usual() { usual.set(); }
  ~at_usual() { usual.set(); }
};

/// Lets fibers that are ready run to their end, on one processor.
void let_others_run() {
  for (int i = 0; i != 8; ++i) heddle::this_fiber::yield();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(control_words, at_usual)

BOOST_AUTO_TEST_CASE(the_first_fiber_begins_with_those_of_runs_caller) {
  for (const words& w : strange) {
    w.set();
    words seen, after;
    heddle::run([&] { seen = words::here(); });
    after = words::here();
    usual.set();
    BOOST_TEST(seen == w);
    BOOST_TEST(after == w);
  }
}

BOOST_AUTO_TEST_CASE(a_fiber_begins_with_those_of_its_maker) {
  heddle::run(
      [] {
        for (const words& w : strange) {
          words joined, by_handle, forgotten, named;
          w.set();
          auto first = heddle::spawn([&] { by_handle = words::here(); });
          heddle::go([&] { forgotten = words::here(); });
          heddle::go({.name = "named", .stack_size = std::size_t{32} << 10}, [&] { named = words::here(); });
          usual.set();  // at the moment when it is made, not when it begins
          let_others_run();
          first.join();
          w.set();
          auto second = heddle::spawn([&] { joined = words::here(); });
          usual.set();
          second.join();  // lends its stack
          const words mine = words::here();
          usual.set();
          BOOST_TEST(mine == usual);
          BOOST_TEST(joined == w);
          BOOST_TEST(by_handle == w);
          BOOST_TEST(forgotten == w);
          BOOST_TEST(named == w);
        }
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_CASE(so_does_one_that_a_plain_thread_makes) {
  for (const words& w : strange) {
    words seen, after;
    std::thread([&] {
      w.set();
      heddle::spawn([&] { seen = words::here(); }).join();
      after = words::here();
    }).join();
    BOOST_TEST(seen == w);
    BOOST_TEST(after == w);
    heddle::shutdown();
  }
}

BOOST_AUTO_TEST_CASE(what_a_fiber_leaves_behind_reaches_no_other) {
  heddle::run(
      [] {
        for (const words& w : strange) {
          std::array<words, 6> seen;
          // One after another on the same stack, without a switch; then on that stack again, after it was free.
          heddle::go([w] { w.set(); });
          heddle::go([&] { seen[0] = words::here(); });
          heddle::go([w] { w.set(); });
          let_others_run();
          seen[1] = words::here();  // a fiber that was suspended meanwhile
          heddle::go([&] { seen[2] = words::here(); });
          let_others_run();
          heddle::spawn([w] { w.set(); }).join();
          seen[3] = words::here();  // the fiber that has lent its stack
          auto h = heddle::spawn([w] { w.set(); });
          let_others_run();
          h.join();
          seen[4] = words::here();
          try {
            heddle::spawn([w] {
              w.set();
              throw std::runtime_error("thrown with other words");
            }).join();
          } catch (const std::runtime_error&) {
            seen[5] = words::here();
          }
          usual.set();
          for (const words& s : seen) BOOST_TEST(s == usual);
        }
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_CASE(nor_the_machine_on_which_it_has_ended) {
  for (const words& w : strange) {
    heddle::run(
        [&] {
          // The last ready fiber ends: the machine sleeps, and resumes a fiber that was suspended before.
          heddle::go([w] { w.set(); });
          heddle::this_fiber::sleep_for(2ms);
          const words seen = words::here();
          usual.set();
          BOOST_TEST(seen == usual);
        },
        {.procs = 1});
  }
}

BOOST_AUTO_TEST_CASE(a_machine_that_a_fiber_makes_has_none_of_its_words) {
  // Two machines are busy while a fiber with other words wakes the first one, so it is resumed on a machine made for
  // it.
  for (const words& w : strange) {
    words seen;
    std::atomic<bool> busy{false}, resumed{false};
    std::atomic<heddle::detail::waiter*> parked{nullptr};
    heddle::run(
        [&] {
          heddle::go([&] {
            while (!busy || parked == nullptr) {
            }
            w.set();
            parked.load()->wake();
            while (!resumed) {
            }
            usual.set();
          });
          heddle::go([&] {
            busy = true;
            while (!resumed) {
            }
          });
          heddle::detail::waiter self;
          struct {
            std::atomic<heddle::detail::waiter*>& place;
            heddle::detail::waiter* self;
          } publish{parked, &self};
          self.park(
              [](void* arg) {
                static_cast<decltype(publish)*>(arg)->place = static_cast<decltype(publish)*>(arg)->self;
              },
              &publish);
          seen = words::here();
          resumed = true;
        },
        {.procs = 3});
    BOOST_TEST(seen == usual);
  }
}

BOOST_AUTO_TEST_CASE(they_stay_with_a_fiber_that_is_suspended, *boost::unit_test::enable_if<kept_over_suspensions>()) {
  std::atomic<int> wrong{0};
  heddle::run(
      [&] {
        std::vector<heddle::join_handle<void>> all;
        for (std::size_t i = 0; i != 4 * strange.size(); ++i)
          all.push_back(heddle::spawn([&, w = strange[i % strange.size()]] {
            w.set();
            for (int n = 0; n != 30; ++n) {
              switch (n % 5) {
                case 0: heddle::this_fiber::yield(); break;
                case 1: heddle::this_fiber::sleep_for(50us); break;
                case 2: heddle::spawn([] { usual.set(); }).join(); break;
                case 3: heddle::spawn([] { heddle::this_fiber::yield(); }).join(); break;
                default: heddle::on_large_stack([] { heddle::this_fiber::yield(); });
              }
              if (words::here() != w) ++wrong;
            }
            usual.set();
          }));
        for (auto& h : all) h.join();
        if (words::here() != usual) ++wrong;
      },
      {.procs = 2});
  BOOST_TEST(wrong == 0);
}

// The same by the functions that users call.
BOOST_AUTO_TEST_CASE(rounding_flags_and_denormals) {
  heddle::run(
      [] {
        std::feclearexcept(FE_ALL_EXCEPT);
        heddle::spawn([] {
          std::fesetround(FE_UPWARD);
          _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
          volatile double none = 0;
          volatile double infinite = 1 / none;
          (void)infinite;
          BOOST_TEST(std::fetestexcept(FE_DIVBYZERO) == FE_DIVBYZERO);
        }).join();
        BOOST_TEST(std::fegetround() == FE_TONEAREST);
        BOOST_TEST(_MM_GET_FLUSH_ZERO_MODE() == static_cast<unsigned>(_MM_FLUSH_ZERO_OFF));
        BOOST_TEST(std::fetestexcept(FE_ALL_EXCEPT) == 0);
        _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
        BOOST_TEST(heddle::spawn([] { return _MM_GET_FLUSH_ZERO_MODE(); }).join() ==
                   static_cast<unsigned>(_MM_FLUSH_ZERO_ON));
        _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_OFF);
      },
      {.procs = 1});
}

BOOST_AUTO_TEST_SUITE_END()
