// SPDX-License-Identifier: BSL-1.0
//
// A program whose linker raises no headroom: small stacks would be overrun by whatever they call, so there are none.
#include <boost/test/unit_test.hpp>
#include <string>

#include "heddle/heddle.hpp"

namespace {

[[gnu::noinline]] int deep(int n) {
  volatile int frame[10];
  frame[n % 10] = 1;
  return n == 0 ? 0 : deep(n - 1) + frame[n % 10];
}

}  // namespace

BOOST_AUTO_TEST_CASE(fibers_are_contiguous) {
  heddle::run([] {
    BOOST_TEST(heddle::spawn([] { return deep(1'000); }).join() == 1'000);
    BOOST_TEST(heddle::stats().segments == 0);
    BOOST_TEST(heddle::on_large_stack([] { return deep(1'000); }) == 1'000);
  });
}

BOOST_AUTO_TEST_CASE(segmented_ones_are_refused) {
  heddle::run([] {
    BOOST_CHECK_EXCEPTION(heddle::go({.stack = heddle::stack_kind::segmented}, [] {}), std::invalid_argument,
                          [](const auto& e) { return std::string(e.what()).find("gold or lld") != std::string::npos; });
  });
}

BOOST_AUTO_TEST_CASE(exceptions_and_threads_are_as_ever) {
  heddle::run([] {
    auto failing = heddle::spawn([]() -> int { throw std::runtime_error("x"); });
    BOOST_CHECK_THROW(failing.join(), std::runtime_error);
  });
  BOOST_TEST(deep(1'000) == 1'000);
}
