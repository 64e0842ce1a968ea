// SPDX-License-Identifier: BSL-1.0
//
// Stacks that have grown: what lies in the segments that are not the present one.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstring>

#include "gc/planted.hpp"
#include "heddle/heddle.hpp"

using namespace std::chrono_literals;
using heddle::testing::as_collector;
using heddle::testing::hidden_word;
using heddle::testing::meanwhile;
using heddle::testing::processors;
using heddle::testing::times_found;

namespace {

/// Calls itself until f runs on another segment, far from the first; only the first frame has the address.
template <class F>
[[gnu::noinline]] void deeper(int n, const F& f) {
  char frame[4096];
  asm volatile("" : : "r"(frame) : "memory");
  if (n == 0)
    f();
  else
    deeper(n - 1, f);
  asm volatile("" : : "r"(frame) : "memory");
}

template <class F>
[[gnu::noinline]] void with_below(std::uintptr_t value, const F& f) {
  std::uintptr_t kept[4] = {0, value, 0, 0};
  value = 0;
  asm volatile("" : : "r"(kept) : "memory");
  deeper(40, f);
  kept[1] = 0;
  asm volatile("" : : "r"(kept) : "memory");
}

}  // namespace

BOOST_AUTO_TEST_CASE(older_segment_of_a_parked_fiber) {
  heddle::run(
      [] {
        hidden_word h;
        heddle::channel<int> go;
        auto f = heddle::spawn([&] { with_below(h.reveal(), [&] { (void)go.receive(); }); });
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

BOOST_AUTO_TEST_CASE(older_segment_of_a_running_fiber) {
  heddle::run(
      [] {
        hidden_word h;
        std::atomic<bool> begun{false};
        std::atomic<bool> over{false};
        auto f = heddle::spawn([&] {
          with_below(h.reveal(), [&] {
            begun.store(true);
            while (!over.load()) asm volatile("pause");
          });
        });
        while (!begun.load()) heddle::this_fiber::yield();
        std::size_t found = 0;
        meanwhile([&] { found = times_found(h); });
        over.store(true);
        f.join();
        BOOST_TEST(found > 0u);
      },
      processors(2));
}

BOOST_AUTO_TEST_CASE(alloca_that_did_not_fit) {
  heddle::run(
      [] {
        hidden_word h;
        heddle::channel<int> go;
        auto f = heddle::spawn([&] {
          volatile std::size_t size = 200'000;
          auto* const block = static_cast<std::uintptr_t*>(__builtin_alloca(size));
          block[1000] = h.reveal();
          asm volatile("" : : "r"(block) : "memory");
          (void)go.receive();
          block[1000] = 0;
          asm volatile("" : : "r"(block) : "memory");
        });
        heddle::this_fiber::sleep_for(5ms);
        std::size_t found = 0;
        meanwhile([&] { found = times_found(h); });
        BOOST_TEST(found > 0u);
        go.send(1);
        f.join();
      },
      processors(2));
}

/// Fibers that go back and forth between segments while they are scanned.
BOOST_AUTO_TEST_CASE(growing_all_the_time) {
  heddle::run(
      [] {
        std::atomic<bool> over{false};
        hidden_word h;
        auto f = heddle::spawn([&] {
          std::uintptr_t kept[4] = {0, h.reveal(), 0, 0};
          asm volatile("" : : "r"(kept) : "memory");
          while (!over.load()) {
            deeper(12, [] {});
            deeper(9, [] { heddle::this_fiber::yield(); });
          }
          asm volatile("" : : "r"(kept) : "memory");
        });
        heddle::this_fiber::yield();
        int missed = 0;
        heddle::blocking([&] {
          as_collector([&] {
            for (int i = 0; i != 500; ++i) missed += times_found(h) == 0;
          });
        });
        over.store(true);
        f.join();
        BOOST_TEST(missed == 0);
      },
      processors(2));
}
