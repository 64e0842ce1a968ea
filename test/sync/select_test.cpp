// SPDX-License-Identifier: BSL-1.0
#include "heddle/select.hpp"

#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <new>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/death.hpp"
#include "sync/selecting.hpp"

namespace {

using namespace selecting;
using heddle::testing::death_of;
using heddle::testing::expect;
using heddle::testing::kind;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(selects, heddle::testing::leak_check)

// --- forms -----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(cases_as_objects) {
  channel<int> a(1);
  channel<std::string> b(1);
  receive_case from_a{a};
  send_case to_b{b, "seven"};
  BOOST_TEST(select(from_a, to_b) == 1u);
  BOOST_TEST(!from_a.result().has_value());
  a.send(3);
  BOOST_TEST(select(from_a, to_b) == 0u);  // b is full
  BOOST_TEST(from_a.result().value() == 3);
  BOOST_TEST(b.receive().value() == "seven");
  to_b.value() = "eight";
  BOOST_TEST(select(from_a, to_b) == 1u);
  BOOST_TEST(!from_a.result().has_value());  // that of an earlier select is not shown again
  BOOST_TEST(b.receive().value() == "eight");
}

BOOST_AUTO_TEST_CASE(cases_with_handlers) {
  channel<int> a(1), b(1);
  std::string events;
  const auto go = [&] {
    return select(heddle::on_receive(a, [&](std::optional<int> v) { events += v ? std::to_string(*v) : "end"; }),
                  heddle::on_send(b, 5, [&] { events += "sent"; }),
                  heddle::on_receive(static_cast<channel<int>*>(nullptr), [&](std::optional<int>) { events += "no"; }),
                  heddle::otherwise([&] { events += "none"; }));
  };
  BOOST_TEST(go() == 1u);
  BOOST_TEST(go() == 3u);
  a.send(7);
  BOOST_TEST(go() == 0u);
  a.close();
  BOOST_TEST(go() == 0u);
  BOOST_TEST(events == "sentnone7end");
}

BOOST_AUTO_TEST_CASE(handlers_may_be_left_out_and_throw) {
  channel<int> c(1);
  BOOST_TEST(select(heddle::on_send(c, 1)) == 0u);
  BOOST_TEST(select(heddle::on_send(&c, 1), heddle::otherwise()) == 1u);
  BOOST_CHECK_THROW(select(heddle::on_receive(c, [](std::optional<int>) { throw std::runtime_error("handler"); })),
                    std::runtime_error);
  BOOST_TEST(c.size() == 0u);
}

BOOST_AUTO_TEST_CASE(values_that_can_only_be_moved) {
  channel<std::unique_ptr<int>> a(1), b(1);
  send_case put{a, std::make_unique<int>(7)};
  BOOST_TEST(select(put, heddle::otherwise()) == 0u);
  BOOST_TEST(!put.value());
  std::unique_ptr<int> got;
  select(heddle::on_receive(a, [&](std::optional<std::unique_ptr<int>> v) { got = std::move(*v); }),
         heddle::on_receive(b, [](std::optional<std::unique_ptr<int>>) {}));
  BOOST_TEST(*got == 7);
  channel<std::unique_ptr<int>> full(1);
  full.send(nullptr);
  send_case kept{full, std::make_unique<int>(8)};
  BOOST_TEST(select(kept, heddle::otherwise()) == 1u);
  BOOST_TEST(*kept.value() == 8);
}

BOOST_AUTO_TEST_CASE(cases_known_at_run_time) {
  for (std::size_t n : {1, 3, 8, 9, 40}) {
    const auto channels = make_channels(n);
    const auto owned = cases_of(channels);
    std::vector<select_case*> cases;
    for (const auto& c : owned) cases.push_back(c.get());
    cases.push_back(nullptr);
    BOOST_TEST(!heddle::try_select(cases));
    for (std::size_t i = 0; i < n; ++i) {
      channels[i]->send(static_cast<int>(i));
      BOOST_TEST(select(cases) == i);
      BOOST_TEST(owned[i]->result().value() == static_cast<int>(i));
      channels[i]->send(9);
      BOOST_TEST(heddle::try_select(cases).value() == i);
      BOOST_TEST(owned[i]->result().value() == 9);
      channels[i]->send(8);
      BOOST_TEST(heddle::select_for(cases, 1h).value() == i);
      channels[i]->send(8);
      BOOST_TEST(heddle::select_until(cases, std::chrono::system_clock::now() - 1h).value() == i);
    }
    BOOST_TEST(!heddle::select_for(cases, 1ms));
    BOOST_TEST(!heddle::select_until(cases, std::chrono::system_clock::now() + 1ms));
    std::stop_source stop;
    stop.request_stop();
    BOOST_TEST(!heddle::select(cases, stop.get_token()));
    BOOST_TEST(!heddle::select_for(cases, 1h, stop.get_token()));
    BOOST_TEST(!heddle::select_until(cases, std::chrono::system_clock::now() + 1h, stop.get_token()));
  }
}

