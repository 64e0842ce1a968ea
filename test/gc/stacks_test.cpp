// SPDX-License-Identifier: BSL-1.0
//
// What is found on the stacks of fibers: words that are nowhere else.
#include "roots/stacks.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "gc/planted.hpp"
#include "heddle/heddle.hpp"

namespace {

using namespace heddle::gc::detail;
using namespace heddle::testing;
using namespace std::chrono_literals;

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_runs) {
  hidden_word h;
  std::size_t found = 1;
  as_collector([&] { found = times_found(h); });
  BOOST_TEST(found == 0u);
}

BOOST_AUTO_TEST_CASE(parked_fiber) {
  heddle::run(
      [] {
        hidden_word h;
        heddle::channel<int> go;
        auto f = heddle::spawn([&] { with_on_stack(h.reveal(), [&] { (void)go.receive(); }); });
        heddle::this_fiber::sleep_for(5ms);
        std::size_t found = 0;
        meanwhile([&] { found = times_found(h); });
        BOOST_TEST(found > 0u);
        go.send(1);
        f.join();
        meanwhile([&] { found = times_found(h); });
        BOOST_TEST(found == 0u);
      },
      processors(2));
}

BOOST_AUTO_TEST_CASE(runnable_fiber) {
  heddle::options one;
  one.procs = 1;
  heddle::run(
      [] {
        hidden_word h;
        std::atomic<bool> over{false};
        auto f = heddle::spawn([&] {
          with_on_stack(h.reveal(), [&] {
            while (!over.load()) heddle::this_fiber::yield();
          });
        });
        heddle::this_fiber::yield();
        heddle::this_fiber::yield();
        BOOST_TEST(times_found_meanwhile(h) > 0u);  // it does not run meanwhile
        over.store(true);
        f.join();
      },
      one);
}

// --- fibers that have not begun, that have ended, that lend their stack -----------------------------------------

BOOST_AUTO_TEST_CASE(fresh_fiber) {
  heddle::run(
      [] {
        hidden_word h;
        auto f = heddle::spawn([v = h.reveal()] { return v == 0; });
        BOOST_TEST(times_found_meanwhile(h) > 0u);
        BOOST_TEST(!f.join());
        BOOST_TEST(times_found_meanwhile(h) == 0u);
      },
      processors(1));
}

BOOST_AUTO_TEST_CASE(fresh_fiber_with_large_closure) {
  heddle::run(
      [] {
        hidden_word h;
        struct large {
          std::array<char, 1000> before;
          std::uintptr_t v;
          std::array<char, 996> after;
        };
        auto f = [&] { return heddle::spawn([l = large{{}, h.reveal(), {}}] { return l.v == 0; }); }();
        // What the closure was made of is gone from the stack.
        [] { asm volatile("" : : "r"(std::array<char, 8000>{}.data()) : "memory"); }();
        BOOST_TEST(times_found_meanwhile(h) > 0u);
        BOOST_TEST(!f.join());
      },
      processors(1));
}

BOOST_AUTO_TEST_CASE(result_that_nobody_has_joined) {
  heddle::run(
      [] {
        hidden_word small;
        hidden_word large;
        auto f = heddle::spawn([&] { return small.reveal(); });
        auto g = heddle::spawn([&] {
          std::array<std::uintptr_t, 100> a{};
          a[50] = large.reveal();
          return a;
        });
        heddle::this_fiber::sleep_for(5ms);
        BOOST_TEST(times_found_meanwhile(small) > 0u);
        BOOST_TEST(times_found_meanwhile(large) > 0u);
        BOOST_TEST(small.is(f.join()));
        BOOST_TEST(large.is(g.join()[50]));
      },
      processors(1));
}

BOOST_AUTO_TEST_CASE(fiber_that_lends_its_stack) {
  heddle::run(
      [] {
        hidden_word h;
        hidden_word in_register;
        std::size_t found = 0;
        std::size_t found_in_register = 0;
        const auto lend = [&] {
          auto f = heddle::spawn([&] {
            heddle::this_fiber::sleep_for(1ms);
            found = times_found_meanwhile(h);
            found_in_register = times_found_meanwhile(in_register);
          });
          std::uintptr_t kept = in_register.reveal();
          asm volatile("" : "+r"(kept));  // in a register, or a frame, across the call
          with_on_stack(h.reveal(), [&] { f.join(); });
          asm volatile("" : "+r"(kept));
        };
        lend();
        BOOST_TEST(found > 0u);
        BOOST_TEST(found_in_register > 0u);
      },
      processors(1));
}

// --- many -------------------------------------------------------------------------------------------------------

namespace {

/// Of the calling thread, in microseconds.
long processor_time() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1'000'000 + t.tv_nsec / 1000;
}

}  // namespace

