// SPDX-License-Identifier: BSL-1.0
//
// The chat with fifty clients, and with one that does not read.
#include "chat.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "heddle/heddle.hpp"
#include "settled.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using examples::chat;
using examples::line_reader;
using heddle::net::endpoint;
using heddle::net::tcp_listener;
using heddle::net::tcp_stream;

using settled_network = heddle::testing::settled_network<256>;

std::string numbered(const char* what, std::size_t i) {
  std::string name(what);
  name += std::to_string(i);
  return name;
}

struct chat_server {
  chat_server()
      : serving(heddle::spawn([this] {
          heddle::net::serve(
              listener, [this](tcp_stream& s, const std::stop_token& over) { all.serve(s, over); }, stop.get_token());
        })) {}
  ~chat_server() { stop.request_stop(); }

  chat all;
  tcp_listener listener = tcp_listener::listen(endpoint::loopback_v4(0));
  std::stop_source stop;
  heddle::join_handle<void> serving;
};

/// One of those who chat. Lines about others' coming and going are left out.
class person {
 public:
  person(const chat_server& s, const std::string& name, const std::string& room)
      : stream_(tcp_stream::connect(s.listener.local_endpoint())) {
    say("/name " + name);
    say("/join " + room);
    const std::string there = "* " + name + " is in " + room;
    while (any_line() != there) {
    }
  }
  void say(const std::string& line) { stream_.write(line + "\n", 30s); }
  std::string hear() {
    for (;;)
      if (std::string line = any_line(); !line.starts_with("* ")) return line;
  }
  std::string any_line() {
    const auto line = lines_.next(30s);
    if (!line) throw std::runtime_error("the chat has ended");
    return *line;
  }
  tcp_stream& stream() { return stream_; }

 private:
  tcp_stream stream_;
  line_reader lines_{stream_, 10'000};
};

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(settled_network);

BOOST_FIXTURE_TEST_SUITE(chat_example, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(lines_are_heard_in_their_room) {
  heddle::run([] {
    const chat_server s;
    person ada(s, "Ada", "looms"), alan(s, "Alan", "looms"), eve(s, "Eve", "doors");
    ada.say("hello\r");
    BOOST_TEST(alan.hear() == "Ada: hello");
    eve.say("who is there?");
    alan.say("good morning");
    BOOST_TEST(ada.hear() == "Alan: good morning");  // and nothing of Eve, nor her own
    eve.say("/join looms");
    while (ada.any_line() != "* Eve is in looms") {
    }
    eve.say("now I am");
    BOOST_TEST(ada.hear() == "Eve: now I am");
    BOOST_TEST(alan.hear() == "Eve: now I am");
    alan.stream().close();
    BOOST_TEST(ada.any_line() == "* Alan has left");
  });
}

BOOST_AUTO_TEST_CASE(fifty_clients_hear_the_same_in_the_same_order) {
  heddle::run([] {
    const chat_server s;
    constexpr std::size_t people = 50, rooms = 2, lines = 4;
    heddle::wait_group there(people), heard_all(people);
    std::vector<std::vector<std::string>> heard(people);
    heddle::group all;
    for (std::size_t i = 0; i != people; ++i)
      all.spawn([&, i] {
        person p(s, numbered("p", i), numbered("room", i % rooms));
        there.done();
        there.wait();
        for (std::size_t k = 0; k != lines; ++k) p.say(std::to_string(k));
        while (heard[i].size() != (people / rooms - 1) * lines) heard[i].push_back(p.hear());
        heard_all.done();
        heard_all.wait();  // one that goes with lines unread may take its own with it
      });
    BOOST_CHECK_NO_THROW(all.wait());
    for (std::size_t i = 0; i != people; ++i) {
      // Each line once, those of one person in their order; and for two that hear, without what they say themselves,
      // the same sequence.
      BOOST_TEST((std::set<std::string>(heard[i].begin(), heard[i].end()).size() == heard[i].size()));
      const auto without = [&](std::size_t whose, std::size_t a, std::size_t b) {
        std::vector<std::string> rest;
        for (const std::string& line : heard[whose])
          if (!line.starts_with(numbered("p", a) + ":") && !line.starts_with(numbered("p", b) + ":"))
            rest.push_back(line);
        return rest;
      };
      BOOST_TEST((without(i, i, i % rooms) == without(i % rooms, i, i % rooms)));
    }
    BOOST_TEST(s.all.cut_off() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(who_does_not_read_is_cut_off_and_holds_up_nobody) {
  heddle::run([] {
    const chat_server s;
    person slow(s, "Slow", "hall"), ada(s, "Ada", "hall"), alan(s, "Alan", "hall");
    const std::string line(900, 'x');
    std::size_t said = 0;
    while (s.all.cut_off() == 0 && said != 100'000) {
      ada.say(line);
      ++said;
      BOOST_TEST_REQUIRE(alan.hear().size() == line.size() + 5);
    }
    BOOST_TEST(s.all.cut_off() == 1u);
    BOOST_TEST(said > chat::most_waiting);
    while (ada.any_line() != "* Slow has left") {
    }
    ada.say("end");
    BOOST_TEST(alan.hear() == "Ada: end");
  });
}

BOOST_AUTO_TEST_CASE(a_line_without_an_end_ends_its_connection) {
  heddle::run([] {
    const chat_server s;
    person ada(s, "Ada", "hall"), alan(s, "Alan", "hall");
    std::error_code ec;
    const std::string much(chat::longest_line + 1, 'x');
    alan.stream().write(std::as_bytes(std::span<const char>(much)), ec);
    while (ada.any_line() != "* Alan has left") {
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()