BOOST_AUTO_TEST_CASE(an_array_of_cases) {
  channel<int> a, b(1);
  receive_case from{a};
  send_case to{b, 1};
  select_case* const cases[] = {&from, &to};
  BOOST_TEST(select(cases) == 1u);
}

// --- blocking --------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(waits_for_the_first_of_many) {
  for (const auto& s : all_settings) {
    std::atomic<long> sum{0};
    with_crew(s, [&](crew& crew) {
      std::array<channel<int>, 4> c;
      crew.start([&] {
        receive_case r0{c[0]}, r1{c[1]}, r2{c[2]}, r3{c[3]};
        for (int i = 0; i < 400; ++i) {
          switch (select(r0, r1, r2, r3)) {
            case 0: sum += r0.result().value(); break;
            case 1: sum += r1.result().value(); break;
            case 2: sum += r2.result().value(); break;
            default: sum += r3.result().value();
          }
        }
      });
      for (int sender = 0; sender < 4; ++sender)
        crew.start([&, sender] {
          for (int i = 0; i < 100; ++i) c[(sender + i) % 4].send(1 << (sender * 8));
        });
      crew.join();
    });
    BOOST_TEST(sum.load() == 100L * 0x01010101L, s);
  }
}

BOOST_AUTO_TEST_CASE(selects_that_send_meet_selects_that_receive) {
  for (const auto& s : all_settings) {
    std::atomic<long> sent{0}, got{0};
    with_crew(s, [&](crew& crew) {
      channel<long> a, b(2);
      for (int worker = 0; worker < 3; ++worker) {
        crew.start([&] {
          for (long i = 0; i < 200; ++i)
            select(heddle::on_send(a, i, [&] { sent += i; }), heddle::on_send(b, i, [&] { sent += i; }));
        });
        crew.start([&] {
          const auto take = [&](std::optional<long> v) { got += v.value(); };
          for (long i = 0; i < 200; ++i) select(heddle::on_receive(b, take), heddle::on_receive(a, take));
        });
      }
      crew.join();
    });
    BOOST_TEST(sent.load() == 3 * 19900, s);
    BOOST_TEST(got.load() == 3 * 19900, s);
  }
}

// Everybody sends and receives on one channel: a select that met itself, or was met twice, would lose count.
BOOST_AUTO_TEST_CASE(selects_of_both_directions_on_one_channel) {
  for (const auto& s : all_settings) {
    std::atomic<int> sent{0}, got{0}, left{4};
    with_crew(s, [&](crew& crew) {
      channel<int> c, quit;
      for (int worker = 0; worker < 4; ++worker)
        crew.start([&] {
          for (bool on = true; on;) {
            send_case to{c, 1};
            receive_case from{c}, end{quit};
            switch (select(to, from, end)) {
              case 0: ++sent; break;
              case 1: ++got; break;
              default: on = false;
            }
          }
          --left;
        });
      while (got.load() < 300) heddle::this_fiber::sleep_for(1ms);
      quit.close();
      crew.join();
    });
    BOOST_TEST(sent.load() == got.load(), s);
    BOOST_TEST(left.load() == 0, s);
  }
}

BOOST_AUTO_TEST_CASE(meets_plain_operations_and_try_operations) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> a, b;
    std::size_t chosen = 9;
    crew.start([&] {
      receive_case from{a};
      send_case to{b, 6};
      chosen = select(from, to);
    });
    settle();
    BOOST_TEST(!a.try_receive());
    BOOST_TEST(b.try_receive().value() == 6);
    BOOST_TEST(!a.try_send(1));  // the select is done, though it has not run yet
    crew.join();
    BOOST_TEST(chosen == 1u);
  });
}

