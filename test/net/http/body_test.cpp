// SPDX-License-Identifier: BSL-1.0
//
// Bodies of requests and of answers: with a length, in chunks, held back until they are wanted, not read at all.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <string>
#include <thread>

#include "net/http/conversation.hpp"
#include "support/leak_check.hpp"

namespace http = examples::http;
using heddle::testing::answers_to;
using heddle::testing::conversation;
using heddle::testing::joined;
using heddle::testing::refusal_of;
using heddle::testing::tell;

namespace {

std::string ok(std::string_view body) {
  return joined({"HTTP/1.1 200 OK\r\nContent-Length: ", std::to_string(body.size()), "\r\n\r\n", body});
}
std::string counted(std::string_view body, std::string_view fields = "") {
  return joined(
      {"POST /c HTTP/1.1\r\nHost: a\r\n", fields, "Content-Length: ", std::to_string(body.size()), "\r\n\r\n", body});
}
std::string chunked(std::string_view body, std::string_view fields = "") {
  return joined({"POST /c HTTP/1.1\r\nHost: a\r\n", fields, "Transfer-Encoding: chunked\r\n\r\n", body});
}
const std::string next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";

}  // namespace

BOOST_FIXTURE_TEST_SUITE(body, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(with_a_length) {
  BOOST_TEST(answers_to(joined({counted("abc"), next})) == joined({ok("POST /c abc\n"), ok("GET /next \n")}));
  BOOST_TEST(answers_to(joined({counted(""), next})) == joined({ok("POST /c \n"), ok("GET /next \n")}));
}

BOOST_AUTO_TEST_CASE(in_chunks) {
  const std::string answers = joined({ok("POST /c abcdef\n"), ok("GET /next \n")});
  for (const char* body :
       {"6\r\nabcdef\r\n0\r\n\r\n", "1\r\na\r\n5\r\nbcdef\r\n0\r\n\r\n", "006\r\nabcdef\r\n000\r\n\r\n",
        "6;name=value\r\nabcdef\r\n0\r\n\r\n", "6;a=\"b;\\\"c\"\r\nabcdef\r\n0;x\r\n\r\n",
        "6\r\nabcdef\r\n0\r\nTrailer: x\r\nAnother: y\r\n\r\n"})
    BOOST_TEST(answers_to(joined({chunked(body), next})) == answers, body);
  BOOST_TEST(answers_to(joined({chunked("0\r\n\r\n"), next})) == joined({ok("POST /c \n"), ok("GET /next \n")}));
  BOOST_TEST(answers_to(joined({chunked("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), next})) ==
             joined({ok("POST /c 01234567890123456789\n"), ok("GET /next \n")}));
}

BOOST_AUTO_TEST_CASE(in_chunks_byte_by_byte) {
  conversation c(tell);
  for (const char byte : chunked("3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nT: u\r\n\r\n")) c.send({&byte, 1});
  c.finish();
  BOOST_TEST(c.rest() == ok("POST /c abc0123456789abcdef\n"));
}

BOOST_AUTO_TEST_CASE(broken_chunks_are_refused) {
  for (const char* body :
       {"g\r\nabc\r\n", "-1\r\n", "+3\r\nabc\r\n", "0x3\r\nabc\r\n\r\n", " 3\r\nabc\r\n", "\r\nabc\r\n",
        "3 3\r\nabc\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\r\nabc0\r\n\r\n", "3\r\nabc\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n", "3;\n\r\nabc\r\n0\r\n\r\n", "3,3\r\nabc\r\n", "FFFFFFFFFFFFFFFFF\r\n",
        "10000000000000000\r\n"})
    BOOST_TEST(refusal_of(chunked(body)) == "HTTP/1.1 400 Bad Request", body);
  BOOST_TEST(refusal_of(chunked("FFFFFFFFFFFFFFFF\r\n")) == "HTTP/1.1 413 Payload Too Large");
}

BOOST_AUTO_TEST_CASE(fields_behind_a_body_are_none) {
  const auto handle = [](http::request& q, http::response& a) {
    q.read_all();
    a.send(std::string(q.field(http::beast::field::authorization).value_or("none")) + '\n');
  };
  BOOST_TEST(answers_to(chunked("0\r\nAuthorization: me\r\n\r\n"), handle) == ok("none\n"));
  BOOST_TEST(answers_to(chunked("0\r\nAuthorization: me\r\n\r\n", "Authorization: you\r\n"), handle) == ok("you\n"));
}

BOOST_AUTO_TEST_CASE(large_bodies_arrive_whole) {
  std::string large(1'000'000, '\0');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i * i % 23);
  const auto echo = [](http::request& q, http::response& a) { a.send(q.read_all()); };
  std::string chunks;
  for (std::size_t at = 0; at < large.size(); at += 1'000)
    chunks += joined({"3e8\r\n", large.substr(at, 1'000), "\r\n"});
  for (const std::string& sent : {counted(large), chunked(joined({chunks, "0\r\n\r\n"}))}) {
    conversation c(echo);
    std::thread sender([&] {
      c.send(joined({sent, next}));
      c.finish();
    });
    const std::string answer = c.rest();
    sender.join();
    BOOST_TEST((answer == joined({ok(large), ok("")})));
  }
}

BOOST_AUTO_TEST_CASE(a_client_that_waits_to_be_asked) {
  conversation c(tell);
  c.send(counted("", "Expect: 100-continue\r\n"));  // nothing to wait for
  BOOST_TEST(c.until("\n\r\n") == "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
  BOOST_TEST(c.until("\n") == "POST /c \n");
  const std::string request = counted("abc", "Expect: 100-Continue\r\n");
  c.send(request.substr(0, request.size() - 3));
  BOOST_TEST(c.until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  c.send("abc");
  c.finish();
  BOOST_TEST(c.rest() == ok("POST /c abc\n"));
}

BOOST_AUTO_TEST_CASE(a_client_that_does_not_wait_is_not_asked) {
  BOOST_TEST(answers_to(counted("abc", "Expect: 100-continue\r\n")) == ok("POST /c abc\n"));
  BOOST_TEST(answers_to("POST /c HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc") ==
             "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\nPOST /c abc\n");
}

BOOST_AUTO_TEST_CASE(a_client_of_an_older_version_is_not_asked) {
  conversation c(tell);
  c.send("POST /c HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the server waits for the body by now, most of the time
  c.send("abc");
  BOOST_TEST(c.rest() == "HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\nPOST /c abc\n");
}

// The client may send its body though it was not asked to: nothing behind such a request can be told from it.
BOOST_AUTO_TEST_CASE(a_client_that_is_never_asked_loses_its_connection) {
  conversation c([](http::request&, http::response& a) {
    a.status(403);
    a.send();
  });
  const std::string request = counted("abc", "Expect: 100-continue\r\n");
  c.send(request.substr(0, request.size() - 3));
  BOOST_TEST(c.rest() == "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
}

// "100 Continue" would stand in the middle of the answer.
BOOST_AUTO_TEST_CASE(nothing_is_asked_for_behind_the_begin_of_an_answer) {
  conversation c([](http::request& q, http::response& a) {
    a.begin();
    BOOST_CHECK_THROW(q.read_all(), std::logic_error);
  });
  const std::string request = counted("abc", "Expect: 100-continue\r\n");
  c.send(request.substr(0, request.size() - 3));
  BOOST_TEST(c.rest() == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(expectations_that_we_do_not_know) {
  BOOST_TEST(refusal_of(counted("abc", "Expect: cake\r\n")) == "HTTP/1.1 417 Expectation Failed");
}

BOOST_AUTO_TEST_CASE(a_body_that_nobody_reads) {
  const auto ignore = [](http::request& q, http::response& a) { a.send(std::string(q.target()) + '\n'); };
  const std::string answers = joined({ok("/c\n"), ok("/next\n")});
  BOOST_TEST(answers_to(joined({counted(std::string(60'000, 'x')), next}), ignore) == answers);
  BOOST_TEST(answers_to(joined({chunked("3\r\nabc\r\n0\r\n\r\n"), next}), ignore) == answers);
  // Too long to be read in vain, or broken: the answer was given, and nothing behind it is.
  BOOST_TEST(answers_to(joined({counted(std::string(150'000, 'x')), next}), ignore) == ok("/c\n"));
  BOOST_TEST(answers_to(joined({chunked("3\r\nabcd\r\n0\r\n\r\n"), next}), ignore) == ok("/c\n"));
}

BOOST_AUTO_TEST_CASE(answers_in_chunks) {
  const auto handle = [](http::request&, http::response& a) {
    a.begin();
    a.write("abc");
    a.write("");
    a.write("0123456789abcdef!");
    a.end();
    a.end();
  };
  const std::string body = "3\r\nabc\r\n11\r\n0123456789abcdef!\r\n0\r\n\r\n";
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  BOOST_TEST(answers_to(joined({next, next}), handle) == joined({head, body, head, body}));
  BOOST_TEST(answers_to(joined({"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", next}), handle) == joined({head, head, body}));
  // A client of HTTP/1.0 knows no chunks.
  BOOST_TEST(answers_to("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", handle) ==
             "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc0123456789abcdef!");
}

BOOST_AUTO_TEST_CASE(chunks_that_end_with_an_error_have_no_end) {
  BOOST_TEST(answers_to(next, [](http::request&, http::response& a) {
               a.begin();
               a.write("abc");
               throw 1;
             }) == "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
}

BOOST_AUTO_TEST_SUITE_END()
