// SPDX-License-Identifier: BSL-1.0
//
// Sends and receives that end by a deadline or a stop request.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>

#include "heddle/channel.hpp"
#include "heddle/fiber.hpp"
#include "heddle/this_fiber.hpp"
#include "support/channel_values.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::channel;
using heddle::channel_status;
using heddle::received;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::kind;
using heddle::testing::late;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::touchy;
using heddle::testing::with_crew;
using steady = std::chrono::steady_clock;

static_assert(std::is_same_v<decltype(std::declval<channel<int>&>().receive()), std::optional<int>>);

std::ostream& operator<<(std::ostream& out, channel_status s) { return out << static_cast<int>(s); }

std::stop_token stopped_token() {
  std::stop_source s;
  s.request_stop();
  return s.get_token();
}

}  // namespace

namespace heddle {
using ::operator<<;
}

BOOST_FIXTURE_TEST_SUITE(channel_bounds, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(what_is_at_hand_wins_over_bounds_that_are_over) {
  channel<int> c(2);
  const std::stop_token stop = stopped_token();
  BOOST_TEST(c.send_for(1, -1s));
  BOOST_TEST(c.send(2, stop));
  BOOST_TEST(c.receive_for(0ns).value() == 1);
  BOOST_TEST(c.receive(stop).value() == 2);
  c.close();
  BOOST_TEST(c.receive_until(steady::time_point::min()).status() == channel_status::closed);
  BOOST_TEST(c.receive(stop).status() == channel_status::closed);
  BOOST_CHECK_THROW((void)c.send_for(1, -1s), heddle::channel_closed);
}

BOOST_AUTO_TEST_CASE(bounds_that_are_over_end_it_at_once) {
  channel<int> c;
  const std::stop_token stop = stopped_token();
  BOOST_TEST(!c.send_for(1, 0s));
  BOOST_TEST(!c.send_until(1, steady::now() - 1h));
  BOOST_TEST(!c.send_until(1, std::chrono::system_clock::now() - 1h));
  BOOST_TEST(!c.send(1, stop));
  BOOST_TEST(!c.send_for(1, 1h, stop));
  BOOST_TEST(!c.send_until(1, std::chrono::system_clock::now() + 1h, stop));
  BOOST_TEST(c.receive_for(0s).status() == channel_status::timed_out);
  BOOST_TEST(c.receive_until(std::chrono::system_clock::now() - 1h).status() == channel_status::timed_out);
  BOOST_TEST(c.receive(stop).status() == channel_status::stopped);
  BOOST_TEST(c.receive_for(1h, stop).status() == channel_status::stopped);
  BOOST_TEST(c.receive_until(std::chrono::system_clock::now() + 1h, stop).status() == channel_status::stopped);
}

BOOST_AUTO_TEST_CASE(a_result_is_like_expected) {
  channel<std::string> c(3);
  c.send("one");
  c.send("two");
  auto one = c.receive_for(0s);
  BOOST_TEST(static_cast<bool>(one));
  BOOST_TEST(one.has_value());
  BOOST_TEST(*one == "one");
  BOOST_TEST(one->size() == 3u);
  BOOST_TEST(one.status() == channel_status::received);
  BOOST_TEST(one.value_or("none") == "one");
  BOOST_TEST(std::move(one).value() == "one");
  const auto two = c.receive_for(0s);
  BOOST_TEST(*two == "two");
  BOOST_TEST(two.value() == "two");
  const auto none = c.receive_for(0s);
  BOOST_TEST(!none);
  BOOST_TEST(none.value_or("none") == "none");
  const auto says = [](channel_status status, const char* words) {
    return [=](const heddle::no_value_received& e) {
      return e.status() == status && std::string(e.what()).find(words) != std::string::npos;
    };
  };
  BOOST_CHECK_EXCEPTION((void)none.value(), heddle::no_value_received, says(channel_status::timed_out, "timed out"));
  BOOST_CHECK_EXCEPTION((void)c.receive(stopped_token()).value(), heddle::no_value_received,
                        says(channel_status::stopped, "stopped"));
  c.close();
  BOOST_CHECK_EXCEPTION((void)c.receive_for(0s).value(), heddle::no_value_received,
                        says(channel_status::closed, "closed"));
}

BOOST_AUTO_TEST_CASE(waits_as_long_as_asked_and_leaves_no_trace) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& crew) {
      channel<std::unique_ptr<int>> c;
      for (int i = 0; i < 4; ++i) {
        crew.start([&] {
          auto value = std::make_unique<int>(7);
          const auto begin = steady::now();
          expect(!c.send_for(std::move(value), 5ms));
          expect((steady::now() - begin >= 5ms));
          expect((value && *value == 7));
          expect(!c.send_until(std::move(value), std::chrono::system_clock::now() + 5ms));
          expect((value && *value == 7));
        });
      }
      crew.join();
      for (int i = 0; i < 4; ++i) {
        crew.start([&] {
          const auto begin = steady::now();
          expect(c.receive_for(5ms).status() == channel_status::timed_out);
          expect((steady::now() - begin >= 5ms));
          expect(c.receive_until(begin + 10ms).status() == channel_status::timed_out);
          expect((steady::now() - begin >= 10ms));
        });
      }
      crew.join();
      expect(!c.try_receive());
      expect(!c.try_send(nullptr));
    });
}

