// SPDX-License-Identifier: BSL-1.0
#include "heddle/channel.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/channel_values.hpp"
#include "support/crew.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using boost::test_tools::per_element;
using heddle::channel;
using heddle::testing::all_settings;
using heddle::testing::counted;
using heddle::testing::crew;
using heddle::testing::death_of;
using heddle::testing::kind;
using heddle::testing::one_at_a_time;
using heddle::testing::settle;
using heddle::testing::times;
using heddle::testing::touchy;
using heddle::testing::with_crew;

static_assert(!std::is_copy_constructible_v<channel<int>> && !std::is_move_constructible_v<channel<int>>);
static_assert(std::input_iterator<channel<std::unique_ptr<int>>::iterator>);
static_assert(std::sentinel_for<std::default_sentinel_t, channel<int>::iterator>);

struct alignas(128) wide {
  std::uint64_t words[512];
  bool aligned() const { return reinterpret_cast<std::uintptr_t>(this) % 128 == 0; }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(channels, heddle::testing::leak_check)

// --- the table of Go's semantics: state against operation ------------------------------------------------

BOOST_AUTO_TEST_CASE(open_and_empty) {
  channel<int> none, some(2);
  for (channel<int>* c : {&none, &some}) {
    BOOST_TEST(!c->closed());
    BOOST_TEST(c->size() == 0);
    BOOST_TEST(!c->try_receive().has_value());
  }
  BOOST_TEST(none.capacity() == 0);
  BOOST_TEST(some.capacity() == 2);
  BOOST_TEST(!none.try_send(1));
  BOOST_TEST(some.try_send(1));
  BOOST_TEST(some.size() == 1);
}

BOOST_AUTO_TEST_CASE(open_and_full) {
  channel<int> c(2);
  c.send(1);
  c.send(2);
  BOOST_TEST(!c.try_send(3));
  BOOST_TEST(c.size() == 2);
  BOOST_TEST(c.receive().value() == 1);
  BOOST_TEST(c.try_receive().value() == 2);
}

BOOST_AUTO_TEST_CASE(closed_with_values) {
  channel<int> c(2);
  c.send(1);
  c.send(2);
  c.close();
  BOOST_TEST(c.closed());
  BOOST_CHECK_THROW(c.send(3), heddle::channel_closed);
  BOOST_CHECK_THROW((void)c.try_send(3), heddle::channel_closed);
  BOOST_TEST(c.receive().value() == 1);
  BOOST_TEST(c.try_receive().value() == 2);
  BOOST_TEST(!c.receive().has_value());
}

BOOST_AUTO_TEST_CASE(closed_and_drained) {
  for (std::size_t capacity : {0, 2}) {
    channel<int> c(capacity);
    c.close();
    BOOST_CHECK_THROW(c.send(1), heddle::channel_closed);
    BOOST_CHECK_THROW((void)c.try_send(1), heddle::channel_closed);
    BOOST_TEST(!c.receive().has_value());
    BOOST_TEST(!c.receive().has_value());
    BOOST_TEST(!c.try_receive().has_value());
    BOOST_CHECK_THROW(c.close(), heddle::channel_closed);
  }
}

BOOST_AUTO_TEST_CASE(errors_say_what_was_tried) {
  channel<int> c;
  c.close();
  const auto says = [](const char* words) {
    return [=](const heddle::channel_closed& e) { return std::string(e.what()).find(words) != std::string::npos; };
  };
  BOOST_CHECK_EXCEPTION(c.send(1), heddle::channel_closed, says("send() on a closed channel"));
  BOOST_CHECK_EXCEPTION(c.close(), heddle::channel_closed, says("close() on a closed channel"));
}

BOOST_AUTO_TEST_CASE(an_unbuffered_send_waits_for_its_receive) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> c;
    std::string events;
    crew.start([&] {
      events += 'a';
      c.send(1);
      events += 'c';
    });
    settle();
    events += 'b';
    BOOST_TEST(c.size() == 0);
    BOOST_TEST(c.receive().value() == 1);
    crew.join();
    BOOST_TEST(events == "abc");
  });
}

BOOST_AUTO_TEST_CASE(a_buffered_send_runs_ahead_by_the_capacity) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> c(3);
    int sent = 0;
    crew.start([&] {
      for (int i = 0; i < 6; ++i) {
        c.send(i);
        ++sent;
      }
    });
    settle();
    BOOST_TEST(sent == 3);
    BOOST_TEST(c.receive().value() == 0);
    BOOST_TEST(c.size() == 3);  // the blocked sender's value has moved up at once
    settle();
    BOOST_TEST(sent == 4);
    for (int i = 1; i < 6; ++i) BOOST_TEST(c.receive().value() == i);
    crew.join();
  });
}