BOOST_AUTO_TEST_CASE(many_parked_while_others_run) {
  constexpr std::size_t many = 20'000;
  heddle::run(
      [] {
        std::vector<std::unique_ptr<hidden_word>> all;
        for (std::size_t i = 0; i != many; ++i) all.push_back(std::make_unique<hidden_word>());
        // Looked up by number.
        class counter final : public root_sink {
         public:
          explicit counter(std::uintptr_t first) : first_(first), seen_(many) {}
          void words(const void* from, const void* to) noexcept override {
            for (auto* w = static_cast<const std::uintptr_t*>(from); w < static_cast<const std::uintptr_t*>(to); ++w)
              if (const std::uintptr_t n = (*w - first_) / hidden_word::apart; n < many) seen_[n] = true;
          }
          std::size_t seen() const { return static_cast<std::size_t>(std::count(seen_.begin(), seen_.end(), true)); }

         private:
          std::uintptr_t first_;
          std::vector<bool> seen_;
        };
        heddle::channel<int> go;
        std::vector<heddle::join_handle<void>> fibers;
        for (const auto& h : all)
          fibers.push_back(heddle::spawn([&h, &go] { with_on_stack(h->reveal(), [&] { (void)go.receive(); }); }));
        heddle::this_fiber::sleep_for(20ms);
        std::atomic<bool> over{false};
        std::atomic<long> worst{0};
        auto busy = heddle::spawn([&] {
          while (!over.load()) {
            const auto before = std::chrono::steady_clock::now();
            heddle::this_fiber::yield();
            const long took = (std::chrono::steady_clock::now() - before) / 1us;
            if (took > worst.load()) worst.store(took);
          }
        });
        std::size_t seen = 0;
        meanwhile([&] {
          for (int i = 0; i != 5; ++i) {
            counter c(all.front()->reveal());
            const long before = processor_time();
            scan_stacks(c);
            BOOST_TEST_MESSAGE("scan: " << processor_time() - before << " us of the processor");
            seen = c.seen();
          }
        });
        over.store(true);
        BOOST_TEST_MESSAGE("longest turn: " << worst.load() << " us");
        BOOST_TEST(seen == std::size_t{many});
        go.close();
      },
      processors(2));
}

BOOST_AUTO_TEST_CASE(fibers_that_take_turns) {
  heddle::run(
      [] {
        heddle::channel<std::uintptr_t> to;
        heddle::channel<std::uintptr_t> fro;
        std::atomic<bool> over{false};
        auto f = heddle::spawn([&] {
          while (auto v = to.receive()) fro.send(*v);
        });
        auto g = heddle::spawn([&] {
          while (!over.load()) {
            to.send(1);
            (void)fro.receive();
          }
          to.close();
        });
        hidden_word h;
        int missed = 0;
        with_on_stack(h.reveal(), [&] {
          meanwhile([&] {
            for (int i = 0; i != 200; ++i) missed += times_found(h) == 0;
          });
        });
        over.store(true);
        BOOST_TEST(missed == 0);
      },
      processors(2));
}

/// An address goes from fiber to fiber: each gives it to a new one, and ends.
BOOST_AUTO_TEST_CASE(address_handed_to_new_fibers) {
  heddle::run(
      [] {
        hidden_word h;
        std::atomic<bool> over{false};
        std::atomic<int> alive{1};
        struct relay_race {
          std::uintptr_t v;
          std::atomic<bool>& over;
          std::atomic<int>& alive;
          void operator()() {
            const std::uintptr_t mine = std::exchange(v, 0);
            if (over.load())
              alive.store(0);
            else
              heddle::go(relay_race{mine, over, alive});
          }
        };
        heddle::go(relay_race{h.reveal(), over, alive});
        int missed = 0;
        meanwhile([&] {
          for (int i = 0; i != 500; ++i) missed += times_found(h) == 0;
        });
        over.store(true);
        while (alive.load() != 0) heddle::this_fiber::yield();
        BOOST_TEST(missed == 0);
      },
      processors(2));
}

BOOST_AUTO_TEST_CASE(fibers_that_begin_and_end_all_the_time) {
  heddle::run(
      [] {
        std::atomic<bool> over{false};
        auto storm = [&] {
          while (!over.load()) {
            auto a = heddle::spawn([] { heddle::this_fiber::yield(); });
            auto b = heddle::spawn([big = std::array<char, 300>{}] { return big[0]; });
            heddle::go([] {});
            a.join();
          }
        };
        auto f = heddle::spawn(storm);
        auto g = heddle::spawn(storm);
        hidden_word h;
        int missed = 0;
        with_on_stack(h.reveal(), [&] {
          meanwhile([&] {
            for (int i = 0; i != 300; ++i) missed += times_found(h) == 0;
          });
        });
        over.store(true);
        BOOST_TEST(missed == 0);
      },
      processors(2));
}