BOOST_AUTO_TEST_CASE(close_ends_a_blocked_select) {
  for (const auto& s : all_settings) {
    std::atomic<int> ended{0}, refused{0};
    with_crew(s, [&](crew& crew) {
      channel<std::unique_ptr<int>> in, out, other;
      crew.start([&] {
        receive_case from{in};
        receive_case never{other};
        ended += select(never, from) == 1 && !from.result();
      });
      crew.start([&] {
        send_case to{out, std::make_unique<int>(1)};
        receive_case never{other};
        try {
          select(to, never);
        } catch (const heddle::channel_closed&) {
          refused += to.value() != nullptr;
        }
      });
      heddle::this_fiber::sleep_for(2ms);
      in.close();
      out.close();
      crew.join();
      BOOST_TEST(!other.try_send(nullptr));  // nobody waits there
    });
    BOOST_TEST(ended.load() == 1, s);
    BOOST_TEST(refused.load() == 1, s);
  }
}

// --- bounds ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(deadlines_and_stops) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& crew) {
      channel<int> a, b;
      std::stop_source stop;
      crew.start([&] {
        const auto begin = steady::now();
        receive_case from{a};
        send_case to{b, 1};
        expect(select(from, heddle::on_timeout(5ms), to) == 1u);
        expect((steady::now() - begin >= 5ms));
        expect(select(heddle::on_deadline(begin + 10ms), from, to) == 0u);
        expect((steady::now() - begin >= 10ms));
        expect(select(from, to, heddle::on_deadline(std::chrono::system_clock::now() + 5ms)) == 2u);
        expect(select(from, heddle::on_deadline(steady::now() - 1h)) == 1u);
        bool called = false;
        expect(select(from, heddle::on_timeout(0s, [&] { called = true; })) == 1u);
        expect(called);
      });
      crew.join();
      for (int i = 0; i < 2; ++i)
        crew.start([&] {
          receive_case from{a};
          const std::stop_token token = stop.get_token();
          expect(select(from, heddle::on_timeout(1h), heddle::on_stop(token)) == 2u);
          expect(select(from, heddle::on_stop(token)) == 1u);
        });
      heddle::this_fiber::sleep_for(1ms);
      stop.request_stop();
      crew.join();
      expect(!a.try_send(1));
      expect(!b.try_receive());
    });
}

// The forms for cases that are known at run time only.
BOOST_AUTO_TEST_CASE(a_stop_ends_a_select_of_a_range) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& crew) {
      std::array<channel<int>, 2> c;
      std::stop_source stop;
      std::atomic<int> ended{0};
      for (int form = 0; form < 4; ++form)
        crew.start([&, form] {
          std::vector<receive_case<int>> from(c.begin(), c.end());
          const std::stop_token token = stop.get_token();
          const auto chosen = form == 0   ? heddle::select(from, token)
                              : form == 1 ? heddle::select_for(from, 1h, token)
                              : form == 2 ? heddle::select_until(from, steady::now() + 1h, token)
                                          : heddle::select_until(from, std::chrono::system_clock::now() + 1h, token);
          ended += !chosen;
        });
      heddle::this_fiber::sleep_for(1ms);
      stop.request_stop();
      crew.join();
      BOOST_TEST(ended.load() == 4, s);
    });
}