BOOST_AUTO_TEST_CASE(try_operations_meet_blocked_partners) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> c;
    int received = 0;
    crew.start([&] { received = c.receive().value(); });
    settle();
    BOOST_TEST(c.try_send(5));
    BOOST_TEST(!c.try_send(6));  // taken: nobody waits any more
    crew.join();
    BOOST_TEST(received == 5);
    crew.start([&] { c.send(7); });
    settle();
    BOOST_TEST(c.try_receive().value() == 7);
    BOOST_TEST(!c.try_receive().has_value());
    crew.join();
  });
}

// --- close -----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(close_wakes_all_who_wait) {
  for (const auto& s : all_settings)
    for (std::size_t capacity : {0, 2}) {
      std::atomic<int> ended{0}, refused{0};
      with_crew(s, [&](crew& crew) {
        channel<int> in(capacity), out(capacity);
        while (capacity != 0 && out.size() < capacity) out.send(0);
        for (int i = 0; i < 4; ++i) {
          crew.start([&] {
            if (!in.receive()) ++ended;
          });
          crew.start([&] {
            try {
              out.send(1);
            } catch (const heddle::channel_closed&) {
              ++refused;
            }
          });
        }
        heddle::this_fiber::sleep_for(2ms);
        in.close();
        out.close();
        crew.join();
        BOOST_TEST(out.size() == capacity);
      });
      BOOST_TEST(ended.load() == 4, s);
      BOOST_TEST(refused.load() == 4, s);
    }
}

BOOST_AUTO_TEST_CASE(a_refused_value_stays_with_the_sender) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<std::unique_ptr<int>> c;
    crew.start([&] {
      auto value = std::make_unique<int>(7);
      BOOST_CHECK_THROW(c.send(std::move(value)), heddle::channel_closed);
      BOOST_TEST((value && *value == 7));
      BOOST_CHECK_THROW((void)c.try_send(std::move(value)), heddle::channel_closed);
      BOOST_TEST((value && *value == 7));
    });
    settle();
    c.close();
    crew.join();
  });
}

BOOST_AUTO_TEST_CASE(range_for_ends_when_closed_and_drained) {
  for (const auto& s : all_settings)
    for (std::size_t capacity : {0, 3}) {
      long sum = 0;
      with_crew(s, [&](crew& crew) {
        channel<std::unique_ptr<int>> c(capacity);
        crew.start([&] {
          for (int i = 1; i <= 100; ++i) c.send(std::make_unique<int>(i));
          c.close();
        });
        for (auto& value : c) sum += *value;
        crew.join();
      });
      BOOST_TEST(sum == 5050, s);
    }
}

// --- order -----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(receivers_are_served_first_come_first_served) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<int> c;
    std::vector<int> got(5);
    for (int i = 0; i < 5; ++i) {
      crew.start([&, i] { got[i] = c.receive().value(); });
      settle();
    }
    for (int i = 0; i < 5; ++i) c.send(i);
    crew.join();
    BOOST_TEST(got == (std::vector<int>{0, 1, 2, 3, 4}), per_element());
  });
}

BOOST_AUTO_TEST_CASE(senders_are_served_first_come_first_served) {
  for (std::size_t capacity : {0, 1, 3})
    with_crew(one_at_a_time, [&](crew& crew) {
      channel<int> c(capacity);
      for (int i = 0; i < 6; ++i) {
        crew.start([&, i] { c.send(i); });
        settle();
      }
      for (int i = 0; i < 6; ++i) BOOST_TEST(c.receive().value() == i);
      crew.join();
    });
}

BOOST_AUTO_TEST_CASE(the_order_of_one_sender_is_kept) {
  for (const auto& s : all_settings)
    for (std::size_t capacity : {0, 1, 7}) {
      bool ordered = true;
      with_crew(s, [&](crew& crew) {
        channel<int> c(capacity);
        crew.start([&] {
          for (int i = 0; i < 500; ++i) c.send(i);
          c.close();
        });
        int expected = 0;
        for (int value : c) ordered = ordered && value == expected++;
        ordered = ordered && expected == 500;
        crew.join();
      });
      BOOST_TEST(ordered, s << ", capacity " << capacity);
    }
}

// --- values ----------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(every_value_is_destroyed_once) {
  for (std::size_t capacity : {0, 1, 3}) {
    with_crew(one_at_a_time, [&](crew& crew) {
      channel<counted> c(capacity);
      crew.start([&] {
        for (int i = 0; i < 10; ++i) c.send(counted(i));
      });
      for (int i = 0; i < 10; ++i) BOOST_TEST(c.receive()->number == i);
      crew.join();
      while (c.size() < capacity) c.send(counted(0));  // left inside
    });
    BOOST_TEST(counted::alive.load() == 0);
  }
}

BOOST_AUTO_TEST_CASE(copies_are_made_only_on_request) {
  channel<std::shared_ptr<int>> c(2);
  const auto value = std::make_shared<int>(1);
  c.send(value);
  BOOST_TEST(value.use_count() == 2);
  BOOST_TEST(c.try_send(value));
  BOOST_TEST(!c.try_send(value));
  BOOST_TEST(value.use_count() == 3);
  (void)c.receive();
  BOOST_TEST(value.use_count() == 2);
}

