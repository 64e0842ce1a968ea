// SPDX-License-Identifier: BSL-1.0
#include "framing.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

#include "net/http/conversation.hpp"
#include "support/leak_check.hpp"

using namespace std::string_literals;
using examples::http::refuse_header;
using heddle::testing::joined;
using heddle::testing::refusal_of;

namespace {

std::string with(const std::string& more) { return joined({"POST / HTTP/1.1\r\nHost: a\r\n", more, "\r\n"}); }

// Fields that could be understood in two ways, behind a request line and a Host.
const std::string ambiguous[] = {
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "Content-Length: 5\r\nContent-Length: 6\r\n",
    "Content-Length: 5\r\nContent-Length: 5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: 5,6\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: -5\r\n",
    "Content-Length: 0x5\r\n",
    "Content-Length: 5 5\r\n",
    "Content-Length:\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked, chunked\r\nTransfer-Encoding: identity\r\n",
    "Transfer-Encoding: chunked, gzip\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding: \"chunked\"\r\n",
    "Transfer-Encoding:\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Content-Length : 5\r\n",
    "Content-Length\t: 5\r\n",
    " Content-Length: 5\r\n",
    "X: a\r\n Content-Length: 5\r\n",
    "X: a\r\n\tb\r\n",
    "X: a\nContent-Length: 5\r\n",
    "X: a\rContent-Length: 5\r\n",
    "X: a\r\rb\r\n",
    "X: a\0b\r\n"s,
    "X: a\x01\r\n",
    "X: a\x7f\r\n",
    "X: a\x01\nY: b\r\n",
    "X: a\n\nY: b\r\n",
    "X\r\n",
    ": a\r\n",
    "X y: a\r\n",
    "Host: b\r\n",
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(framing, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(what_is_clear_is_taken) {
  for (const char* more : {"", "Content-Length: 0\r\n", "Content-Length:5\r\n", "content-length: \t 5 \t\r\n",
                           "Transfer-Encoding: chunked\r\n", "TRANSFER-ENCODING: Chunked\r\n", "X:\r\n", "X: a\tb\r\n",
                           "X: \xc3\xa4\r\n", "X: a: b\r\n"})
    BOOST_TEST(refuse_header(with(more)) == 0U, more);
  BOOST_TEST(refuse_header("GET / HTTP/1.0\r\n\r\n") == 0U);
}

BOOST_AUTO_TEST_CASE(what_is_ambiguous_is_refused) {
  for (const std::string& more : ambiguous) {
    BOOST_TEST(refuse_header(with(more)) == 400U, more);
    BOOST_TEST(refusal_of(joined({with(more), "hello"})) == "HTTP/1.1 400 Bad Request", more);
  }
}

BOOST_AUTO_TEST_CASE(lengths_that_no_number_holds) {
  BOOST_TEST(refusal_of(with("Content-Length: 99999999999999999999999\r\n")) == "HTTP/1.1 400 Bad Request");
  BOOST_TEST(refusal_of(with("Content-Length: 18446744073709551616\r\n")) == "HTTP/1.1 400 Bad Request");
  BOOST_TEST(refusal_of(with("Content-Length: 18446744073709551615\r\n")) == "HTTP/1.1 413 Payload Too Large");
}

BOOST_AUTO_TEST_CASE(hosts) {
  BOOST_TEST(refusal_of("GET / HTTP/1.1\r\n\r\n") == "HTTP/1.1 400 Bad Request");
  BOOST_TEST(refuse_header("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n") == 400U);
}

BOOST_AUTO_TEST_CASE(codings) {
  BOOST_TEST(refusal_of(with("Transfer-Encoding: gzip, chunked\r\n")) == "HTTP/1.1 501 Not Implemented");
  BOOST_TEST(refusal_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == "HTTP/1.1 400 Bad Request");
}

BOOST_AUTO_TEST_CASE(request_lines) {
  for (const std::string line : {"GET /", "GET  / HTTP/1.1", " GET / HTTP/1.1", "GET\t/ HTTP/1.1", "G@T / HTTP/1.1",
                                 "GET /\x7f HTTP/1.1", "GET", ""})
    BOOST_TEST(refusal_of(joined({line, "\r\nHost: a\r\n\r\n"})) == "HTTP/1.1 400 Bad Request", line);
  // Other words in the place of the version.
  for (const std::string line :
       {"GET /  HTTP/1.1", "GET / HTTP/1.1 ", "GET / http/1.1", "GET / a HTTP/1.1", "GET / HTTP/2.0", "GET / HTTP/1.2",
        "GET / HTTP/0.9", "GET / HTTP/1.", "GET / HTTP/11"})
    BOOST_TEST(refusal_of(joined({line, "\r\nHost: a\r\n\r\n"})) == "HTTP/1.1 505 HTTP Version Not Supported", line);
}

BOOST_AUTO_TEST_CASE(lines_that_end_in_lf_alone_are_refused_at_once) {
  BOOST_TEST(refusal_of("GET / HTTP/1.1\n") == "HTTP/1.1 400 Bad Request");
  BOOST_TEST(refusal_of("GET / HTTP/1.1\r\nHost: a\n\n") == "HTTP/1.1 400 Bad Request");
  BOOST_TEST(refusal_of("\n") == "HTTP/1.1 400 Bad Request");
}

BOOST_AUTO_TEST_CASE(a_header_without_its_end_is_none) {
  BOOST_TEST(refuse_header("GET / HTTP/1.1\r\nHost: a\r\n") == 400U);
  BOOST_TEST(refuse_header("GET / HTTP/1.1\r\nHost: a\r\n\r\nX: a\r\n\r\n") == 400U);
  BOOST_TEST(refuse_header("") == 400U);
}

BOOST_AUTO_TEST_SUITE_END()
