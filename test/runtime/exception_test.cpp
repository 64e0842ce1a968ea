// SPDX-License-Identifier: BSL-1.0
#include <boost/test/unit_test.hpp>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using heddle::testing::times;

struct guard_that_yields {
  int* seen;
  ~guard_that_yields() {
    *seen = std::uncaught_exceptions();
    heddle::this_fiber::yield();
    *seen += 10 * std::uncaught_exceptions();
  }
};

std::string text_of(int fiber, int round) { return std::to_string(fiber) + "/" + std::to_string(round); }

/// Throws, suspends inside the handler, rethrows, suspends again: the exception must stay this fiber's own.
void rounds(int fiber, int n) {
  for (int i = 0; i != n; ++i) {
    try {
      try {
        throw std::runtime_error(text_of(fiber, i));
      } catch (const std::runtime_error& e) {
        heddle::this_fiber::yield();
        if (e.what() != text_of(fiber, i)) throw std::logic_error("another fiber's exception");
        try {
          throw i;
        } catch (int inner) {
          heddle::this_fiber::yield();
          if (inner != i) throw std::logic_error("another fiber's inner exception");
        }
        throw;
      }
    } catch (const std::runtime_error& e) {
      heddle::this_fiber::yield();
      if (e.what() != text_of(fiber, i)) throw std::logic_error("another fiber's rethrown exception");
      if (std::current_exception() == nullptr) throw std::logic_error("no current exception");
    }
    if (std::current_exception() != nullptr) throw std::logic_error("an exception is left over");
  }
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(exception, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(eight_fibers_suspend_in_handlers) {
  for (unsigned procs : {1u, 2u}) {
    heddle::run(
        [] {
          std::vector<heddle::join_handle<void>> all;
          for (int f = 0; f != 8; ++f) all.push_back(heddle::spawn(rounds, f, times(2000)));
          for (auto& h : all) h.join();
        },
        {.procs = procs});
  }
}

// Also to one that runs on the stack of its joiner.
BOOST_AUTO_TEST_CASE(a_fiber_begins_without_the_exception_that_its_joiner_handles) {
  heddle::run([] {
    for (int i = 0; i != 10; ++i) {
      try {
        throw std::runtime_error("handled by the joiner");
      } catch (const std::runtime_error&) {
        BOOST_TEST(heddle::spawn([] { return std::current_exception() == nullptr; }).join());
        BOOST_TEST((std::current_exception() != nullptr));
      }
    }
  });
}

BOOST_AUTO_TEST_CASE(uncaught_exceptions_belong_to_the_fiber) {
  heddle::run(
      [] {
        int seen = 0;
        auto thrower = heddle::spawn([&] {
          try {
            const guard_that_yields guard{&seen};
            throw 1;
          } catch (int) {
          }
        });
        auto other = heddle::spawn([] {
          int most = 0;
          for (int i = 0; i != 10; ++i) {
            most = std::max(most, std::uncaught_exceptions());
            heddle::this_fiber::yield();
          }
          return most;
        });
        thrower.join();
        BOOST_TEST(seen == 11);
        BOOST_TEST(other.join() == 0);
      },
      {.procs = 1, .monitor = false});
}

BOOST_AUTO_TEST_SUITE_END()
