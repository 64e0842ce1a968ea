// SPDX-License-Identifier: BSL-1.0
//
// Exceptions that pass segments.
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <string>

#include "heddle/heddle.hpp"
#include "runtime/segmented/small_stacks.hpp"

using heddle::testing::beside_others;
using heddle::testing::deep;
using heddle::testing::one_machine;
using heddle::testing::opaque;

namespace {
struct counted {
  static inline std::atomic<int> alive{0};
  counted() { ++alive; }
  counted(const counted&) = delete;
  ~counted() { --alive; }
};
}  // namespace

[[gnu::noinline]] int throws_below(int n) {
  const counted here;
  volatile char frame[150];
  frame[0] = 1;
  if (n == 0) throw std::runtime_error("from below");
  return throws_below(n - 1) + frame[0];
}
[[gnu::noinline]] int rethrows_below(int n) {
  const counted here;
  volatile char frame[700];
  frame[0] = 1;
  if (n == 0) throw std::runtime_error("from below");
  try {
    return rethrows_below(n - 1) + frame[0];
  } catch (const std::exception&) {
    if (n % 3 == 0) heddle::this_fiber::yield();
    throw;
  }
}

BOOST_AUTO_TEST_SUITE(exceptions)

BOOST_AUTO_TEST_CASE(pass_many_segments) {
  beside_others([] {
    for (int i = 0; i != 5; ++i) {
      std::string what;
      try {
        (void)throws_below(opaque(3'000));
      } catch (const std::exception& e) {
        what = e.what();
      }
      if (what != "from below" || std::uncaught_exceptions() != 0) std::abort();
      if (deep(opaque(3'000)) != 3'000) std::abort();  // the stack is what it was
    }
  });
  BOOST_TEST(counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(are_caught_and_rethrown_on_the_way) {
  beside_others([] {
    try {
      (void)rethrows_below(opaque(200));
      std::abort();
    } catch (const std::runtime_error&) {
    }
  });
  BOOST_TEST(counted::alive == 0);
}

BOOST_AUTO_TEST_CASE(leave_no_segment_behind) {
  const auto main = [] {
    const auto once = [] {
      try {
        (void)throws_below(3'000);
      } catch (const std::exception&) {
      }
    };
    for (int i = 0; i != 10; ++i) once();
    const std::size_t made = heddle::stats().segments;
    for (int i = 0; i != 100; ++i) once();
    BOOST_TEST(heddle::stats().segments == made);
  };
  heddle::run(main, one_machine);
}

BOOST_AUTO_TEST_CASE(come_out_of_join) {
  heddle::run([] {
    auto failing = heddle::spawn([]() -> int { return throws_below(1'000); });
    BOOST_CHECK_THROW(failing.join(), std::runtime_error);
  });
}

BOOST_AUTO_TEST_CASE(pass_foreign_frames) {
  beside_others([] {
    std::array<int, 50> numbers;
    std::iota(numbers.begin(), numbers.end(), 0);
    try {
      std::qsort(numbers.data(), numbers.size(), sizeof(int),
                 [](const void*, const void*) -> int { return throws_below(opaque(100)); });
      std::abort();
    } catch (const std::runtime_error&) {
    }
  });
}

BOOST_AUTO_TEST_CASE(pass_on_large_stack) {
  beside_others([] {
    try {
      heddle::on_large_stack([] { (void)throws_below(opaque(10)); });
      std::abort();
    } catch (const std::runtime_error&) {
    }
  });
}

BOOST_AUTO_TEST_CASE(of_the_runtime_itself) {
  beside_others([] {
    heddle::channel<int> closed;
    closed.close();
    try {
      closed.send(1);
      std::abort();
    } catch (const heddle::channel_closed&) {
    }
    try {
      heddle::go({.stack_size = 5}, [] {});
      std::abort();
    } catch (const std::invalid_argument&) {
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
