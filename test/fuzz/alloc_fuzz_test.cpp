// SPDX-License-Identifier: BSL-1.0
//
// What the fuzzer does, with the same calls each time: pseudo-random ones, and those that the fuzzer has found to reach
// something that no other does.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "alloc_driver.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

std::size_t run(const std::vector<std::uint8_t>& data) {
  return heddle::testing::alloc_driver(data.data(), data.size()).run();
}

std::vector<std::uint8_t> read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> text((std::istreambuf_iterator<char>(in)), {});
  return {text.begin(), text.end()};
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(alloc_fuzz, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(pseudo_random_calls) {
  std::size_t calls = 0;
  for (unsigned seed = 0; seed != static_cast<unsigned>(heddle::testing::times(64, 4)); ++seed) {
    std::mt19937 random(seed);
    std::vector<std::uint8_t> data(500);
    for (std::uint8_t& b : data) b = static_cast<std::uint8_t>(random());
    data[0] = static_cast<std::uint8_t>(5 * seed);  // one choice of options after another
    calls += run(data);
  }
  BOOST_TEST(calls > 1'000u);
}

BOOST_AUTO_TEST_CASE(what_the_fuzzer_has_found) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(HEDDLE_FUZZ_CORPUS)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::size_t calls = 0;
  for (const std::filesystem::path& path : paths) {
    BOOST_TEST_CHECKPOINT(path.filename().string());  // the last one is named if the process ends
    calls += run(read(path));
  }
  BOOST_TEST(paths.size() > 100u);
  BOOST_TEST(calls > 1'000u);
}

BOOST_AUTO_TEST_SUITE_END()
