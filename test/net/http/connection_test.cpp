// SPDX-License-Identifier: BSL-1.0
#include <boost/test/unit_test.hpp>
#include <string>
#include <vector>

#include "net/http/conversation.hpp"
#include "support/leak_check.hpp"

namespace http = examples::http;
using heddle::testing::answers_to;
using heddle::testing::conversation;
using heddle::testing::joined;
using heddle::testing::tell;

namespace {

std::string get(const std::string& target, const std::string& fields = "") {
  return joined({"GET ", target, " HTTP/1.1\r\nHost: a\r\n", fields, "\r\n"});
}
std::string ok(const std::string& body, const std::string& fields = "") {
  return joined({"HTTP/1.1 200 OK\r\nContent-Length: ", std::to_string(body.size()), "\r\n", fields, "\r\n", body});
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(connection, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(one_request) { BOOST_TEST(answers_to(get("/a")) == ok("GET /a \n")); }

BOOST_AUTO_TEST_CASE(a_short_answer_is_one_write) {
  conversation c([](http::request&, http::response& a) { a.send("hello\n"); });
  c.send(get("/") + get("/"));
  c.finish();
  BOOST_TEST(c.rest() == ok("hello\n") + ok("hello\n"));
  BOOST_TEST(c.writes() == 2);
}

BOOST_AUTO_TEST_CASE(a_client_that_says_nothing) {
  BOOST_TEST(answers_to("") == "");
  BOOST_TEST(answers_to("\r\n") == "");
}

BOOST_AUTO_TEST_CASE(requests_ahead_of_their_answers) {
  std::string sent, expected;
  for (int i = 0; i < 1'000; ++i) {
    sent += get(joined({"/", std::to_string(i)}));
    expected += ok(joined({"GET /", std::to_string(i), " \n"}));
  }
  BOOST_TEST(answers_to(sent) == expected);
}

BOOST_AUTO_TEST_CASE(requests_byte_by_byte) {
  conversation c(tell);
  for (const char byte : get("/a", "X: y\r\n") + "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
    c.send({&byte, 1});
  c.finish();
  BOOST_TEST(c.rest() == ok("GET /a \n") + ok("POST /b abc\n"));
}

// The server must neither run half a request nor drop the answer to the whole one.
BOOST_AUTO_TEST_CASE(a_request_and_a_half) {
  std::vector<std::string> ran;
  const auto note = [&](http::request& q, http::response& a) {
    ran.emplace_back(q.target());
    tell(q, a);
  };
  const std::string answers = answers_to(get("/whole") + "GET /half HTTP/1.1\r\nHost: a\r\n", note);
  BOOST_TEST(answers.starts_with(ok("GET /whole \n") + "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"));
  BOOST_TEST(ran == std::vector<std::string>{"/whole"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(half_a_body) {
  bool whole = false;
  const std::string answers = answers_to("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhal",
                                         [&](http::request& q, http::response& a) {
                                           q.read_all();
                                           whole = true;
                                           a.send();
                                         });
  BOOST_TEST(answers.starts_with("HTTP/1.1 400 Bad Request\r\n"));
  BOOST_TEST(!whole);
}

BOOST_AUTO_TEST_CASE(an_empty_line_in_front) {
  BOOST_TEST(answers_to(joined({"\r\n", get("/a")})) == ok("GET /a \n"));
  BOOST_TEST(answers_to(joined({"\r\n\r\n", get("/a")})) == ok("GET /a \n"));
  BOOST_TEST(answers_to(joined({"\r\n\r\n\r\n", get("/a")})).starts_with("HTTP/1.1 400 "));
  conversation c(tell);
  for (const char byte : joined({"\r\n\r\n\r\n", get("/a")})) c.send({&byte, 1});
  BOOST_TEST(c.rest().starts_with("HTTP/1.1 400 "));
}

BOOST_AUTO_TEST_CASE(close_is_asked_for) {
  BOOST_TEST(answers_to(get("/a", "Connection: close\r\n") + get("/b")) == ok("GET /a \n", "Connection: close\r\n"));
}

BOOST_AUTO_TEST_CASE(the_client_of_an_older_version) {
  BOOST_TEST(answers_to(joined({"GET /a HTTP/1.0\r\n\r\n", get("/b")})) == ok("GET /a \n", "Connection: close\r\n"));
  BOOST_TEST(answers_to(joined({"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", get("/b")})) ==
             ok("GET /a \n", "Connection: keep-alive\r\n") + ok("GET /b \n"));
}

BOOST_AUTO_TEST_CASE(the_answer_to_head_has_no_body) {
  const std::string head = "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string answer = ok("HEAD /a \n");
  BOOST_TEST(answers_to(head + get("/b")) == answer.substr(0, answer.find("\r\n\r\n") + 4) + ok("GET /b \n"));
}

BOOST_AUTO_TEST_CASE(answers_that_have_no_body) {
  for (const unsigned status : {204U, 304U})
    BOOST_TEST(answers_to(get("/"), [&](http::request&, http::response& a) {
                 a.status(status);
                 a.send("none");
               }).ends_with("\r\n\r\n"));
}

BOOST_AUTO_TEST_CASE(a_handler_without_an_answer) {
  BOOST_TEST(answers_to(get("/"), [](http::request&, http::response& a) { a.status(202); }) ==
             "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(a_handler_that_throws) {
  BOOST_TEST(answers_to(get("/") + get("/"), [](http::request&, http::response& a) {
               a.add("X-Secret", "1");
               throw std::runtime_error("mistake");
             }) == "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  // Behind the begin of an answer only the end of the connection says so.
  BOOST_TEST(answers_to(get("/") + get("/"), [](http::request&, http::response& a) {
               a.begin(10);
               a.write("abc");
               throw std::runtime_error("mistake");
             }) == "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
}

BOOST_AUTO_TEST_CASE(a_body_shorter_than_promised_costs_the_connection) {
  BOOST_TEST(answers_to(get("/") + get("/"), [](http::request&, http::response& a) {
               a.begin(10);
               a.write("abc");
             }) == "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
}

BOOST_AUTO_TEST_CASE(a_body_longer_than_promised_is_a_mistake) {
  const auto too_much = [](http::request&, http::response& a) {
    a.begin(2);
    BOOST_CHECK_THROW(a.write("abc"), std::logic_error);
    a.write("ab");
  };
  BOOST_TEST(answers_to(get("/"), too_much) == ok("ab"));
}

BOOST_AUTO_TEST_CASE(fields_cannot_end_their_line) {
  const auto inject = [](http::request&, http::response& a) {
    using namespace std::string_view_literals;
    for (const auto value : {"a\r\nSet-Cookie: b"sv, "a\nb"sv, "a\rb"sv, "a\0b"sv}) {
      BOOST_CHECK_THROW(a.add("X", value), std::invalid_argument);
      BOOST_CHECK_THROW(a.add(http::beast::field::location, value), std::invalid_argument);
      BOOST_CHECK_THROW(a.add(value, "X"), std::invalid_argument);
    }
    for (const auto name : {""sv, "a b"sv, "a:"sv, "\xc3\xa4"sv})
      BOOST_CHECK_THROW(a.add(name, "X"), std::invalid_argument);
    a.send("fine\n");
  };
  BOOST_TEST(answers_to(get("/"), inject) == ok("fine\n"));
}

BOOST_AUTO_TEST_CASE(fields_that_are_the_servers) {
  const auto add = [](http::request&, http::response& a) {
    for (const char* name : {"date", "Content-Length", "TRANSFER-ENCODING", "Connection"})
      BOOST_CHECK_THROW(a.add(name, "1"), std::invalid_argument);
    a.add("Content-Lengths", "1");
    a.add("X", "1");
    a.add("X", "2");
    a.send();
  };
  BOOST_TEST(answers_to(get("/"), add) ==
             "HTTP/1.1 200 OK\r\nContent-Lengths: 1\r\nX: 1\r\nX: 2\r\nContent-Length: 0\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(an_answer_larger_than_its_buffer) {
  const std::string field(3'000, 'f'), body(100'000, 'b');
  BOOST_TEST(answers_to(get("/") + get("/"), [&](http::request&, http::response& a) {
               a.add("A", field);
               a.add("B", field);
               a.send(body);
             }).size() > 2 * (body.size() + 2 * field.size()));
  const std::string answer = answers_to(get("/"), [&](http::request&, http::response& a) {
    a.add("A", field);
    a.add("B", field);
    a.send(body);
  });
  BOOST_TEST(answer ==
             "HTTP/1.1 200 OK\r\nA: " + field + "\r\nB: " + field + "\r\nContent-Length: 100000\r\n\r\n" + body);
}

BOOST_AUTO_TEST_SUITE_END()
