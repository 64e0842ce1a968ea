// SPDX-License-Identifier: BSL-1.0
//
// The client of Redis, beside a real server, and beside one that goes away in the middle of everything.
#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "client.hpp"
#include "heddle/heddle.hpp"
#include "heddle/net/serve.hpp"
#include "server_process.hpp"
#include "settled.hpp"
#include "subscriber.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
namespace redis = examples::redis;
using clock = std::chrono::steady_clock;
using heddle::testing::redis_server;

/// One server for all tests that leave it alone.
struct shared_server {
  shared_server() : server(std::make_unique<redis_server>()) { address = server->address(); }
  ~shared_server() { server.reset(); }
  static inline std::string address;
  std::unique_ptr<redis_server> server;
};
using settled_network = heddle::testing::settled_network<64>;

redis::options at(const std::string& server) { return {.server = server, .timeout = 60s}; }
redis::options here() { return at(shared_server::address); }

/// The no_answer that f throws.
template <class F>
redis::no_answer thrown_by(F f) {
  try {
    f();
  } catch (const redis::no_answer& e) {
    return e;
  }
  BOOST_FAIL("nothing was thrown");
  return {"", false};
}

/// Whether f() becomes true, which it does soon unless something is broken.
template <class F>
bool comes_true(F f) {
  for (const auto end = clock::now() + 60s; !f(); heddle::this_fiber::sleep_for(1ms))
    if (clock::now() > end) return false;
  return true;
}

/// A word that is no part of another one.
std::string marked(int i) { return std::to_string(100 + i) + "!"; }

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(shared_server);
BOOST_TEST_GLOBAL_FIXTURE(settled_network);

