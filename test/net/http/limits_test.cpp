// SPDX-License-Identifier: BSL-1.0
//
// Clients that ask for too much, or too slowly; the end of a server.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "net/http/conversation.hpp"
#include "support/leak_check.hpp"

namespace http = examples::http;
using namespace std::chrono_literals;
using heddle::testing::answers_to;
using heddle::testing::conversation;
using heddle::testing::joined;
using heddle::testing::tell;

namespace {

const std::string get = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nGET /a \n";

http::server_options quick() {
  http::server_options o;
  o.limits.header_time = o.limits.transfer_time = o.limits.idle_time = 50ms;
  return o;
}
/// The whole of an answer that refuses, with that status.
std::string refused(std::string_view status) {
  return joined({"HTTP/1.1 ", status, "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"});
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(limits, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(long_headers) {
  for (const std::size_t size : {16'000UL, 16'400UL, 100'000UL}) {
    const std::string sent = joined({"GET /a HTTP/1.1\r\nHost: a\r\nX: ", std::string(size, 'x'), "\r\n\r\n"});
    BOOST_TEST(answers_to(sent) == (size < 16'384 ? answer : refused("431 Request Header Fields Too Large")), size);
  }
  http::server_options o;
  o.limits.header_size = get.size();
  BOOST_TEST(answers_to(joined({get, get}), tell, o) == joined({answer, answer}));
  o.limits.header_size = get.size() - 1;
  BOOST_TEST(answers_to(get, tell, o) == refused("431 Request Header Fields Too Large"));
}

BOOST_AUTO_TEST_CASE(many_fields) {
  for (const int count : {98, 99, 100, 5'000}) {  // Host is one, too
    std::string sent = "GET /a HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < count; ++i) sent += "a:\r\n";
    BOOST_TEST(answers_to(sent + "\r\n").starts_with(count < 100 ? "HTTP/1.1 200 " : "HTTP/1.1 4"), count);
  }
}

BOOST_AUTO_TEST_CASE(long_bodies) {
  http::server_options o;
  o.limits.body_size = 10;
  const std::string post = "POST /a HTTP/1.1\r\nHost: a\r\n";
  BOOST_TEST(answers_to(joined({post, "Content-Length: 10\r\n\r\n0123456789"}), tell, o).starts_with("HTTP/1.1 200 "));
  BOOST_TEST(answers_to(joined({post, "Content-Length: 11\r\n\r\n0123456789a"}), tell, o) ==
             refused("413 Payload Too Large"));
  const std::string chunks = "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n";
  BOOST_TEST(answers_to(joined({post, chunks, "5\r\n56789\r\n0\r\n\r\n"}), tell, o).starts_with("HTTP/1.1 200 "));
  BOOST_TEST(answers_to(joined({post, chunks, "6\r\n56789a\r\n0\r\n\r\n"}), tell, o).starts_with("HTTP/1.1 413 "));
}

BOOST_AUTO_TEST_CASE(slow_headers) {
  conversation c(tell, quick());
  c.send("GET /a HTTP/1.1\r\nHo");
  BOOST_TEST(c.rest() == refused("408 Request Timeout"));
}

// Byte after byte, each in time, and the whole too late.
BOOST_AUTO_TEST_CASE(headers_that_trickle) {
  conversation c(tell, quick());
  std::thread slow([&] {
    for (int i = 0; i < 50; ++i) {
      c.send("G");
      std::this_thread::sleep_for(5ms);
    }
  });
  const std::string said = c.rest();
  slow.join();
  BOOST_TEST(said == refused("408 Request Timeout"));
}

BOOST_AUTO_TEST_CASE(slow_bodies) {
  conversation c(tell, quick());
  c.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
  const std::string said = c.rest();
  BOOST_TEST(said.starts_with("HTTP/1.1 408 "));
}

BOOST_AUTO_TEST_CASE(connections_that_rest) {
  conversation c(tell, quick());
  BOOST_TEST(c.rest() == "");
  conversation d(tell, quick());
  d.send(get);
  BOOST_TEST(d.rest() == answer);
}

// A client that does not take an answer does not keep its server for ever.
BOOST_AUTO_TEST_CASE(clients_that_do_not_read) {
  http::server_options o = quick();
  o.limits.least_rate = 1'000'000'000;
  conversation c(
      [&](http::request&, http::response& a) {
        a.begin();
        const std::string part(100'000, 'x');
        for (;;) a.write(part);  // until it throws
      },
      o);
  c.send(get);
  BOOST_TEST(c.writes() > 0);  // waits for the end of the server, which does not wait for us
}

BOOST_AUTO_TEST_CASE(a_stop_ends_connections_that_rest) {
  conversation c(tell);
  c.send(get);
  BOOST_TEST(c.until("/a \n") == answer);
  c.request_stop();
  BOOST_TEST(c.rest() == "");
  conversation silent(tell);
  silent.request_stop();
  BOOST_TEST(silent.rest() == "");
}

BOOST_AUTO_TEST_CASE(a_stop_lets_a_request_end) {
  std::mutex m;
  std::condition_variable changed;
  bool begun = false, stopped = false;
  conversation c([&](http::request& q, http::response& a) {
    std::unique_lock lock(m);
    begun = true;
    changed.notify_all();
    changed.wait(lock, [&] { return stopped; });
    const std::string body = q.read_all();  // comes after the stop
    a.send(body);
  });
  c.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
  {
    std::unique_lock lock(m);
    changed.wait(lock, [&] { return begun; });
    c.request_stop();
    stopped = true;
    changed.notify_all();
  }
  std::this_thread::sleep_for(20ms);  // it reads by now, most of the time
  c.send("hello");
  c.send(get);
  BOOST_TEST(c.rest() == "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

BOOST_AUTO_TEST_CASE(answers_after_a_stop_say_so) {
  std::mutex m;
  std::condition_variable changed;
  conversation* asked = nullptr;
  conversation c([&](http::request&, http::response& a) {
    std::unique_lock lock(m);
    changed.wait(lock, [&] { return asked != nullptr; });
    asked->request_stop();
    a.close_after();
    a.send("bye\n");
  });
  {
    const std::lock_guard lock(m);
    asked = &c;
    changed.notify_all();
  }
  c.send(joined({get, get}));
  BOOST_TEST(c.rest() == "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbye\n");
}

// A stop leaves a request unread in memory that the next connection gets.
BOOST_AUTO_TEST_CASE(what_one_client_has_sent_is_not_anothers) {
  std::mutex m;
  conversation* asked = nullptr;
  conversation next(tell);
  conversation c([&](http::request&, http::response& a) {
    const std::lock_guard lock(m);
    asked->request_stop();
    a.send("bye\n");
  });
  {
    const std::lock_guard lock(m);
    asked = &c;
  }
  c.send(joined({get, "GET /secret HTTP/1.1\r\nHost: a\r\n\r\n"}));
  BOOST_TEST(c.writes() == 1);  // it has ended
  next.send(get);
  next.finish();
  BOOST_TEST(next.rest() == answer);
}

BOOST_AUTO_TEST_CASE(the_log) {
  std::vector<std::string> lines;
  http::server_options o;
  o.log = [&](const http::log_entry& entry) {
    std::string line = http::combined_line(entry);
    const std::size_t time = line.find('[');
    BOOST_REQUIRE(line.find("] ") == time + 27);
    lines.push_back(line.erase(time, 29));
  };
  answers_to(joined({"GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: \"me\"\x1b[31m\r\nReferer: http://b/\r\n\r\n",
                     "HEAD /\xc3\xa4 HTTP/1.0\r\n\r\n"}),
             tell, o);
  BOOST_TEST(lines.size() == 1U);  // ESC is refused
  lines.clear();
  answers_to(joined({"GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: \"me\"\\\r\nReferer: http://b/\r\n\r\n",
                     "HEAD /\xc3\xa4 HTTP/1.0\r\n\r\n"}),
             tell, o);
  answers_to("nonsense\r\n\r\n", tell, o);
  const std::vector<std::string> expected{
      "tester - - \"GET /a HTTP/1.1\" 200 8 \"http://b/\" \"\\x22me\\x22\\x5C\"\n",
      "tester - - \"HEAD /\\xC3\\xA4 HTTP/1.0\" 200 0 \"-\" \"-\"\n",
      "tester - - \"- - HTTP/1.1\" 400 0 \"-\" \"-\"\n",
  };
  BOOST_TEST(lines == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
