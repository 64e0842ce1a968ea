// SPDX-License-Identifier: BSL-1.0
#include "heddle/net/serve.hpp"

#include <sys/resource.h>

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "heddle/heddle.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::net::endpoint;
using heddle::net::serve;
using heddle::net::serve_options;
using heddle::net::tcp_listener;
using heddle::net::tcp_stream;

void echo(tcp_stream& s) {
  std::array<std::byte, 256> b;
  while (const std::size_t n = s.read_some(b)) s.write(std::span(b).first(n));
}

/// A server on its fiber.
template <class Handler>
struct server {
  explicit server(Handler h, const serve_options& options = {})
      : handler(h), o(options), fiber(heddle::spawn([this] { serve(l, handler, stop.get_token(), o); })) {}
  ~server() {
    stop.request_stop();
    fiber.join();
  }
  endpoint where() const { return l.local_endpoint(); }

  Handler handler;
  serve_options o;
  tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
  std::stop_source stop;
  heddle::join_handle<void> fiber;
};

std::string ask(tcp_stream& s, std::string_view what) {
  s.write(what);
  std::string answer(what.size(), '\0');
  s.read(std::as_writable_bytes(std::span(answer)), 10s);
  return answer;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(serving)

BOOST_AUTO_TEST_CASE(each_connection_has_its_fiber) {
  heddle::run([] {
    const server s(echo);
    std::vector<tcp_stream> all;
    for (int i = 0; i != 100; ++i) all.push_back(tcp_stream::connect(s.where()));
    for (int round = 0; round != 3; ++round)
      for (auto& c : all) BOOST_TEST(ask(c, "hello") == "hello");
    all.clear();
  });
}

BOOST_AUTO_TEST_CASE(no_more_connections_than_allowed) {
  heddle::run([] {
    std::atomic<int> now = 0, most = 0;
    const server s(
        [&](tcp_stream& c) {
          const int n = ++now;
          for (int seen = most; seen < n && !most.compare_exchange_weak(seen, n);) {
          }
          echo(c);
          --now;
        },
        {.most_connections = 3});
    heddle::group clients;
    for (int i = 0; i != 30; ++i)
      clients.spawn([&] {
        tcp_stream c = tcp_stream::connect(s.where());
        heddle::testing::expect(ask(c, "x") == "x");
        heddle::this_fiber::sleep_for(200us);
      });
    clients.wait();
    BOOST_TEST(most <= 3);
    BOOST_TEST(most > 0);
  });
}

BOOST_AUTO_TEST_CASE(a_stop_lets_requests_end) {
  heddle::run([] {
    tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
    std::stop_source stop;
    heddle::wait_group begun(1);
    auto serving = heddle::spawn([&] {
      serve(
          l,
          [&](tcp_stream& c, const std::stop_token& t) {
            std::array<std::byte, 8> b;
            c.read_some(b);
            begun.done();
            while (!t.stop_requested()) heddle::this_fiber::sleep_for(100us);
            c.write("done");
          },
          stop.get_token());
    });
    tcp_stream c = tcp_stream::connect(l.local_endpoint());
    c.write("work");
    begun.wait();
    stop.request_stop();
    std::string answer(4, '\0');
    c.read(std::as_writable_bytes(std::span(answer)), 10s);
    BOOST_TEST(answer == "done");
    serving.join();
    BOOST_TEST(!l.is_open());
  });
}

BOOST_AUTO_TEST_CASE(what_is_left_after_the_grace_period_is_closed) {
  heddle::run([] {
    std::error_code how;
    {
      server s(
          [&](tcp_stream& c) {
            std::array<std::byte, 8> b;
            c.read(b, {}, how);
          },
          {.grace = 5ms});
      tcp_stream c = tcp_stream::connect(s.where());
      c.write("half");
      heddle::this_fiber::sleep_for(2ms);
      s.stop.request_stop();
      std::array<std::byte, 8> b;
      BOOST_TEST(c.read_some(b, 10s) == 0u);
    }
    BOOST_TEST((how == heddle::io::errc::closed));
  });
}

BOOST_AUTO_TEST_CASE(exceptions_end_their_connection_only) {
  heddle::run([] {
    std::vector<std::string> told;
    serve_options o;
    o.on_exception = [&](const std::exception_ptr& e, const std::string& peer) {
      try {
        std::rethrow_exception(e);
      } catch (const std::exception& x) {
        told.push_back(peer + " " + x.what());
      }
    };
    const server s(
        [](tcp_stream& c) {
          std::array<std::byte, 8> b;
          c.read_some(b);
          if (b[0] == std::byte{'!'}) throw std::runtime_error("as asked");
          c.write(std::span(b).first(1));
        },
        o);
    tcp_stream bad = tcp_stream::connect(s.where()), good = tcp_stream::connect(s.where());
    bad.write("!");
    std::array<std::byte, 8> b;
    BOOST_TEST(bad.read_some(b, 10s) == 0u);
    BOOST_TEST(ask(good, "x") == "x");
    BOOST_TEST_REQUIRE(told.size() == 1u);
    BOOST_TEST(told[0] == bad.local_endpoint().to_string() + " as asked");
  });
}

// Without descriptors connections wait in the queue, and are served when others have ended. Said once.
/// A listener of the program's own, which throws instead of accepting once more, or instead of saying its name.
struct throwing_listener {
  heddle::net::tcp_stream accept(const heddle::net::limits& l, std::error_code& ec) {
    if (accepted == most && !by_name) throw std::runtime_error("cannot accept");
    tcp_stream s = of.accept(l, ec);
    ++accepted;
    return s;
  }
  std::string name() const {
    if (accepted > most) throw std::runtime_error("cannot say");
    return "a listener";
  }
  void close() {
    of.close();
    closed = true;
  }
  tcp_listener of = tcp_listener::listen(endpoint::loopback_v4(0));
  bool by_name = false;
  int most = 3;
  int accepted = 0;
  bool closed = false;
};

// Connections go on until the grace period is over, and only then the exception leaves serve(): they refer to it.
BOOST_AUTO_TEST_CASE(a_listener_that_throws) {
  for (const bool by_name : {false, true})
    heddle::run([&] {
      throwing_listener l;
      l.by_name = by_name;
      std::vector<tcp_stream> clients;
      for (int i = 0; i != 4; ++i) clients.push_back(tcp_stream::connect(l.of.local_endpoint()));
      std::atomic<int> begun{0}, ended{0};
      const auto handler = [&](tcp_stream& s, const std::stop_token&) {
        ++begun;
        std::error_code ec;
        std::array<std::byte, 1> one;
        s.read_some(one, 20s, ec);
        for (int i = 0; i != 20; ++i) heddle::this_fiber::yield();
        ++ended;
      };
      std::stop_source stop;
      BOOST_CHECK_THROW(serve(l, handler, stop.get_token(), {.most_connections = 10, .grace = 20ms}),
                        std::runtime_error);
      BOOST_TEST(l.closed);
      BOOST_TEST(begun == 3);
      BOOST_TEST(ended == 3);
    });
}

BOOST_AUTO_TEST_CASE(too_few_descriptors) {
  const auto end = heddle::testing::death_of([] {
    heddle::run([] {
      tcp_listener l = tcp_listener::listen(endpoint::loopback_v4(0));
      constexpr std::size_t clients = 40, room = 8;
      std::vector<tcp_stream> all;
      for (std::size_t i = 0; i != clients; ++i) all.push_back(tcp_stream::connect(l.local_endpoint()));
      const auto used = static_cast<rlim_t>(all.back().native_handle()) + 1;
      const rlimit few{used + room, used + room};
      ::setrlimit(RLIMIT_NOFILE, &few);
      std::stop_source stop;
      auto serving = heddle::spawn([&] { serve(l, echo, stop.get_token()); });
      for (auto& c : all)
        if (ask(c, "x") != "x")
          ::_exit(3);
        else
          c.close();
      stop.request_stop();
      serving.join();
    });
  });
  BOOST_TEST(end.signal == 0);
  BOOST_TEST(end.status == 0, end.text);
  const auto first = end.text.find("Too many open files");
  BOOST_TEST(first != std::string::npos);
  BOOST_TEST(end.text.find("Too many open files", first + 1) == std::string::npos, end.text);
}

BOOST_AUTO_TEST_SUITE_END()
