// SPDX-License-Identifier: BSL-1.0
//
// Fibers that move between machines (CHECKLIST row 17): nothing of the thread they were on may be kept across a
// suspension. Self-contained, so that it can be compiled together with the runtime at -O3 and with -flto.
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <set>
#include <vector>

#include "heddle/blocking.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using heddle::testing::times;

thread_local long kernel_id = 0;

/// The rule for users: a thread-local is read through a function that is not inlined.
#if defined(__clang__)
[[gnu::noinline]]
#else
[[gnu::noinline, gnu::noipa]]
#endif
long cached_kernel_id() {
  asm volatile("" ::: "memory");
  if (kernel_id == 0) kernel_id = ::syscall(SYS_gettid);
  return kernel_id;
}

/// Wanders between machines and compares, after each suspension, what thread-locals say with what the kernel says.
long wander(int steps, std::atomic<int>& moved) {
  const heddle::fiber_id self = heddle::this_fiber::get_id();
  long wrong = 0;
  long last = ::syscall(SYS_gettid);
  for (int i = 0; i != steps; ++i) {
    const long before = ::syscall(SYS_gettid);
    wrong += cached_kernel_id() != before;
    if (i % 64 == 0)
      heddle::blocking([] { ::usleep(50); });
    else
      heddle::this_fiber::yield();
    const long now = ::syscall(SYS_gettid);
    wrong += cached_kernel_id() != now;
    wrong += heddle::this_fiber::get_id() != self;  // the runtime's own thread-local
    if (now != last) moved.fetch_add(1, std::memory_order_relaxed);
    last = now;
  }
  return wrong;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(migration, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(thread_locals_are_read_anew) {
  std::atomic<int> moved{0};
  // Until something has moved: on a busy machine a few rounds may end before a second machine is awake.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  do {
    heddle::run(
        [&] {
          std::vector<heddle::join_handle<long>> all;
          for (int i = 0; i != 8; ++i) all.push_back(heddle::spawn([&] { return wander(times(3000), moved); }));
          for (auto& h : all) BOOST_TEST(h.join() == 0);
        },
        {.procs = 2});
  } while (moved == 0 && std::chrono::steady_clock::now() < end);
  BOOST_TEST_MESSAGE(moved << " moves");
  BOOST_TEST(moved > 0);
}

BOOST_AUTO_TEST_SUITE_END()