BOOST_AUTO_TEST_CASE(a_stop_ends_those_who_wait_and_no_others) {
  for (const auto& s : all_settings) {
    std::atomic<int> stopped{0}, served{0};
    with_crew(s, [&](crew& crew) {
      channel<int> in, out;
      std::stop_source stop;
      for (int i = 0; i < 4; ++i) {
        crew.start([&] { stopped += in.receive(stop.get_token()).status() == channel_status::stopped; });
        crew.start([&] { stopped += !out.send(1, stop.get_token()); });
      }
      crew.start([&] { served += in.receive().has_value(); });
      heddle::this_fiber::sleep_for(2ms);
      stop.request_stop();
      while (stopped.load() != 8) heddle::this_fiber::sleep_for(100us);  // or the value would be for one of them
      in.send(1);
      crew.join();
      BOOST_TEST(!out.try_receive());
    });
    BOOST_TEST(stopped.load() == 8, s);
    BOOST_TEST(served.load() == 1, s);
  }
}

BOOST_AUTO_TEST_CASE(who_is_served_in_time_has_it) {
  for (const auto& s : all_settings)
    for (std::size_t capacity : {0, 1}) {
      std::atomic<int> sum{0};
      with_crew(s, [&](crew& crew) {
        channel<int> c(capacity);
        std::stop_source stop;
        crew.start([&] {
          for (int i = 0; i < 50; ++i) sum += c.receive_for(1h, stop.get_token()).value();
          expect(c.receive_for(1h).status() == channel_status::closed);
        });
        crew.start([&] {
          for (int i = 0; i < 50; ++i) expect(c.send_for(i, 1h, stop.get_token()));
          c.close();
        });
        crew.join();
      });
      BOOST_TEST(sum.load() == 1225, s);
    }
}

// Whoever gives up, values neither get lost nor come twice: as many are sent as are received.
BOOST_AUTO_TEST_CASE(impatient_crowds_lose_nothing) {
  for (const auto& s : all_settings)
    for (std::size_t capacity : {0, 2}) {
      std::atomic<long> sent{0}, got{0};
      with_crew(s, [&](crew& crew) {
        channel<std::unique_ptr<long>> c(capacity);
        for (int worker = 0; worker < 4; ++worker) {
          crew.start([&, worker] {
            for (long i = 0; i < 200; ++i)
              if (c.send_for(std::make_unique<long>(i), std::chrono::microseconds(worker * (i % 7)))) sent += i;
          });
          crew.start([&, worker] {
            for (int i = 0; i < 200; ++i)
              if (auto value = c.receive_for(std::chrono::microseconds(worker * (i % 5)))) got += **value;
          });
        }
        crew.join();
        while (auto value = c.try_receive()) got += **value;
      });
      BOOST_TEST(sent.load() == got.load(), s);
    }
}

