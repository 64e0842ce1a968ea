// SPDX-License-Identifier: BSL-1.0
//
// What the Go specification says of channels and select, sentence by sentence: each test names the section and says in
// our words what stands there. Where heddle differs (nullopt for a zero value, an exception for a panic, objects for
// references), the row says how.
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "heddle/channel.hpp"
#include "heddle/run.hpp"
#include "heddle/select.hpp"
#include "heddle/this_fiber.hpp"
#include "support/channel_values.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using boost::test_tools::per_element;
using heddle::channel;
using heddle::on_receive;
using heddle::on_send;
using heddle::otherwise;
using heddle::receive_case;
using heddle::select;
using heddle::send_case;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::kind;
using heddle::testing::one_at_a_time;
using heddle::testing::setting;
using heddle::testing::settle;
using heddle::testing::with_crew;

/// What the loop of a test does with a value that it does not want.
const auto ignore = [](std::optional<int>) {};

/// How often each of n ready cases is chosen; fails if that is further from even than chance allows.
/// Pearson's statistic of a uniform choice exceeds mean + 6 standard deviations of its distribution once in 10^6.
void check_even(const std::vector<int>& counts, const setting& s) {
  long total = 0;
  for (const int count : counts) total += count;
  const double expected = static_cast<double>(total) / static_cast<double>(counts.size());
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - expected) * (count - expected) / expected;
  const double freedom = static_cast<double>(counts.size() - 1);
  if (chi_square >= freedom + 6 * std::sqrt(2 * freedom) + 10) BOOST_ERROR(s << ": chi square " << chi_square);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(channel_types, heddle::testing::leak_check)

// Channel types: the capacity sets the size of the buffer; if it is zero or absent, communication succeeds only when
// both a sender and a receiver are ready.
BOOST_AUTO_TEST_CASE(unbuffered_needs_both_sides) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> c;
    BOOST_TEST(c.capacity() == 0u);
    BOOST_TEST(!c.try_send(1));
    BOOST_TEST(!c.try_receive());
    bool sent = false;
    crew.start([&] {
      c.send(1);
      sent = true;
    });
    settle();
    BOOST_TEST(!sent);
    BOOST_TEST(c.receive().value() == 1);
    crew.join();
    BOOST_TEST(sent);
  });
}

// Channel types: otherwise the channel is buffered, and communication succeeds without blocking if the buffer is not
// full (sends) or not empty (receives).
BOOST_AUTO_TEST_CASE(buffered_blocks_when_full_or_empty) {
  channel<int> c(2);
  BOOST_TEST(c.try_send(1));
  BOOST_TEST(c.try_send(2));
  BOOST_TEST(!c.try_send(3));
  BOOST_TEST(c.try_receive().value() == 1);
  BOOST_TEST(c.try_receive().value() == 2);
  BOOST_TEST(!c.try_receive());
}

// Channel types: a nil channel is never ready for communication. Here: a case whose channel is nullptr.
BOOST_AUTO_TEST_CASE(nil_is_never_ready) {
  channel<int>* const nil = nullptr;
  channel<int> c(1);
  BOOST_TEST(select(on_receive(nil, ignore), on_send(nil, 1), otherwise()) == 2u);
  for (int i = 0; i < 20; ++i) {
    c.send(1);
    BOOST_TEST(select(on_send(nil, 1), on_receive(c, ignore), on_receive(nil, ignore)) == 1u);
  }
  receive_case never{nil};
  heddle::select_case* const cases[] = {&never, nullptr};
  BOOST_TEST(!heddle::try_select(cases));
}

// Channel types: a single channel may be used by any number of goroutines without further synchronization.
BOOST_AUTO_TEST_CASE(any_number_of_users) {
  for (const auto& s : all_settings) {
    std::atomic<int> sum{0};
    with_crew(s, [&](crew& crew) {
      channel<int> c(1);
      for (int i = 0; i < 6; ++i) {
        crew.start([&] {
          for (int n = 0; n < 100; ++n) c.send(1);
        });
        crew.start([&] {
          for (int n = 0; n < 100; ++n) sum += c.receive().value();
        });
      }
      crew.join();
    });
    BOOST_TEST(sum.load() == 600, s);
  }
}

// Channel types: channels act as first-in-first-out queues: values sent by one goroutine are received in the order
// sent.
BOOST_AUTO_TEST_CASE(first_in_first_out) {
  for (const auto& s : all_settings)
    for (const std::size_t capacity : {0, 1, 5}) {
      bool ordered = true;
      with_crew(s, [&](crew& crew) {
        channel<int> c(capacity);
        crew.start([&] {
          for (int i = 0; i < 200; ++i) select(on_send(c, i));
          c.close();
        });
        int next = 0;
        for (const int value : c) ordered = ordered && value == next++;
        ordered = ordered && next == 200;
        crew.join();
      });
      BOOST_TEST(ordered, s);
    }
}

