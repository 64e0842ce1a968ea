// SPDX-License-Identifier: BSL-1.0
//
// What the fuzzer does, with the same bytes each time: its corpus, and what becomes of it by a few changes.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "http_driver.hpp"
#include "support/scale.hpp"

namespace {

std::size_t run(const std::string& data) {
  return heddle::testing::serve_cut(reinterpret_cast<const std::uint8_t*>(data.data()), data.size());
}

std::vector<std::string> corpus() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(HEDDLE_HTTP_CORPUS)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> all;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    all.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return all;
}

/// One byte changed, or a part taken out, doubled or replaced by a part of another text.
std::string changed(std::string text, const std::string& other, std::mt19937& random) {
  static constexpr std::string_view telling = "\r\n\t :;,0159afGET\0\x7f\xff";
  const auto below = [&](std::size_t n) { return n == 0 ? 0 : random() % n; };
  const std::size_t at = below(text.size()), size = below(std::min<std::size_t>(20, text.size() - at));
  switch (random() % 4) {
    case 0: text[at] = telling[below(telling.size())]; break;
    case 1: text.erase(at, size); break;
    case 2: text.insert(at, text.substr(at, size)); break;
    default: text.replace(at, size, other, below(other.size()), below(20)); break;
  }
  return text.empty() ? other : text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(http_fuzz)

BOOST_AUTO_TEST_CASE(what_the_fuzzer_has_found) {
  std::size_t requests = 0;
  for (const std::string& text : corpus()) requests += run(text);
  BOOST_TEST(requests > 15U);
}

BOOST_AUTO_TEST_CASE(pseudo_random_changes) {
  const std::vector<std::string> seeds = corpus();
  BOOST_REQUIRE(!seeds.empty());
  std::mt19937 random(1);
  constexpr int texts = heddle::testing::times(20'000, 500);
  std::size_t requests = 0;
  for (int i = 0; i < texts; ++i) {
    std::string text = seeds[random() % seeds.size()];
    for (unsigned n = 1 + random() % 4; n > 0; --n) text = changed(text, seeds[random() % seeds.size()], random);
    requests += run(text);
  }
  BOOST_TEST(requests >= static_cast<std::size_t>(texts) / 40);  // most texts are refused before they are a request
}

BOOST_AUTO_TEST_SUITE_END()
