// SPDX-License-Identifier: BSL-1.0
#include "ranges.hpp"

#include <boost/test/unit_test.hpp>
#include <ostream>
#include <string>

using examples::http::byte_range;
using examples::http::parse_ranges;

namespace {

/// "ignored", "none", or the ranges as first+size.
std::string ranges_of(const std::string& field, std::uint64_t size) {
  const auto ranges = parse_ranges(field, size);
  if (!ranges) return "ignored";
  std::string text;
  for (const byte_range& r : *ranges) text += std::to_string(r.first) + '+' + std::to_string(r.size) + ' ';
  return text.empty() ? "none" : text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(ranges)

BOOST_AUTO_TEST_CASE(one) {
  BOOST_TEST(ranges_of("bytes=0-0", 10) == "0+1 ");
  BOOST_TEST(ranges_of("bytes=0-9", 10) == "0+10 ");
  BOOST_TEST(ranges_of("bytes=3-5", 10) == "3+3 ");
  BOOST_TEST(ranges_of("bytes=3-", 10) == "3+7 ");
  BOOST_TEST(ranges_of("bytes=9-", 10) == "9+1 ");
  BOOST_TEST(ranges_of("bytes=-3", 10) == "7+3 ");
  BOOST_TEST(ranges_of("Bytes= 3-5 ", 10) == "3+3 ");
}

BOOST_AUTO_TEST_CASE(longer_than_there_is) {
  BOOST_TEST(ranges_of("bytes=3-100", 10) == "3+7 ");
  BOOST_TEST(ranges_of("bytes=-100", 10) == "0+10 ");
  BOOST_TEST(ranges_of("bytes=3-99999999999999999999999", 10) == "3+7 ");
  BOOST_TEST(ranges_of("bytes=-99999999999999999999999", 10) == "0+10 ");
}

BOOST_AUTO_TEST_CASE(nothing_there) {
  BOOST_TEST(ranges_of("bytes=10-", 10) == "none");
  BOOST_TEST(ranges_of("bytes=10-20", 10) == "none");
  BOOST_TEST(ranges_of("bytes=-0", 10) == "none");
  BOOST_TEST(ranges_of("bytes=0-", 0) == "none");
  BOOST_TEST(ranges_of("bytes=-5", 0) == "none");
  BOOST_TEST(ranges_of("bytes=99999999999999999999999-", 10) == "none");
}

BOOST_AUTO_TEST_CASE(several) {
  BOOST_TEST(ranges_of("bytes=0-1,3-4,-2", 10) == "0+2 3+2 8+2 ");
  BOOST_TEST(ranges_of("bytes=0-1 ,\t2-2", 10) == "0+2 2+1 ");
  BOOST_TEST(ranges_of("bytes=0-1,20-30", 10) == "0+2 ");
  BOOST_TEST(ranges_of("bytes=20-30,0-1", 10) == "0+2 ");
}

BOOST_AUTO_TEST_CASE(no_ranges) {
  for (const char* field :
       {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-3", "bytes=1", "bytes=1-2-3", "bytes=1-2,",
        "bytes=,1-2", "bytes =1-2", "items=0-1", "bytes=+1-2", "bytes=1 -2", "bytes=--1"})
    BOOST_TEST(ranges_of(field, 10) == "ignored", field);
}

BOOST_AUTO_TEST_CASE(too_much_work) {
  BOOST_TEST(ranges_of("bytes=0-5,3-8", 10) == "ignored");
  BOOST_TEST(ranges_of("bytes=5-6,0-1", 10) == "ignored");
  BOOST_TEST(ranges_of("bytes=0-,0-", 10) == "ignored");
  std::string many = "bytes=0-0";
  for (int i = 1; i < 16; ++i) many += ',' + std::to_string(2 * i) + '-' + std::to_string(2 * i);
  BOOST_TEST(parse_ranges(many, 1'000)->size() == 16U);
  BOOST_TEST(ranges_of(many + ",900-900", 1'000) == "ignored");
}

BOOST_AUTO_TEST_SUITE_END()