// Length and capacity: len is the number of values queued in the buffer, cap the size of the buffer.
BOOST_AUTO_TEST_CASE(length_and_capacity) {
  channel<int> c(3), none;
  for (std::size_t n = 0; n < 3; ++n) {
    BOOST_TEST(c.size() == n);
    BOOST_TEST(c.capacity() == 3u);
    c.send(0);
  }
  BOOST_TEST(c.size() == 3u);
  c.close();
  BOOST_TEST(c.size() == 3u);
  (void)c.receive();
  BOOST_TEST(c.size() == 2u);
  BOOST_TEST(none.size() == 0u);
  BOOST_TEST(none.capacity() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(statements, heddle::testing::leak_check)

// Send statements: both the channel and the value are evaluated before communication begins; a send on an unbuffered
// channel can proceed if a receiver is ready, on a buffered one if there is room.
BOOST_AUTO_TEST_CASE(sends_proceed_when_they_can) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> none, some(1);
    int got = 0;
    crew.start([&] { got = none.receive().value(); });
    settle();
    int value = 7;
    BOOST_TEST(select(on_send(none, value), otherwise([&] { value = 8; })) == 0u);
    BOOST_TEST(select(on_send(some, value), otherwise()) == 0u);
    BOOST_TEST(select(on_send(some, value), otherwise()) == 1u);
    crew.join();
    BOOST_TEST(got == 7);
  });
}

// Send statements: a send on a closed channel causes a panic (channel_closed), also in a select.
BOOST_AUTO_TEST_CASE(send_on_closed) {
  channel<int> c(1), open(1);
  c.close();
  BOOST_CHECK_THROW(c.send(1), heddle::channel_closed);
  BOOST_CHECK_THROW((void)c.try_send(1), heddle::channel_closed);
  BOOST_CHECK_THROW((void)c.send_for(1, 1h), heddle::channel_closed);
  BOOST_CHECK_THROW(select(on_send(c, 1), otherwise()), heddle::channel_closed);
  BOOST_CHECK_THROW(select(on_send(c, 1), on_receive(open, ignore)), heddle::channel_closed);
}

// Send statements: a send on a nil channel blocks for ever; so does a receive (Receive operator). Here: if nothing else
// can ever run, the runtime says that it is a deadlock.
BOOST_AUTO_TEST_CASE(nil_blocks_for_ever) {
  const auto sends = death_of([] { heddle::run([] { select(on_send(static_cast<channel<int>*>(nullptr), 1)); }); });
  BOOST_TEST(sends.says("deadlock"), sends.text);
  const auto receives =
      death_of([] { heddle::run([] { select(on_receive(static_cast<channel<int>*>(nullptr), ignore)); }); });
  BOOST_TEST(receives.says("deadlock"), receives.text);
}

// Receive operator: the expression blocks until a value is available.
BOOST_AUTO_TEST_CASE(receive_blocks) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> c;
    int got = 0;
    crew.start([&] { got = c.receive().value(); });
    settle();
    BOOST_TEST(got == 0);
    c.send(3);
    crew.join();
    BOOST_TEST(got == 3);
  });
}

// Receive operator: a receive on a closed channel can always proceed at once, and yields the zero value (nullopt) after
// what was sent before has been received; the second result says which of both it was.
BOOST_AUTO_TEST_CASE(receive_on_closed) {
  for (const std::size_t capacity : {0, 2}) {
    channel<int> c(capacity);
    for (std::size_t i = 0; i < capacity; ++i) c.send(5);
    c.close();
    receive_case r{c};
    for (std::size_t i = 0; i < capacity; ++i) {
      BOOST_TEST(select(r, otherwise()) == 0u);
      BOOST_TEST(r.result().value() == 5);
    }
    for (int i = 0; i < 3; ++i) {
      BOOST_TEST(select(r, otherwise()) == 0u);
      BOOST_TEST(!r.result());
      BOOST_TEST(!c.receive());
      BOOST_TEST((c.receive_for(1h).status() == heddle::channel_status::closed));
    }
  }
}

// Close: closing records that no more values will be sent; sending to or closing a closed channel panics
// (channel_closed). After close and the last value, receives return without blocking.
BOOST_AUTO_TEST_CASE(close_twice) {
  channel<int> c;
  c.close();
  BOOST_CHECK_THROW(c.close(), heddle::channel_closed);
  BOOST_TEST(c.closed());
  BOOST_TEST(!c.receive());
}