BOOST_AUTO_TEST_CASE(close_ends_waits_with_bounds) {
  for (const auto& s : all_settings) {
    std::atomic<int> closed{0}, refused{0};
    with_crew(s, [&](crew& crew) {
      channel<int> in, out;
      for (int i = 0; i < 3; ++i) {
        crew.start([&] { closed += in.receive_for(1h).status() == channel_status::closed; });
        crew.start([&] {
          try {
            (void)out.send_for(1, 1h);
          } catch (const heddle::channel_closed&) {
            ++refused;
          }
        });
      }
      heddle::this_fiber::sleep_for(2ms);
      in.close();
      out.close();
      crew.join();
    });
    BOOST_TEST(closed.load() == 3, s);
    BOOST_TEST(refused.load() == 3, s);
  }
}

BOOST_AUTO_TEST_CASE(one_who_has_given_up_keeps_nobody_from_being_served) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> c;
    std::stop_source stop;
    int first = 0, second = 0;
    crew.start([&] { first = c.receive(stop.get_token()).value_or(-1); });
    settle();
    crew.start([&] { second = c.receive().value(); });
    settle();
    stop.request_stop();
    c.send(5);
    crew.join();
    BOOST_TEST(first == -1);
    BOOST_TEST(second == 5);
  });
}

// --- moves that throw ------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_receiver_with_bounds_goes_round_when_a_move_to_it_throws) {
  for (const auto& s : all_settings) {
    if (s.who != kind::fibers) continue;  // touchy counts without synchronisation
    with_crew(s, [](crew& crew) {
      channel<touchy> c;
      int got = 0;
      crew.start([&] { got = c.receive_for(1h).value().number; });
      heddle::this_fiber::sleep_for(2ms);
      touchy value(7);
      touchy::moves_until_throw = 0;
      BOOST_CHECK_THROW(c.send(std::move(value)), std::runtime_error);
      BOOST_TEST(value.number == 7);
      c.send(std::move(value));
      crew.join();
      BOOST_TEST(got == 7);
    });
    BOOST_TEST(touchy::alive.load() == 0);
  }
}

BOOST_AUTO_TEST_CASE(a_receiver_that_goes_round_still_times_out) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<touchy> c;
    bool met = false;
    for (auto patience = 20ms; !met && patience < late; patience *= 2) {  // until it has not given up before
      auto how = channel_status::received;
      crew.start([&] { how = c.receive_for(patience).status(); });
      settle();
      touchy value(7);
      touchy::moves_until_throw = 0;
      try {
        (void)c.send_for(std::move(value), 0s);
      } catch (const std::runtime_error&) {
        met = true;
      }
      touchy::moves_until_throw = -1;
      crew.join();
      BOOST_TEST(how == channel_status::timed_out);
    }
    BOOST_TEST(met);
  });
}

BOOST_AUTO_TEST_CASE(a_throwing_move_from_a_sender_with_bounds_is_the_senders) {
  for (std::size_t capacity : {0, 1}) {
    with_crew(one_at_a_time, [&](crew& crew) {
      channel<touchy> c(capacity);
      if (capacity) c.send(touchy(0));
      crew.start([&] {
        touchy value(1);
        BOOST_CHECK_THROW((void)c.send_for(std::move(value), 1h), std::runtime_error);
        BOOST_TEST(value.number == 1);
      });
      settle();
      crew.start([&] { BOOST_TEST(c.send_for(touchy(2), 1h)); });
      settle();
      touchy::moves_until_throw = static_cast<int>(capacity);
      if (capacity) BOOST_TEST(c.receive()->number == 0);
      BOOST_TEST(c.receive()->number == 2);
      crew.join();
    });
    BOOST_TEST(touchy::alive.load() == 0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
