// SPDX-License-Identifier: BSL-1.0
#include <hiredis/hiredis.h>

#include <memory>

#include "crowd.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace libraries_test;

struct freeing {
  void operator()(redisContext* c) const { redisFree(c); }
  void operator()(redisReply* r) const { freeReplyObject(r); }
};
using connection = std::unique_ptr<redisContext, freeing>;
using reply = std::unique_ptr<redisReply, freeing>;

connection connect() { return connection(redisConnectUnix(server().c_str())); }

template <class... Args>
reply ask(const connection& c, const char* command, Args... args) {
  return reply(static_cast<redisReply*>(redisCommand(c.get(), command, args...)));
}
bool is_text(const reply& r, const std::string& text) {
  return r != nullptr && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS) &&
         std::string(r->str, r->len) == text;
}
bool is_number(const reply& r) { return r != nullptr && r->type == REDIS_REPLY_INTEGER; }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(hiredis, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(commands_of_many_fibers) {
  const connection gate = connect();
  BOOST_TEST_REQUIRE((gate != nullptr && gate->err == 0), "no connection");
  crowd all;
  all.run(
      [&](int i) {
        const connection c = connect();
        all.expect(c != nullptr && c->err == 0, "no connection");
        const std::string many(300'000, static_cast<char>('a' + i % 26));
        all.expect(is_text(ask(c, "SET key:%d %b", i, many.data(), many.size()), "OK"), "SET");
        for (int k = 0; k != 10; ++k) all.expect(is_number(ask(c, "INCR count")), "INCR");
        all.arrive();
        const reply token = ask(c, "BLPOP gate 0");
        all.expect(token != nullptr && token->type == REDIS_REPLY_ARRAY && token->elements == 2, "BLPOP");
        all.expect(is_text(ask(c, "GET key:%d", i), many), "GET");
        const reply wrong = ask(c, "NONSENSE");
        all.expect(wrong != nullptr && wrong->type == REDIS_REPLY_ERROR, "a wrong command");
      },
      [&] {
        for (int i = 0; i != crowd::size; ++i) BOOST_TEST(is_number(ask(gate, "RPUSH gate token")));
      });
  BOOST_TEST(is_text(ask(gate, "GET count"), std::to_string(10 * crowd::size)));
}

BOOST_AUTO_TEST_SUITE_END()
