// SPDX-License-Identifier: BSL-1.0
//
// What the fuzzer does, with the same pseudo-random calls each time.
#define BOOST_TEST_MODULE fuzz_alloc
#include <boost/test/unit_test.hpp>
#include <random>

#include "alloc_driver.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

BOOST_FIXTURE_TEST_SUITE(alloc_fuzz, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(pseudo_random_calls) {
  std::size_t calls = 0;
  for (unsigned seed = 0; seed != static_cast<unsigned>(heddle::testing::times(8, 2)); ++seed) {
    std::mt19937 random(seed);
    std::vector<std::uint8_t> data(4'000);
    for (std::uint8_t& b : data) b = static_cast<std::uint8_t>(random());
    calls += heddle::testing::alloc_driver(data.data(), data.size()).run();
  }
  BOOST_TEST(calls > 1'000u);
}

BOOST_AUTO_TEST_SUITE_END()
