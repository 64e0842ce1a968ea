// SPDX-License-Identifier: BSL-1.0
//
// Stacks that have grown: what lies in the segments that are not the present one.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstring>

#include "gc/planted.hpp"
#include "heddle/heddle.hpp"

using namespace std::chrono_literals;
using planted::as_collector;
using planted::hidden;
using planted::times_found;

namespace {

heddle::options two() {
  heddle::options o;
  o.procs = 2;
  return o;
}

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
        hidden h;
        heddle::channel<int> go;
        auto f = heddle::spawn([&] { with_below(h.reveal(), [&] { (void)go.receive(); }); });
        heddle::this_fiber::sleep_for(5ms);
        int found = 0;
        heddle::blocking([&] { as_collector([&] { found = times_found(h); }); });
        BOOST_TEST(found > 0);
        go.send(1);
        f.join();
        heddle::blocking([&] { as_collector([&] { found = times_found(h); }); });
        BOOST_TEST(found == 0);
      },
      two());
}

BOOST_AUTO_TEST_CASE(older_segment_of_a_running_fiber) {
  heddle::run(
      [] {
        hidden h;
        std::atomic<bool> begun{false};
        std::atomic<bool> over{false};
        auto f = heddle::spawn([&] {
          with_below(h.reveal(), [&] {
            begun.store(true);
            while (!over.load()) asm volatile("pause");
          });
        });
        while (!begun.load()) heddle::this_fiber::yield();
        int found = 0;
        heddle::blocking([&] { as_collector([&] { found = times_found(h); }); });
        over.store(true);
        f.join();
        BOOST_TEST(found > 0);
      },
      two());
}

BOOST_AUTO_TEST_CASE(alloca_that_did_not_fit) {
  heddle::run(
      [] {
        hidden h;
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
        int found = 0;
        heddle::blocking([&] { as_collector([&] { found = times_found(h); }); });
        BOOST_TEST(found > 0);
        go.send(1);
        f.join();
      },
      two());
}

/// Fibers that go back and forth between segments while they are scanned.
BOOST_AUTO_TEST_CASE(growing_all_the_time) {
  heddle::run(
      [] {
        std::atomic<bool> over{false};
        hidden h;
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
      two());
}