BOOST_AUTO_TEST_CASE(large_aligned_values) {
  for (std::size_t capacity : {0, 3})
    with_crew(one_at_a_time, [&](crew& crew) {
      channel<wide> c(capacity);
      crew.start([&] {
        wide value{};
        for (std::uint64_t i = 0; i < 8; ++i) {
          value.words[511] = i;
          c.send(value);
        }
        c.close();
      });
      std::uint64_t expected = 0;
      for (const wide& value : c) {
        BOOST_TEST(value.aligned());
        BOOST_TEST(value.words[511] == expected++);
      }
      crew.join();
    });
}

// --- moves that throw ------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_throwing_move_into_the_buffer_leaves_the_value_with_the_sender) {
  {
    channel<touchy> c(2);
    touchy value(7);
    touchy::moves_until_throw = 0;
    BOOST_CHECK_THROW(c.send(std::move(value)), std::runtime_error);
    BOOST_TEST(value.number == 7);
    BOOST_TEST(c.size() == 0);
    c.send(std::move(value));  // the lock is free, the place too
    BOOST_TEST(c.receive()->number == 7);
  }
  BOOST_TEST(touchy::alive.load() == 0);
}

BOOST_AUTO_TEST_CASE(a_throwing_move_out_of_the_buffer_leaves_the_value_inside) {
  channel<touchy> c(2);
  c.send(touchy(7));
  touchy::moves_until_throw = 0;
  BOOST_CHECK_THROW((void)c.receive(), std::runtime_error);
  BOOST_TEST(c.size() == 1);
  BOOST_TEST(c.receive()->number == 7);
}

BOOST_AUTO_TEST_CASE(a_throwing_move_to_a_blocked_receiver_leaves_it_waiting) {
  with_crew(one_at_a_time, [](crew& crew) {
    channel<touchy> c;
    int got = 0;
    crew.start([&] { got = c.receive()->number; });
    settle();
    touchy value(7);
    touchy::moves_until_throw = 0;
    BOOST_CHECK_THROW(c.send(std::move(value)), std::runtime_error);
    BOOST_TEST(value.number == 7);
    settle();
    BOOST_TEST(got == 0);
    c.send(std::move(value));
    crew.join();
    BOOST_TEST(got == 7);
  });
}

BOOST_AUTO_TEST_CASE(a_throwing_move_from_a_blocked_sender_is_the_senders) {
  for (std::size_t capacity : {0, 1}) {
    with_crew(one_at_a_time, [&](crew& crew) {
      channel<touchy> c(capacity);
      if (capacity) c.send(touchy(0));
      crew.start([&] {
        touchy value(1);
        BOOST_CHECK_THROW(c.send(std::move(value)), std::runtime_error);
        BOOST_TEST(value.number == 1);
      });
      settle();
      crew.start([&] { c.send(touchy(2)); });
      settle();
      // One move out of the buffer, if there is one, goes well; the next is that of the first blocked sender.
      touchy::moves_until_throw = static_cast<int>(capacity);
      if (capacity) BOOST_TEST(c.receive()->number == 0);
      BOOST_TEST(c.receive()->number == 2);
      BOOST_TEST(c.size() == 0);
      crew.join();
    });
    BOOST_TEST(touchy::alive.load() == 0);
  }
}

// --- lifetime and misuse ---------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(may_be_destroyed_by_the_receiver_of_the_last_value) {
  for (const auto& s : all_settings)
    for (std::size_t capacity : {0, 1})
      with_crew(s, [&](crew& crew) {
        for (int round = 0; round < times(s.who == kind::fibers ? 1'000 : 50, 5); ++round) {
          auto c = std::make_unique<channel<int>>(capacity);
          crew.start([to = c.get()] { to->send(1); });
          BOOST_TEST(c->receive().value() == 1);
        }
      });
}

BOOST_AUTO_TEST_CASE(an_impossible_capacity_throws) {
  BOOST_CHECK_THROW(channel<long>(std::size_t(-1)), std::bad_array_new_length);
}

BOOST_AUTO_TEST_CASE(destruction_while_waited_on_is_reported) {
  const auto receivers = death_of([] {
    with_crew(one_at_a_time, [](crew& crew) {
      channel<int> c;
      crew.start([&] { (void)c.receive(); });
      settle();
    });
  });
  BOOST_TEST(receivers.signal == SIGABRT);
  BOOST_TEST(receivers.says("channel 0x"), receivers.text);
  BOOST_TEST(receivers.says("destroyed while receivers wait"), receivers.text);

  const auto senders = death_of([] {
    with_crew(one_at_a_time, [](crew& crew) {
      channel<int> c;
      crew.start([&] { c.send(1); });
      settle();
    });
  });
  BOOST_TEST(senders.signal == SIGABRT);
  BOOST_TEST(senders.says("destroyed while senders wait"), senders.text);
}

BOOST_AUTO_TEST_SUITE_END()
