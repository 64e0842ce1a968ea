// SPDX-License-Identifier: BSL-1.0
//
// What the explorer does besides memory: schedules, parking, time, exceptions, stacks, seeds, and
// how it reports.
#include <boost/context/detail/fcontext.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "model/data.hpp"
#include "model/expect.hpp"

namespace platform = heddle::detail::platform;
using platform::atomic;
using std::memory_order_acq_rel;
using std::memory_order_acquire;
using std::memory_order_relaxed;
using std::memory_order_release;

namespace {

constexpr model::options all{.strategy = model::strategy::exhaustive, .executions = 1'000'000};
constexpr model::options some{.executions = 10'000};
constexpr model::options in_process{.strategy = model::strategy::exhaustive, .executions = 1'000'000, .isolate = false};

void lose_an_increment() {
  atomic<int> x{0};
  {
    const auto add = [&] { x.store(x.load(memory_order_relaxed) + 1, memory_order_relaxed); };
    model::thread one(add);
    model::thread two(add);
  }
  model::check(x.load(memory_order_relaxed) == 2, "an increment was lost");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedules)

BOOST_AUTO_TEST_CASE(every_strategy_finds_a_lost_increment) {
  for (const auto strategy :
       {model::strategy::random, model::strategy::pct, model::strategy::mixed, model::strategy::exhaustive})
    model::expect_bug({.strategy = strategy, .executions = 1000, .weak_memory = false}, lose_an_increment,
                      "an increment was lost");
}

/// Two threads of n stores each interleave in C(2n, n) ways.
BOOST_AUTO_TEST_CASE(exhaustive_tries_every_interleaving) {
  const auto orders = [](unsigned preemptions) {
    std::set<std::vector<int>> seen;
    model::options o = in_process;
    o.preemptions = preemptions;
    const model::result r = model::explore(o, [&] {
      std::vector<int> order;
      atomic<int> x{0};
      {
        const auto work = [&](int me) {
          for (int i = 0; i < 2; ++i) {
            x.store(me, memory_order_relaxed);
            order.push_back(me);
          }
        };
        model::thread one([&] { work(1); });
        model::thread two([&] { work(2); });
      }
      seen.insert(order);
    });
    BOOST_CHECK(r.complete && !r.failed);
    return seen.size();
  };
  BOOST_CHECK_EQUAL(orders(10), 6U);
  BOOST_CHECK_EQUAL(orders(0), 2U);  // a switch where one ends only
}

BOOST_AUTO_TEST_CASE(exhaustive_counts_the_executions_of_a_tiny_program) {
  model::options o = in_process;
  o.preemptions = 0;
  const auto r = model::explore(o, [] {
    atomic<int> x{0};
    platform::thread t([](void* p) { static_cast<atomic<int>*>(p)->load(memory_order_relaxed); }, &x, "reader");
    x.store(1, memory_order_relaxed);
    t.join();
  });
  // No preemption: main stores and blocks in join; the reader then reads 1, or the 0 that it may
  // still see.
  BOOST_CHECK_EQUAL(r.executions, 2U);
  BOOST_CHECK(r.complete);
}

BOOST_AUTO_TEST_CASE(a_seed_leads_to_the_same_execution) {
  for (const auto strategy : {model::strategy::random, model::strategy::pct, model::strategy::exhaustive}) {
    const model::options o{.strategy = strategy, .executions = 10'000, .seed = 7};
    const auto first = model::explore(o, lose_an_increment);
    BOOST_REQUIRE(first.failed);
    const auto again = model::replay(o, first.seed, lose_an_increment);
    BOOST_CHECK(again.failed);
    BOOST_CHECK_EQUAL(again.executions, 1U);
    BOOST_CHECK_EQUAL(again.trace, first.trace);
    setenv("HEDDLE_MODEL", first.seed.substr(13).c_str(), 1);
    const auto by_environment = model::explore({}, lose_an_increment);
    unsetenv("HEDDLE_MODEL");
    BOOST_CHECK_EQUAL(by_environment.trace, first.trace);
  }
}

BOOST_AUTO_TEST_CASE(other_seeds_lead_to_other_executions) {
  std::set<std::string> traces;
  for (std::uint64_t seed = 0; seed < 8; ++seed) traces.insert(model::explore({.seed = seed}, lose_an_increment).trace);
  BOOST_CHECK_GT(traces.size(), 2U);
}

BOOST_AUTO_TEST_CASE(a_program_that_is_not_deterministic_is_told_so) {
  model::options o = in_process;
  int executions = 0;
  o.isolate = true;
  const auto r = model::explore(o, [&] {
    atomic<int> x{0};
    model::thread one([&] { x.store(1, memory_order_relaxed); });
    if (++executions % 2 == 0) model::thread two([&] { x.store(2, memory_order_relaxed); });
    x.store(3, memory_order_relaxed);
  });
  BOOST_CHECK(r.failed);
  BOOST_CHECK_MESSAGE(r.message.find("not deterministic") != std::string::npos, r.message);
}

BOOST_AUTO_TEST_CASE(a_million_scheduling_points_a_second) {
  const auto r = model::expect_ok({.executions = 20'000}, [] {
    atomic<int> x{0};
    const auto add = [&] {
      for (int i = 0; i < 10; ++i) x.fetch_add(1, memory_order_acq_rel);
    };
    model::thread one(add);
    model::thread two(add);
    add();
  });
  BOOST_TEST_MESSAGE(static_cast<double>(r.steps) / r.seconds << " scheduling points a second");
  BOOST_WARN_GT(static_cast<double>(r.steps) / r.seconds, 1e6);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(failures)

BOOST_AUTO_TEST_CASE(a_deadlock_names_the_threads) {
  const auto r = model::expect_bug(
      some,
      [] {
        atomic<std::uint32_t> word{0};
        model::thread sleeper(
            [&] {
              while (word.load(memory_order_relaxed) == 0) platform::futex_wait(word, 0);
            },
            "sleeper");
      },
      "deadlock");
  BOOST_CHECK(r.message.find("sleeper: in futex_wait on #1") != std::string::npos);
  BOOST_CHECK(r.message.find("main: joining sleeper") != std::string::npos);
}
BOOST_AUTO_TEST_CASE(lock_order) {
  model::expect_bug(
      all,
      [] {
        atomic<std::uint32_t> a{0}, b{0};
        const auto lock = [](atomic<std::uint32_t>& l) {
          while (l.exchange(1, memory_order_acquire) != 0) platform::futex_wait(l, 1);
        };
        const auto unlock = [](atomic<std::uint32_t>& l) {
          l.store(0, memory_order_release);
          platform::futex_wake(l, 1);
        };
        model::thread one([&] {
          lock(a);
          lock(b);
          unlock(b);
          unlock(a);
        });
        model::thread two([&] {
          lock(b);
          lock(a);
          unlock(a);
          unlock(b);
        });
      },
      "deadlock");
}
BOOST_AUTO_TEST_CASE(a_livelock_is_reported) {
  model::expect_bug(
      {.executions = 10, .max_steps = 1000},
      [] {
        atomic<int> x{0};
        while (x.load(memory_order_relaxed) == 0) platform::cpu_relax();
      },
      "livelock");
}
BOOST_AUTO_TEST_CASE(a_thread_not_joined_is_reported) {
  model::expect_bug(
      some, [] { platform::thread([](void*) {}, nullptr, "forgotten"); }, "not joined");
}
BOOST_AUTO_TEST_CASE(a_destroyed_atomic_is_reported) {
  model::expect_bug(
      all,
      [] {
        alignas(8) static unsigned char place[sizeof(atomic<int>)];
        auto* x = new (place) atomic<int>{0};
        model::thread user([=] { x->store(1, memory_order_relaxed); });
        x->~atomic();
      },
      "destroyed atomic");
}
BOOST_AUTO_TEST_CASE(publishing_an_atomic_without_release_is_reported) {
  const auto program = [](std::memory_order order) {
    return [=] {
      atomic<atomic<int>*> where{nullptr};
      atomic<int> what{1};
      model::thread reader([&] {
        if (auto* p = where.load(memory_order_acquire)) model::check(p->load(memory_order_relaxed) == 2, "unmade");
      });
      auto* fresh = new atomic<int>{2};
      where.store(fresh, order);
      reader.join();
      delete fresh;
    };
  };
  model::expect_bug(all, program(memory_order_relaxed), "construction does not happen before");
  model::expect_ok(all, program(memory_order_release));
}
BOOST_AUTO_TEST_CASE(unwritten_data_is_reported) {
  model::expect_bug(
      some,
      [] {
        model::data<int> x;
        (void)x.get();
      },
      "before it was written");
}
/// A variable of a static object, whose value is there when an execution begins.
BOOST_AUTO_TEST_CASE(use_in_turns_is_checked) {
  static heddle::detail::in_turns<int> x{0};
  const auto program = [](std::memory_order order) {
    return [order] {
      atomic<int> turn{0};
      model::thread other([&] {
        x = x + 1;
        turn.store(1, order);
      });
      while (turn.load(std::memory_order_acquire) == 0) heddle::detail::platform::yield_thread();
      x = x + 1;
      other.join();
    };
  };
  model::expect_ok(some, program(std::memory_order_release));
  model::expect_bug(some, program(std::memory_order_relaxed), "data race");
}
BOOST_AUTO_TEST_CASE(a_crash_an_abort_and_an_exit_are_failures_with_a_seed) {
  model::expect_bug(
      some, [] { *static_cast<volatile int*>(nullptr) = 1; }, "Segmentation fault");
  const auto r = model::expect_bug(
      some,
      [] {
        fputs("the reason\n", stderr);
        std::abort();
      },
      "Aborted");
  BOOST_CHECK(r.trace.find("the reason") != std::string::npos);
  const auto exited = model::explore(some, [] { std::_Exit(3); });
  BOOST_CHECK(exited.failed && exited.message.find("status 3") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(parking)

/// A thread that parks once: the waker stores, then looks whether anybody sleeps.
template <class Park>
auto park_once(Park park) {
  return [=] {
    atomic<std::uint32_t> word{0};
    model::data<int> value{0};
    model::thread sleeper([&] {
      park(word);
      model::check(value == 1, "woken too early");
    });
    value = 1;
    word.store(1, memory_order_release);
    platform::futex_wake(word, 1);
  };
}

BOOST_AUTO_TEST_CASE(a_loop_around_futex_wait_is_right) {
  const auto program = park_once([](atomic<std::uint32_t>& word) {
    while (word.load(memory_order_acquire) == 0) platform::futex_wait(word, 0);
  });
  BOOST_CHECK(model::expect_ok(all, program).complete);
  model::expect_ok(some, program);
}
BOOST_AUTO_TEST_CASE(a_missing_loop_takes_a_spurious_wakeup_for_a_wake) {
  const auto program = park_once([](atomic<std::uint32_t>& word) {
    if (word.load(memory_order_acquire) == 0) platform::futex_wait(word, 0);
    word.load(memory_order_acquire);
  });
  model::expect_bug(all, program, "data race");
  model::expect_bug(some, program, "data race");
  model::options none = all;
  none.spurious_wakes = 0;
  none.stale_reads = 0;
  BOOST_CHECK(model::expect_ok(none, program).complete);
}
BOOST_AUTO_TEST_CASE(a_wake_between_the_look_and_the_sleep_is_lost) {
  const auto program = [] {
    atomic<std::uint32_t> ready{0}, word{0};
    model::thread sleeper([&] {
      while (ready.load(memory_order_acquire) == 0) platform::futex_wait(word, 0);  // looks at another word
    });
    ready.store(1, memory_order_release);
    platform::futex_wake(word, 1);
  };
  model::expect_bug(all, program, "deadlock");
  model::expect_bug(some, program, "deadlock");
}
BOOST_AUTO_TEST_CASE(a_wake_only_if_somebody_sleeps_needs_fences) {
  const auto program = [](bool fenced) {
    return [=] {
      atomic<std::uint32_t> word{0}, sleepers{0};
      const auto fence = [=] {
        if (fenced) platform::fence(std::memory_order_seq_cst);
      };
      model::thread sleeper([&] {
        sleepers.store(1, memory_order_relaxed);
        fence();
        while (word.load(memory_order_acquire) == 0) platform::futex_wait(word, 0);
      });
      word.store(1, memory_order_release);
      fence();
      if (sleepers.load(memory_order_relaxed) != 0) platform::futex_wake(word, 1);
    };
  };
  model::expect_bug(all, program(false), "deadlock");
  model::expect_bug(some, program(false), "deadlock");
  BOOST_CHECK(model::expect_ok(all, program(true)).complete);
}
BOOST_AUTO_TEST_CASE(one_wake_wakes_one) {
  model::expect_bug(
      some,
      [] {
        atomic<std::uint32_t> word{0};
        const auto sleep = [&] {
          while (word.load(memory_order_acquire) == 0) platform::futex_wait(word, 0);
        };
        model::thread one(sleep);
        model::thread two(sleep);
        word.store(1, memory_order_release);
        platform::futex_wake(word, 1);
      },
      "deadlock");
}
BOOST_AUTO_TEST_CASE(a_weak_compare_exchange_may_fail_for_no_reason) {
  const auto program = [](bool weak) {
    return [=] {
      atomic<int> x{0};
      int expected = 0;
      const bool done = weak ? x.compare_exchange_weak(expected, 1, memory_order_acq_rel, memory_order_relaxed)
                             : x.compare_exchange_strong(expected, 1, memory_order_acq_rel, memory_order_relaxed);
      model::check(done, "it failed");
    };
  };
  model::expect_bug(all, program(true), "it failed");
  model::expect_bug(some, program(true), "it failed");
  BOOST_CHECK(model::expect_ok(all, program(false)).complete);
  model::expect_ok(all, [] {
    atomic<int> x{0};
    int expected = 0;
    while (!x.compare_exchange_weak(expected, 1, memory_order_acq_rel, memory_order_relaxed)) {
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(virtual_time)

BOOST_AUTO_TEST_CASE(sleepers_return_in_the_order_of_their_deadlines) {
  model::expect_ok(some, [] {
    atomic<std::uint32_t> never{0};
    const std::int64_t start = platform::now();
    std::vector<int> order;
    {
      const auto sleep = [&](int ms) {
        const std::int64_t until = start + ms * 1'000'000LL;
        while (platform::now() < until) platform::futex_wait(never, 0, until);
        order.push_back(ms);
      };
      model::thread late([&] { sleep(3000); });
      model::thread early([&] { sleep(1); });
      model::thread middle([&] { sleep(50); });
    }
    model::check(order == std::vector<int>{1, 50, 3000}, "out of order");
    model::check(platform::now() - start < 3'100'000'000LL, "time ran away");
  });
}
BOOST_AUTO_TEST_CASE(a_timeout_may_race_with_a_wake) {
  const auto program = [] {
    atomic<std::uint32_t> word{0};
    const std::int64_t deadline = platform::now() + 1'000'000'000;
    bool timed_out = false;
    {
      model::thread sleeper([&] {
        while (word.load(memory_order_acquire) == 0 && !timed_out) {
          platform::futex_wait(word, 0, deadline);
          timed_out = platform::now() >= deadline;
        }
      });
      word.store(1, memory_order_release);
      platform::futex_wake(word, 1);
    }
    model::check(!timed_out, "timed out");
  };
  model::expect_ok(some, program);
  model::options o = some;
  o.early_timeouts = 1;
  model::expect_bug(o, program, "timed out");
  o = all;
  o.early_timeouts = 1;
  model::expect_bug(o, program, "timed out");
}
BOOST_AUTO_TEST_CASE(one_who_spins_on_the_clock_gets_on) {
  model::expect_ok(some, [] {
    const std::int64_t until = platform::now() + 20'000;
    while (platform::now() < until) platform::cpu_relax();
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(threads)

BOOST_AUTO_TEST_CASE(exceptions_belong_to_a_thread) {
  model::expect_ok(some, [] {
    const auto work = [](int me) {
      try {
        throw me;
      } catch (int mine) {
        platform::preempt_point();
        try {
          throw;
        } catch (int again) {
          model::check(mine == me && again == me, "another thread's exception");
        }
        platform::preempt_point();
      }
      model::check(std::uncaught_exceptions() == 0, "uncaught");
    };
    model::thread one([&] { work(1); });
    model::thread two([&] { work(2); });
    work(3);
  });
}
BOOST_AUTO_TEST_CASE(each_has_a_slot) {
  model::expect_ok(some, [] {
    const auto work = [](int* me) {
      model::check(platform::thread_slot() == nullptr, "not empty");
      platform::set_thread_slot(me);
      platform::preempt_point();
      model::check(platform::thread_slot() == me, "another thread's");
    };
    int a, b;
    model::thread one([&] { work(&a); });
    model::thread two([&] { work(&b); });
  });
}
BOOST_AUTO_TEST_CASE(a_start_may_fail) {
  model::options o = some;
  o.thread_failures = 1;
  model::expect_bug(
      o,
      [] {
        try {
          platform::thread([](void*) {}, nullptr, "one").join();
        } catch (const std::system_error&) {
          model::fail("refused");
        }
      },
      "refused");
}

/// The program may switch stacks itself, and go on with them on another thread.
BOOST_AUTO_TEST_CASE(fibers_may_move_between_threads) {
  namespace context = boost::context::detail;
  model::expect_ok(some, [] {
    static std::vector<char> stack(64 * 1024);
    struct baton {
      atomic<int> turn{0};
      context::fcontext_t fiber = nullptr;
      model::data<int> steps{0};
    } b;
    b.fiber = context::make_fcontext(stack.data() + stack.size(), stack.size(), [](context::transfer_t from) {
      auto* shared = static_cast<baton*>(from.data);
      for (;;) {
        shared->steps = shared->steps + 1;
        platform::preempt_point();
        from = context::jump_fcontext(from.fctx, nullptr);
      }
    });
    const auto run = [&](int me) {
      for (int i = 0; i < 2; ++i) {
        while (b.turn.load(memory_order_acquire) != me) platform::cpu_relax();
        b.fiber = context::jump_fcontext(b.fiber, &b).fctx;
        b.turn.store(1 - me, memory_order_release);
      }
    };
    {
      model::thread one([&] { run(0); });
      model::thread two([&] { run(1); });
    }
    model::check(b.steps == 4, "a step is missing");
  });
}

BOOST_AUTO_TEST_SUITE_END()
