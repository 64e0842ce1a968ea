// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/endpoint.hpp"

#include <boost/test/unit_test.hpp>
#include <stdexcept>
#include <string>

using heddle::net::endpoint;

BOOST_AUTO_TEST_SUITE(endpoints)

BOOST_AUTO_TEST_CASE(are_written_as_they_are_read) {
  for (const char* const text : {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:0",
                                 "[2001:db8::ff]:443", "[fe80::1%lo]:22"})
    BOOST_TEST(endpoint::parse(text).to_string() == text);
  BOOST_TEST(endpoint::parse("[::ffff:10.0.0.1]:7").to_string() == "10.0.0.1:7");
  BOOST_TEST(endpoint::parse("[::1]:80").address_string() == "::1");
  BOOST_TEST(endpoint().to_string() == "0.0.0.0:0");
}

BOOST_AUTO_TEST_CASE(refuse_what_is_none) {
  for (const char* const text : {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:8o",
                                 "127.0.0.1: 80", "::1:80", "[::1]", "[::1:80", "::1]:80", "[127.0.0.1]:80",
                                 "localhost:80", "[::1%nosuchinterface]:80", "1.2.3:4", "1.2.3.4.5:6"})
    BOOST_CHECK_THROW(endpoint::parse(text), std::invalid_argument);
  BOOST_CHECK(!endpoint::try_parse(std::string_view("127.0.0.1\0:80", 13)));
  BOOST_CHECK(!endpoint::try_parse(std::string(300, '1') + ":80"));
  try {
    endpoint::parse("nonsense");
  } catch (const std::invalid_argument& e) {
    BOOST_TEST(std::string(e.what()).find("\"nonsense\"") != std::string::npos, e.what());
  }
}

BOOST_AUTO_TEST_CASE(have_an_order) {
  const endpoint a = endpoint::parse("10.0.0.2:9"), b = endpoint::parse("10.0.0.10:1"), c = endpoint::parse("[::1]:1");
  BOOST_TEST((a < b && b < c && a == endpoint::parse("10.0.0.2:9") && a != endpoint::parse("10.0.0.2:8")));
  BOOST_TEST((endpoint::parse("9.0.0.3:1") < a && endpoint::parse("10.0.0.2:300") > endpoint::parse("10.0.0.2:2")));
  BOOST_TEST((c != endpoint::parse("[::1]:2") && c != endpoint::parse("[::2]:1")));
  BOOST_TEST((endpoint::parse("[fe80::1%lo]:1") != endpoint::parse("[fe80::1]:1")));
  endpoint moved = c;
  moved.port(77);
  BOOST_TEST(moved.to_string() == "[::1]:77");
}

BOOST_AUTO_TEST_SUITE_END()
