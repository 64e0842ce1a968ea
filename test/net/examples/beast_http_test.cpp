// SPDX-License-Identifier: BSL-1.0
#include "beast_http.hpp"

#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <string>

#include "asio_server.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

namespace net = boost::asio;
namespace http = examples::http;
using namespace std::chrono_literals;
using boost::system::error_code;
using examples::asio_server;
using examples::http_client;
using examples::http_session;
using heddle::asio::reactor;
using heddle::asio::use_fiber;
using net::ip::tcp;

http_session::response says_what_it_got(const http_session::request& q) {
  http_session::response r(http::status::ok, 11);
  r.body() = std::string(q.method_string()) + ' ' + std::string(q.target()) + ' ' + q.body();
  return r;
}
const tcp::endpoint free_port(net::ip::address_v4::loopback(), 0);
std::string port_of(const asio_server& s) { return std::to_string(s.endpoint().port()); }

/// The bytes that come back for these, until the server closes or a second has gone.
std::string raw(reactor& r, const asio_server& server, const std::string& bytes) {
  tcp::socket s(r.get_executor());
  s.async_connect(server.endpoint(), use_fiber);
  net::async_write(s, net::buffer(bytes), use_fiber);
  std::string answer;
  error_code e;
  net::async_read(s, net::dynamic_buffer(answer), use_fiber[e].within(20s));
  return answer;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(beast_http, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(thousand_requests_of_hundred_fibers) {
  reactor r;
  heddle::run([&] {
    asio_server server(r, free_port, http_session(says_what_it_got));
    constexpr int requests = heddle::testing::times(10);
    std::atomic<int> right{0};
    heddle::group clients;
    for (int i = 0; i != 100; ++i)
      clients.spawn([&, i] {
        http_client client(r, "127.0.0.1", port_of(server));
        for (int n = 0; n != requests; ++n) {
          const std::string target = '/' + std::to_string(i) + '/' + std::to_string(n);
          if (n % 2 == 0 && client.get(target).body() == "GET " + target + ' ') ++right;
          if (n % 2 == 1 && client.post(target, "body").body() == "POST " + target + " body") ++right;
        }
      });
    clients.wait();
    BOOST_TEST(right == 100 * requests);
    server.stop();
  });
}

BOOST_AUTO_TEST_CASE(keeps_connections_alive_and_takes_several_requests_at_once) {
  reactor r;
  heddle::run([&] {
    asio_server server(r, free_port, http_session(says_what_it_got));
    const std::string answer = raw(r, server,
                                   "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                                   "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    for (const char* part : {"GET /1 ", "GET /2 ", "GET /3 "}) BOOST_TEST(answer.find(part) != std::string::npos);
    server.stop();
  });
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_request_or_too_long) {
  reactor r;
  heddle::run([&] {
    asio_server server(r, free_port, http_session(says_what_it_got));
    for (const std::string& bytes :
         {std::string("NONSENSE\r\n\r\n"), "GET / HTTP/1.1\r\nX: " + std::string(10'000, 'x') + "\r\n\r\n",
          std::string("POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"),
          std::string("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")})
      BOOST_TEST(raw(r, server, bytes).substr(0, 12) == "HTTP/1.1 400");
    server.stop();
  });
}

BOOST_AUTO_TEST_CASE(loses_patience_with_slow_clients) {
  reactor r;
  heddle::run([&] {
    asio_server server(r, free_port, http_session(says_what_it_got, 20ms));
    BOOST_TEST(raw(r, server, "GET / HTTP/1.1\r\nHo") == "");
    server.stop();
  });
}

BOOST_AUTO_TEST_CASE(stops_though_connections_are_open) {
  reactor r;
  heddle::run([&] {
    asio_server server(r, free_port, http_session(says_what_it_got));
    http_client client(r, "127.0.0.1", port_of(server));
    BOOST_TEST(client.get("/").result_int() == 200u);
    server.stop();
    BOOST_CHECK_THROW(client.get("/"), boost::system::system_error);
    asio_server never_stopped(r, free_port, http_session(says_what_it_got));
    http_client another(r, "127.0.0.1", port_of(never_stopped));
  });
}

BOOST_AUTO_TEST_CASE(serves_so_many_at_a_time) {
  reactor r;
  heddle::run([&] {
    std::atomic<int> inside{0}, most{0};
    const auto answer = [&](const http_session::request&) {
      const int now = ++inside;
      for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      heddle::this_fiber::sleep_for(1ms);
      --inside;
      http_session::response out(http::status::ok, 11);
      return out;
    };
    asio_server server(r, free_port, http_session(answer), 3);
    heddle::group clients;
    for (int i = 0; i != 20; ++i) clients.spawn([&] { http_client(r, "127.0.0.1", port_of(server)).get("/"); });
    clients.wait();
    BOOST_TEST(most > 0);
    BOOST_TEST(most <= 3);
    server.stop();
  });
}

BOOST_AUTO_TEST_SUITE_END()