// For statements with range clause: for channels the values produced are those sent until the channel is closed.
BOOST_AUTO_TEST_CASE(range) {
  channel<std::string> c(3);
  for (const char* word : {"a", "b", "c"}) c.send(word);
  c.close();
  std::string all;
  for (const std::string& word : c) all += word;
  BOOST_TEST(all == "abc");
  for (const std::string& word : c) all += word;  // still closed: no step
  BOOST_TEST(all == "abc");
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(select_statements, heddle::testing::leak_check)

// Select statements, step 1: the channels and the values to be sent are evaluated exactly once, whichever case is
// chosen.
BOOST_AUTO_TEST_CASE(operands_are_evaluated_once) {
  channel<int> a(1), b(1);
  int evaluated = 0;
  const auto value = [&] { return ++evaluated; };
  a.send(0);
  select(on_send(a, value()), on_send(b, value()));
  BOOST_TEST(evaluated == 2);
}

// Step 2: if one or more of the communications can proceed, a single one is chosen by a uniform pseudo-random
// selection.
BOOST_AUTO_TEST_CASE(uniform_choice) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& crew) {
      for (const std::size_t ready : {2u, 3u, 5u, 7u})
        crew.start([&s, ready] {
          std::vector<std::unique_ptr<channel<int>>> channels;
          std::vector<std::unique_ptr<receive_case<int>>> owned;
          std::vector<heddle::select_case*> cases;
          for (std::size_t i = 0; i < 7; ++i) {
            channels.push_back(std::make_unique<channel<int>>(1));
            owned.push_back(std::make_unique<receive_case<int>>(*channels.back()));
            cases.push_back(owned.back().get());
            if (i < ready) channels.back()->send(0);
          }
          std::vector<int> counts(ready);
          for (int round = 0; round < 2'000; ++round) {
            const std::size_t i = select(cases);
            ++counts.at(i);
            channels[i]->send(0);
          }
          check_even(counts, s);
        });
    });
}
BOOST_AUTO_TEST_CASE(uniform_choice_of_kinds) {
  channel<int> in(1), out(1), closed;
  closed.close();
  std::vector<int> counts(3);
  for (int round = 0; round < 3'000; ++round) {
    if (in.size() == 0) in.send(0);
    (void)out.try_receive();
    ++counts[select(on_receive(in, ignore), on_send(out, 1), on_receive(closed, ignore))];
  }
  check_even(counts, one_at_a_time);
}

// Step 2: otherwise, if there is a default case, it is chosen; if there is none, the statement blocks until at least
// one of the communications can proceed.
BOOST_AUTO_TEST_CASE(default_and_blocking) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> a, b;
    BOOST_TEST(select(on_receive(a, ignore), on_send(b, 1), otherwise()) == 2u);
    std::size_t chosen = 9;
    crew.start([&] { chosen = select(on_receive(a, ignore), on_send(b, 1)); });
    settle();
    BOOST_TEST(chosen == 9u);
    BOOST_TEST(b.receive().value() == 1);
    crew.join();
    BOOST_TEST(chosen == 1u);
  });
}

// Steps 3 to 5: only the chosen communication is executed, then its statements.
BOOST_AUTO_TEST_CASE(only_the_chosen_one_is_done) {
  channel<int> a(1), b(1), c(1);
  a.send(1);
  b.send(2);
  int handled = 0;
  const auto handle = [&](std::optional<int>) { ++handled; };
  select(on_receive(a, handle), on_receive(b, handle), on_send(c, 3, [&] { ++handled; }));
  BOOST_TEST(handled == 1);
  BOOST_TEST(a.size() + b.size() + (1 - c.size()) == 2u);
}

// The same channel may be used in several cases, for sending and receiving too: each is a case of its own, and a select
// does not communicate with itself.
BOOST_AUTO_TEST_CASE(duplicate_cases) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> c;
    BOOST_TEST(select(on_send(c, 1), on_receive(c, ignore), otherwise()) == 2u);
    std::vector<int> counts(4);
    for (int round = 0; round < 1'000; ++round) {
      std::size_t chosen = 9;
      crew.start([&] { chosen = select(on_receive(c, ignore), on_send(c, 1), on_receive(c, ignore), on_send(c, 1)); });
      settle();
      BOOST_TEST(chosen == 9u);
      if (round % 2)
        c.send(1);
      else
        BOOST_TEST(c.receive().value() == 1);
      BOOST_TEST(!c.try_receive());
      BOOST_TEST(!c.try_send(1));
      crew.join();
      BOOST_TEST((chosen % 2 == 0) == (round % 2 == 1));
      ++counts.at(chosen);
    }
    channel<int> full(1);
    full.send(0);
    std::vector<int> of_two(2);
    for (int round = 0; round < 1'000; ++round) {
      ++of_two.at(select(on_receive(full, ignore), on_receive(full, ignore)));
      full.send(0);
    }
    check_even(of_two, one_at_a_time);
  });
}

// Since communication on nil channels can never proceed, a select with only nil channels and no default, or with no
// cases at all, blocks for ever.
BOOST_AUTO_TEST_CASE(empty_select) {
  const auto end = death_of([] { heddle::run([] { select(); }); });
  BOOST_TEST(end.says("deadlock"), end.text);
}

BOOST_AUTO_TEST_SUITE_END()