BOOST_AUTO_TEST_CASE(ranges_of_any_length) {
  for (int n = 1; n <= 20; ++n) {
    std::vector<std::unique_ptr<channel<int>>> c;
    for (int i = 0; i < n; ++i) c.push_back(std::make_unique<channel<int>>(1));
    std::vector<receive_case<int>> from;
    for (auto& one : c) from.emplace_back(*one);
    for (int i = 0; i < n; ++i) {
      BOOST_TEST(!heddle::try_select(from));
      c[i]->send(i);
      BOOST_TEST(heddle::select(from) == static_cast<std::size_t>(i));
      for (int k = 0; k < n; ++k) BOOST_TEST((from[k].result() == (k == i ? std::optional(i) : std::nullopt)));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_can_be_done_wins_over_bounds_that_are_over) {
  channel<int> c(1);
  std::stop_source stop;
  stop.request_stop();
  const std::stop_token token = stop.get_token();
  BOOST_TEST(select(heddle::on_timeout(-1s), heddle::on_stop(token), heddle::on_send(c, 1)) == 2u);
  BOOST_TEST(select(heddle::on_timeout(-1s), heddle::on_stop(token), heddle::on_send(c, 1)) == 1u);
  BOOST_TEST(select(heddle::on_timeout(1h), heddle::on_stop(token), heddle::on_send(c, 1)) == 1u);
}

BOOST_AUTO_TEST_CASE(only_bounds) {
  with_crew(one_at_a_time, [](crew&) {
    BOOST_TEST(select(heddle::otherwise()) == 0u);
    BOOST_TEST(select(heddle::on_timeout(1ms)) == 0u);
    BOOST_TEST(!heddle::select_for({}, 1ms));
  });
}

// Whoever gives up, values neither get lost nor come twice.
BOOST_AUTO_TEST_CASE(impatient_crowds_lose_nothing) {
  for (const auto& s : all_settings) {
    std::atomic<long> sent{0}, got{0};
    with_crew(s, [&](crew& crew) {
      channel<long> a, b(1);
      for (int worker = 0; worker < 3; ++worker) {
        crew.start([&, worker] {
          for (long i = 0; i < 200; ++i)
            select(heddle::on_send(a, i, [&] { sent += i; }), heddle::on_send(b, i, [&] { sent += i; }),
                   heddle::on_timeout(std::chrono::microseconds(worker * (i % 7))));
        });
        crew.start([&, worker] {
          const auto take = [&](std::optional<long> v) { got += *v; };
          for (int i = 0; i < 200; ++i)
            select(heddle::on_receive(a, take), heddle::on_receive(b, take),
                   heddle::on_timeout(std::chrono::microseconds(worker * (i % 5))));
        });
      }
      crew.join();
      while (auto value = b.try_receive()) got += *value;
    });
    BOOST_TEST(sent.load() == got.load(), s);
  }
}

// --- moves that throw ------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_throwing_move_to_a_select_makes_it_go_round) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<touchy> a, b;
    int got = 0;
    crew.start([&] {
      receive_case from_a{a}, from_b{b};
      got = select(from_a, from_b) == 1 ? from_b.result()->number : -1;
    });
    settle();
    touchy value(7);
    touchy::moves_until_throw = 0;
    BOOST_CHECK_THROW(a.send(std::move(value)), std::runtime_error);
    BOOST_TEST(value.number == 7);
    b.send(std::move(value));
    crew.join();
    BOOST_TEST(got == 7);
  });
  BOOST_TEST(touchy::alive.load() == 0);
}

BOOST_AUTO_TEST_CASE(a_throwing_move_from_a_select_is_the_selects) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<touchy> c, other;
    crew.start([&] {
      send_case to{c, touchy(1)};
      receive_case never{other};
      BOOST_CHECK_THROW(select(to, never), std::runtime_error);
      BOOST_TEST(to.value().number == 1);
    });
    settle();
    crew.start([&] { c.send(touchy(2)); });
    settle();
    touchy::moves_until_throw = 0;
    BOOST_TEST(c.receive()->number == 2);
    crew.join();
  });
  BOOST_TEST(touchy::alive.load() == 0);
}

BOOST_AUTO_TEST_CASE(a_move_that_throws_at_once_unlocks_all) {
  channel<touchy> c(1), other(1);
  send_case to{c, touchy(1)};
  receive_case never{other};
  touchy::moves_until_throw = 0;
  BOOST_CHECK_THROW(select(to, never), std::runtime_error);
  BOOST_TEST(to.value().number == 1);
  BOOST_TEST(select(to, never) == 0u);
  receive_case from{c};
  touchy::moves_until_throw = 0;
  BOOST_CHECK_THROW(select(from, never), std::runtime_error);
  BOOST_TEST(select(from, never) == 0u);
  BOOST_TEST(from.result()->number == 1);
}

// --- lifetime and ends -----------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(the_channel_chosen_may_be_destroyed_at_once) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& crew) {
      channel<int> other;
      for (int round = 0; round < (s.who == kind::fibers ? 500 : 50); ++round) {
        auto c = std::make_unique<channel<int>>();
        crew.start([&other, from = c.get()] {
          receive_case never{other}, one{*from};
          expect(select(never, one) == 1u);
        });
        while (!c->try_send(1)) heddle::this_fiber::yield();
        c.reset();
        if (round % 50 == 49) crew.join();
      }
      crew.join();
    });
}

BOOST_AUTO_TEST_CASE(a_select_without_cases_is_a_deadlock) {
  const auto end = death_of([] { heddle::run([] { select(); }); });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("deadlock"), end.text);
  const auto null = death_of([] {
    heddle::run([] { select(heddle::on_receive(static_cast<channel<int>*>(nullptr), [](std::optional<int>) {})); });
  });
  BOOST_TEST(null.says("deadlock"), null.text);
}

BOOST_AUTO_TEST_CASE(destruction_while_a_select_waits_is_reported) {
  const auto end = death_of([] {
    with_crew(one_at_a_time, [](crew& crew) {
      channel<int> other;
      crew.start([&] { select(heddle::on_receive(other, [](std::optional<int>) {})); });
      settle();
    });
  });
  BOOST_TEST(end.signal == SIGABRT);
  BOOST_TEST(end.says("destroyed while receivers wait"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
