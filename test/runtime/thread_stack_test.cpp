// SPDX-License-Identifier: BSL-1.0
//
// In a program with large thread-locals, which the C library takes out of each thread's stack.
#include "thread_stack.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <thread>

#include "heddle/heddle.hpp"
#include "support/leak_check.hpp"

namespace {
using namespace std::chrono_literals;

constexpr std::size_t large = std::size_t{3} << 20;
thread_local char scratch[large];

/// Writes to the calling thread's own copy.
[[gnu::noinline]] void use_scratch(char c) {
  char* at = scratch;
  asm volatile("" : "+r"(at));
  std::memset(at, c, large);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(thread_stacks, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(what_is_taken_is_known) {
  BOOST_TEST(heddle::detail::taken_from_thread_stack() >= large);
  BOOST_TEST(heddle::detail::taken_from_thread_stack() < large + (std::size_t{1} << 20));
  BOOST_TEST(heddle::detail::taken_from_thread_stack() % 4096 == 0u);
}

BOOST_AUTO_TEST_CASE(signal_stacks_hold_what_the_kernel_puts_there) {
  BOOST_TEST(heddle::detail::signal_stack_size() >= (std::size_t{60} << 10) + 2048);
  BOOST_TEST(heddle::detail::signal_stack_size() % 4096 == 0u);
}

BOOST_AUTO_TEST_CASE(a_runtime_starts_and_its_threads_have_room) {
  heddle::run(
      [] {
        heddle::wait_group all;
        std::atomic<int> ran{0};
        for (int i = 0; i != 100; ++i)
          all.go([&, i] {
            use_scratch(static_cast<char>(i));
            heddle::blocking([] { std::this_thread::sleep_for(100us); });  // further machines
            ++ran;
          });
        all.wait();
        BOOST_TEST(ran == 100);
      },
      {.procs = 2});
}

BOOST_AUTO_TEST_SUITE_END()