BOOST_FIXTURE_TEST_SUITE(redis_example, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(values_of_all_kinds) {
  heddle::run([] {
    redis::client c(here());
    BOOST_TEST(c.command("SET", "key", "value").text() == "OK");
    BOOST_TEST(c.command("GET", "key").text() == "value");
    BOOST_TEST(c.command("GET", "no such key").is_nil());
    BOOST_TEST(c.command("INCRBY", "number", "42").integer() == 42);
    BOOST_TEST(c.command("EXISTS", "number").boolean());
    BOOST_TEST(c.command("GET", "number").number() == 42.0);
    c.command("ZADD", "scores", "1.5", "m", "inf", "n");
    BOOST_TEST(c.command("ZSCORE", "scores", "m").number() == 1.5);
    BOOST_TEST(c.command("ZSCORE", "scores", "n").number() > 1e308);
    BOOST_CHECK_THROW(c.command("GET", "key").number(), std::logic_error);
    BOOST_CHECK_THROW(c.command("GET", "key").boolean(), std::logic_error);
    c.command("RPUSH", "list", "a", "b");
    const redis::reply list = c.command("LRANGE", "list", "0", "-1");
    BOOST_TEST_REQUIRE(list.size() == 2u);
    BOOST_TEST(list[0].text() == "a");
    BOOST_TEST(list[1].text() == "b");
    std::string any(1'000'000, '\0');
    for (std::size_t i = 0; i != any.size(); ++i) any[i] = static_cast<char>(i * 31 + i / 256);
    c.command("SET", "any", any);
    BOOST_TEST((c.command("GET", "any").text() == any));
  });
}

BOOST_AUTO_TEST_CASE(what_redis_refuses_is_an_error_of_that_command) {
  heddle::run([] {
    redis::client c(here());
    c.command("SET", "text", "abc");
    BOOST_CHECK_EXCEPTION(c.command("INCR", "text"), redis::error,
                          [](const redis::error& e) { return std::string(e.what()).starts_with("ERR "); });
    BOOST_TEST(c.command("GET", "text").text() == "abc");
  });
}

BOOST_AUTO_TEST_CASE(a_thousand_fibers_share_one_connection) {
  heddle::run([] {
    redis::client c(here());
    const auto connected = [&] {
      const redis::reply r = c.command("CLIENT", "LIST");
      return std::count(r.text().begin(), r.text().end(), '\n');
    };
    std::atomic<int> wrong{0};
    heddle::group all;
    for (int i = 0; i != 1000; ++i)
      all.spawn([&, i] {
        for (int k = 0; k != 100; ++k) {
          const std::string word = std::to_string(i) + ":" + std::to_string(k);
          if (k % 2 == 0 ? c.command("ECHO", word).text() != word : !c.command("INCR", "count").is_integer()) ++wrong;
        }
      });
    all.wait();
    BOOST_TEST(wrong == 0);
    BOOST_TEST(c.command("GET", "count").text() == "50000");
    BOOST_TEST(connected() == 1);
  });
}

BOOST_AUTO_TEST_CASE(the_greeting_comes_first_on_each_connection) {
  heddle::run([] {
    redis::options o = here();
    o.greeting = {{"SELECT", "3"}, {"CLIENT", "SETNAME", "polite"}};
    redis::client c(o);
    BOOST_TEST(c.command("CLIENT", "GETNAME").text() == "polite");
    const long long first = c.command("CLIENT", "ID").integer();
    c.command("CLIENT", "KILL", "ID", std::to_string(first), "SKIPME", "no");
    const auto id = [&] {
      try {
        return c.command("CLIENT", "ID").integer();
      } catch (const redis::no_answer&) {  // went to the connection that ends
        return first;
      }
    };
    BOOST_TEST(comes_true([&] { return id() != first; }));
    BOOST_TEST(c.command("CLIENT", "GETNAME").text() == "polite");
  });
}

BOOST_AUTO_TEST_CASE(a_deadline_ends_its_command_only) {
  heddle::run([] {
    redis::client c(here()), other(here());
    c.command("PING");
    const std::array<std::string_view, 3> slow{"BLPOP", "slow", "0"};
    const auto e = thrown_by([&] { c.ask(slow, clock::now() + 10ms); });
    BOOST_TEST(e.maybe_done());
    BOOST_TEST(other.command("RPUSH", "slow", "late").integer() == 1);
    BOOST_TEST(c.command("ECHO", "after").text() == "after");  // not the late reply of the other
  });
}

BOOST_AUTO_TEST_CASE(without_a_server_nothing_is_sent) {
  heddle::run([] {
    redis::client c(at("127.0.0.1:" + std::to_string(heddle::testing::free_port())));
    std::string why;
    // It says so when it has tried; a deadline may be over before.
    const auto refused = [&] {
      const auto e = thrown_by([&] { c.ask(std::array<std::string_view, 1>{"PING"}, clock::now() + 100ms); });
      BOOST_TEST(!e.maybe_done());
      why = e.what();
      return why.find("Connection refused") != std::string::npos;
    };
    BOOST_TEST(comes_true(refused), why);
  });
}

BOOST_AUTO_TEST_CASE(what_is_published_is_heard_in_order) {
  heddle::run([] {
    redis::client c(here());
    redis::subscriber s(here());
    s.subscribe("numbers");
    s.subscribe("words");
    for (int i = 0; i != 500; ++i) {
      BOOST_TEST(c.command("PUBLISH", i % 5 == 0 ? "words" : "numbers", std::to_string(i)).integer() == 1);
      if (i % 100 == 0) c.command("PUBLISH", "others", "x");
    }
    for (int i = 0; i != 500; ++i) {
      const auto m = s.messages().receive_for(30s);
      BOOST_TEST_REQUIRE(m.has_value());
      BOOST_TEST(m->text == std::to_string(i));
      BOOST_TEST(m->channel == (i % 5 == 0 ? "words" : "numbers"));
    }
    s.unsubscribe("words");
    BOOST_TEST(comes_true([&] { return c.command("PUBLISH", "words", "x").integer() == 0; }));
  });
}

// The server takes commands and goes away without a word. Each command must have come once.
BOOST_AUTO_TEST_CASE(a_lost_connection_repeats_nothing) {
  heddle::run([] {
    auto l = heddle::net::tcp_listener::listen(heddle::net::endpoint::loopback_v4(0));
    std::stop_source stop;
    heddle::mutex lock;
    std::string heard;
    auto serving = heddle::spawn([&] {
      heddle::net::serve(
          l,
          [&](heddle::net::tcp_stream& s) {
            std::array<std::byte, 4096> b;
            const std::size_t n = s.read_some(b);
            const std::lock_guard hold(lock);
            heard.append(reinterpret_cast<const char*>(b.data()), n);
          },
          stop.get_token());
    });
    {
      redis::client c(at(l.name()));
      heddle::group all;
      for (int i = 0; i != 20; ++i)
        all.spawn([&, i] {
          const std::string word = marked(i);
          const auto e = thrown_by([&] { c.command("ECHO", word); });
          if (!e.maybe_done()) throw std::runtime_error(e.what());
        });
      BOOST_CHECK_NO_THROW(all.wait());
    }
    stop.request_stop();
    serving.join();
    for (int i = 0; i != 20; ++i) {
      const std::string word = marked(i);
      BOOST_TEST(heard.find(word) == heard.rfind(word), word);
    }
    BOOST_TEST(heard.find("ECHO") != std::string::npos);
  });
}

// A command that is too large for the connection holds up another one, and then the connection is lost.
BOOST_AUTO_TEST_CASE(what_stood_in_line_is_not_sent_to_the_next_connection) {
  const auto main = [] {
    auto l = heddle::net::tcp_listener::listen(heddle::net::endpoint::loopback_v4(0));
    std::stop_source stop;
    heddle::wait_group begun(1), in_line(1);
    std::atomic<bool> first{true};
    std::string heard;
    auto serving = heddle::spawn([&] {
      heddle::net::serve(
          l,
          [&](heddle::net::tcp_stream& s) {
            std::array<std::byte, 16> b;
            s.read(b);
            if (first.exchange(false)) begun.done();
            in_line.wait();  // over for all connections but the first
            heard.append(reinterpret_cast<const char*>(b.data()), b.size());
          },
          stop.get_token());
    });
    {
      redis::client c(at(l.name()));
      auto large = heddle::spawn([&] { thrown_by([&] { c.command("SET", "large", std::string(30'000'000, 'x')); }); });
      auto late = heddle::spawn([&] {
        begun.wait();
        thrown_by([&] { c.command("ECHO", "late"); });
      });
      begun.wait();
      heddle::testing::settle();  // it stands in line
      in_line.done();
      large.join();
      late.join();
      thrown_by([&] { c.command("ECHO", "next"); });
    }
    stop.request_stop();
    serving.join();
    // Sixteen bytes of each connection: the large command, and the next one.
    BOOST_TEST(heard.size() == 32u);
    BOOST_TEST(heard.starts_with("*3"));
  };
  heddle::run(main, {.procs = 1, .monitor = false});  // one fiber at a time
}

BOOST_AUTO_TEST_CASE(a_server_that_is_killed_and_comes_back) {
  heddle::run([] {
    redis_server server;
    redis::client c(at(server.address())), waiting(at(server.address()));
    redis::subscriber s(at(server.address()));
    s.subscribe("news");
    std::atomic<int> answered{0}, wrong{0};
    heddle::group all;
    for (int i = 0; i != 50; ++i)
      all.spawn([&, i](const std::stop_token& over) {
        for (int k = 0; !over.stop_requested(); ++k) try {
            const std::string word = std::to_string(i) + ":" + std::to_string(k);
            if (c.command("ECHO", word).text() != word) ++wrong;
            ++answered;
          } catch (const redis::no_answer& e) {
            if (!e.maybe_done()) throw;  // it has waited a minute for a connection
          }
      });
    const auto many_are_answered = [&] {
      const int from = answered;
      return comes_true([&] { return answered >= from + 200; });
    };
    // The commands of the fifty may all have been answered when the server is killed. This one certainly is not.
    const auto on_the_way = [&] { return thrown_by([&] { waiting.command("BLPOP", "nothing", "0"); }); };
    const auto server_has_it = [&] {
      return c.command("INFO", "clients").text().find("blocked_clients:1") != std::string_view::npos;
    };
    for (int i = 0; i != 3; ++i) {
      BOOST_TEST(many_are_answered());
      auto lost = heddle::spawn(on_the_way);
      BOOST_TEST(comes_true(server_has_it));
      const std::size_t connections = s.connections();
      server.kill();
      const redis::no_answer e = lost.join();
      BOOST_TEST(e.maybe_done());
      BOOST_TEST(std::string(e.what()).find("the connection is lost") != std::string::npos, e.what());  // at once
      server.start();
      BOOST_TEST(comes_true([&] { return s.connections() > connections; }));
    }
    BOOST_TEST(many_are_answered());
    all.request_stop();
    BOOST_CHECK_NO_THROW(all.wait());
    BOOST_TEST(wrong == 0);
    s.subscribe("news");  // as it was before: confirmed again by now
    BOOST_TEST(c.command("PUBLISH", "news", "back").integer() == 1);
    const auto m = s.messages().receive_for(30s);
    BOOST_TEST_REQUIRE(m.has_value());
    BOOST_TEST(m->text == "back");
  });
}

#ifdef REDIS_REPLY_MAP

namespace {
redis::options with_resp3() {
  redis::options o = here();
  o.greeting = {{"HELLO", "3"}};
  return o;
}
}  // namespace

BOOST_AUTO_TEST_CASE(kinds_of_resp3) {
  heddle::run([] {
    redis::client c(with_resp3());
    BOOST_TEST(c.command("SET", "three", "value").text() == "OK");
    BOOST_TEST(c.command("GET", "no such key").is_nil());
    BOOST_TEST(c.command("INCRBY", "three number", "42").integer() == 42);
    c.command("HSET", "three hash", "field", "a", "other", "b");
    const redis::reply map = c.command("HGETALL", "three hash");
    BOOST_TEST(map.type() == REDIS_REPLY_MAP);
    BOOST_TEST_REQUIRE(map.size() == 4u);
    BOOST_TEST(map[0].text() == "field");
    BOOST_TEST(map[3].text() == "b");
    c.command("SADD", "three set", "x");
    const redis::reply set = c.command("SMEMBERS", "three set");
    BOOST_TEST(set.type() == REDIS_REPLY_SET);
    BOOST_TEST_REQUIRE(set.size() == 1u);
    BOOST_TEST(set[0].text() == "x");
    c.command("ZADD", "three scores", "1.5", "m", "-inf", "n");
    BOOST_TEST(c.command("ZSCORE", "three scores", "m").type() == REDIS_REPLY_DOUBLE);
    BOOST_TEST(c.command("ZSCORE", "three scores", "m").number() == 1.5);
    BOOST_TEST(c.command("ZSCORE", "three scores", "n").number() < -1e308);
    const auto script = [&](const std::string& result) {
      return c.command("EVAL", "redis.setresp(3); return " + result, "0");
    };
    BOOST_TEST(script("true").type() == REDIS_REPLY_BOOL);
    BOOST_TEST(script("true").boolean());
    BOOST_TEST(!script("false").boolean());
    BOOST_TEST(script("{big_number='12345678901234567890'}").text() == "12345678901234567890");
    BOOST_TEST(script("{verbatim_string={format='txt',string='words'}}").text() == "words");
    BOOST_TEST(script("{map={k={set={a=true}}}}")[1][0].text() == "a");
    BOOST_CHECK_THROW(script("true").integer(), std::logic_error);
    BOOST_CHECK_EXCEPTION(c.command("NONSENSE"), redis::error,
                          [](const redis::error& e) { return std::string(e.what()).starts_with("ERR "); });
  });
}

// Redis tells a client that follows keys when they change: between answers, and between those to the greeting.
BOOST_AUTO_TEST_CASE(pushes_are_no_answers) {
  heddle::run([] {
    redis::options o = with_resp3();
    o.greeting.push_back({"CLIENT", "TRACKING", "ON", "BCAST"});
    o.greeting.push_back({"SET", "followed", "0"});  // which it is told of before the next answer
    o.greeting.push_back({"GET", "followed"});
    redis::client c(o);
    redis::client other(here());
    heddle::group all;
    std::atomic<int> wrong{0};
    for (int i = 0; i != 50; ++i)
      all.spawn([&, i] {
        for (int k = 0; k != 40; ++k) {
          other.command("SET", "followed " + std::to_string(i), std::to_string(k));
          const std::string word = std::to_string(i) + ":" + std::to_string(k);
          if (c.command("ECHO", word).text() != word) ++wrong;
        }
      });
    all.wait();
    BOOST_TEST(wrong == 0);
    BOOST_TEST(c.command("GET", "followed").text() == "0");
  });
}

BOOST_AUTO_TEST_CASE(what_is_published_is_heard_in_resp3) {
  heddle::run([] {
    redis::client c(with_resp3());
    redis::subscriber news(with_resp3());
    news.subscribe("three");
    for (int i = 0; i != 100; ++i) BOOST_TEST(c.command("PUBLISH", "three", std::to_string(i)).integer() == 1);
    for (int i = 0; i != 100; ++i) {
      const auto m = news.messages().receive();
      BOOST_TEST_REQUIRE(m.has_value());
      BOOST_TEST(m->channel == "three");
      BOOST_TEST(m->text == std::to_string(i));
    }
  });
}

#else

// hiredis before 1.0 cannot read it.
BOOST_AUTO_TEST_CASE(resp3_is_refused_with_the_reason) {
  heddle::run([] {
    redis::options o = here();
    o.greeting = {{"HELLO", "3"}};
    o.timeout = 500ms;
    redis::client c(o);
    const auto e = thrown_by([&] { c.command("PING"); });
    BOOST_TEST(!e.maybe_done());
    BOOST_TEST(std::string(e.what()).find("Protocol error") != std::string::npos, e.what());
  });
}

#endif

BOOST_AUTO_TEST_SUITE_END()
