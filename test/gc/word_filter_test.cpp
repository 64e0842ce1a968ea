// SPDX-License-Identifier: BSL-1.0
//
// The filters of words that may be addresses: each gives what the plain comparison gives.
#include "mark/word_filter.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <random>
#include <vector>

namespace {

using heddle::gc::detail::filtered_at_once;
using heddle::gc::detail::word_filter;

struct range {
  std::uintptr_t least, extent;
};

std::vector<word_filter> filters() {
  word_filter all[3];
  const std::size_t n = heddle::gc::detail::word_filters(all);
  return {all, all + n};
}

std::vector<std::uintptr_t> filtered(word_filter f, const std::vector<std::uintptr_t>& words, range r) {
  std::vector<std::uintptr_t> to(words.size());
  to.resize(f(reinterpret_cast<const char*>(words.data()), words.size(), r.least, r.extent, to.data()));
  return to;
}

std::vector<std::uintptr_t> expected(const std::vector<std::uintptr_t>& words, range r) {
  std::vector<std::uintptr_t> in;
  for (const std::uintptr_t w : words)
    if (w >= r.least && w - r.least < r.extent) in.push_back(w);
  return in;
}

constexpr range some[] = {{0x7f00'0000'0000, 0x200'0000},  {1, 1}, {0, ~std::uintptr_t{0}}, {~std::uintptr_t{0}, 0},
                          {0x7fff'ffff'ffff'f000, 0x2000},   // over the least of the signed numbers
                          {0xffff'ffff'ffff'0000, 0xffff}};  // up to the greatest

BOOST_AUTO_TEST_SUITE(word_filters)

BOOST_AUTO_TEST_CASE(keep_the_first_and_the_last_word_of_the_range) {
  for (const word_filter f : filters())
    for (const range r : some) {
      const std::vector<std::uintptr_t> words = {r.least,     r.least - 1, r.least + r.extent, r.least + r.extent - 1,
                                                 0,           1,           ~std::uintptr_t{0}, std::uintptr_t{1} << 63,
                                                 r.least + 1, r.least};
      BOOST_TEST(filtered(f, words, r) == expected(words, r));
    }
}

BOOST_AUTO_TEST_CASE(keep_words_in_each_place_of_each_length) {
  const range r = some[0];
  for (const word_filter f : filters())
    for (std::size_t n = 0; n <= filtered_at_once; ++n)
      for (std::size_t at = 0; at != n; ++at) {
        std::vector<std::uintptr_t> words(n, r.least - 1);
        words[at] = r.least + at;
        BOOST_TEST(filtered(f, words, r) == std::vector<std::uintptr_t>{r.least + at});
      }
}

BOOST_AUTO_TEST_CASE(keep_the_order) {
  std::mt19937_64 random(7);
  for (const word_filter f : filters())
    for (int round = 0; round != 2000; ++round) {
      const range r = some[random() % std::size(some)];
      std::vector<std::uintptr_t> words(random() % (filtered_at_once + 1));
      for (std::uintptr_t& w : words) w = random() % 2 == 0 ? r.least + random() % 0x3000 : random();
      BOOST_TEST(filtered(f, words, r) == expected(words, r));
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
