// SPDX-License-Identifier: BSL-1.0
//
// The stack of objects that a marker is to go through: in one piece, in several, and when others want some of it.
#include "mark/work_stack.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <vector>

namespace {

using heddle::gc::detail::work_stack;

constexpr std::size_t piece = (std::size_t{64} << 10) / 8 - 1;  // words

/// Holds 0, 1, ... n - 1.
struct filled : work_stack {
  explicit filled(std::size_t n) {
    for (std::size_t i = 0; i != n; ++i) BOOST_REQUIRE(push(i));
  }
  std::vector<std::uint64_t> rest() {
    std::vector<std::uint64_t> words;
    while (!empty()) words.push_back(pop());
    return words;
  }
};

std::vector<std::uint64_t> down(std::uint64_t from, std::uint64_t to) {
  std::vector<std::uint64_t> words;
  for (std::uint64_t w = from + 1; w-- != to;) words.push_back(w);
  return words;
}

BOOST_AUTO_TEST_SUITE(a_work_stack)

BOOST_AUTO_TEST_CASE(gives_back_the_last_first_over_several_pieces) {
  for (const std::size_t n : {std::size_t{1}, piece, piece + 1, 2 * piece + 5})
    BOOST_TEST(filled(n).rest() == down(n - 1, 0));
}

BOOST_AUTO_TEST_CASE(knows_whether_it_has_more) {
  BOOST_TEST(!work_stack().has_more_than(0));
  BOOST_TEST(filled(5).has_more_than(4));
  BOOST_TEST(!filled(5).has_more_than(5));
  BOOST_TEST(filled(piece + 1).has_more_than(1));  // one of them in the piece on top
}

BOOST_AUTO_TEST_CASE(pops_many_at_a_time) {
  filled s(6);
  std::uint64_t to[4];
  BOOST_TEST(s.pop_many(to, 4) == 4);
  BOOST_TEST(to[0] == 5);
  BOOST_TEST(to[3] == 2);
  BOOST_TEST(s.pop_many(to, 4) == 2);
  BOOST_TEST(to[1] == 0);
  BOOST_TEST(s.empty());
}

BOOST_AUTO_TEST_CASE(parts_with_its_older_half_and_goes_on) {
  filled s(7);
  std::uint64_t to[8];
  BOOST_TEST(s.take_older_half(to, 8) == 3);
  BOOST_TEST(to[0] == 0);
  BOOST_TEST(to[2] == 2);
  BOOST_REQUIRE(s.push(100));
  BOOST_TEST(s.rest() == (std::vector<std::uint64_t>{100, 6, 5, 4, 3}));
}

BOOST_AUTO_TEST_CASE(parts_with_no_more_than_asked_for) {
  filled s(10);
  std::uint64_t to[2];
  BOOST_TEST(s.take_older_half(to, 2) == 2);
  BOOST_TEST(to[1] == 1);
  BOOST_TEST(s.rest() == down(9, 2));
}

BOOST_AUTO_TEST_CASE(parts_with_the_half_of_its_piece_on_top_only) {
  filled s(piece + 4);
  std::uint64_t to[4];
  BOOST_TEST(s.take_older_half(to, 4) == 2);
  BOOST_TEST(to[0] == piece);
  BOOST_TEST(to[1] == piece + 1);
  BOOST_TEST(s.pop() == piece + 3);
  BOOST_TEST(s.pop() == piece + 2);
  BOOST_TEST(s.rest() == down(piece - 1, 0));
}

BOOST_AUTO_TEST_CASE(is_filled_to_the_brim_again_after_it_has_parted_with_some) {
  filled s(piece);
  std::vector<std::uint64_t> to(piece);
  const std::size_t taken = s.take_older_half(to.data(), to.size());
  BOOST_TEST(taken == piece / 2);
  for (std::size_t i = 0; i != taken + 1; ++i) BOOST_REQUIRE(s.push(piece + i));
  BOOST_TEST(s.rest() == down(piece + taken, taken));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
