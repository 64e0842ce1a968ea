// SPDX-License-Identifier: BSL-1.0
//
// Run under Valgrind: threads whose stacks have no gap below them for Valgrind, as glibc lays them out since 2.42.
#include <pthread.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <heddle/heddle.hpp>
#include <vector>

#include "support/leak_check.hpp"

// The linker's --wrap leads the calls of the runtime here. Its names are reserved, so the C++ functions have others.
extern "C" {
int real_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) __asm__("__real_pthread_create");
int wrapped_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) __asm__("__wrap_pthread_create");

int wrapped_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*f)(void*), void* arg) {
  pthread_attr_t without_guard;
  ::pthread_attr_init(&without_guard);
  std::size_t size = 0;
  if (attributes != nullptr && ::pthread_attr_getstacksize(attributes, &size) == 0)
    ::pthread_attr_setstacksize(&without_guard, size);
  ::pthread_attr_setguardsize(&without_guard, 0);
  const int error = real_pthread_create(thread, &without_guard, f, arg);
  ::pthread_attr_destroy(&without_guard);
  return error;
}
}

BOOST_FIXTURE_TEST_SUITE(thread_without_gap, heddle::testing::leak_check)

// When a stack is switched to again, everything that a switch left on it is still there and counts as defined: Valgrind
// ends the program with an error if it takes a switch for a frame that goes.
BOOST_AUTO_TEST_CASE(fibers_and_machines_keep_their_frames) {
  constexpr int fibers = 40;  // more than get their guards at once
  heddle::options options;
  options.procs = 2;
  std::vector<long> sums(fibers);
  heddle::run(
      [&] {
        heddle::wait_group all;
        for (int i = 0; i != fibers; ++i) {
          all.go([&sum = sums[static_cast<std::size_t>(i)], i] {
            volatile long kept[64] = {};
            for (int round = 0; round != 10; ++round) {
              for (int j = 0; j != 64; ++j) kept[j] = kept[j] + i + j;
              heddle::this_fiber::yield();
              heddle::blocking([] { ::usleep(5000); });  // so that threads are made when there are stacks of fibers
            }
            for (const volatile long& k : kept) sum += k;
          });
        }
        all.wait();
      },
      options);
  for (long i = 0; i != fibers; ++i) BOOST_TEST(sums[static_cast<std::size_t>(i)] == 10 * (64 * i + 64 * 63 / 2));
}

BOOST_AUTO_TEST_SUITE_END()
