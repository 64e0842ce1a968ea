// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "heddle/channel.hpp"
#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace {

using heddle::channel;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::kind;
using heddle::testing::with_crew;

constexpr int senders = 4;
constexpr int receivers = 3;

struct letter {
  int from = 0;
  int number = 0;
};

/// What one receiver saw: how often each letter, and whether each sender's came in order.
struct record {
  std::vector<std::vector<int>> seen;
  bool ordered = true;

  explicit record(int per_sender) : seen(senders, std::vector<int>(static_cast<std::size_t>(per_sender))) {}
  void note(const letter& l, std::vector<int>& last) {
    const auto from = static_cast<std::size_t>(l.from);
    ordered = ordered && l.number > last[from];
    last[from] = l.number;
    ++seen[from][static_cast<std::size_t>(l.number)];
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(channel_stress, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(nothing_is_lost_doubled_or_overtaken) {
  for (const auto& s : all_settings)
    for (std::size_t capacity : {0, 1, 2, 7, 128}) {
      const int per_sender = s.who == kind::fibers ? 10'000 : 1'000;
      std::vector<record> logs(receivers, record(per_sender));
      with_crew(s, [&](crew& c) {
        channel<letter> box(capacity);
        heddle::wait_group writing(senders);
        for (int from = 0; from < senders; ++from)
          c.start([&, from] {
            for (int i = 0; i < per_sender; ++i) box.send({from, i});
            writing.done();
          });
        for (auto& log : logs)
          c.start([&] {
            std::vector<int> last(senders, -1);
            for (const letter& l : box) log.note(l, last);
          });
        writing.wait();
        box.close();
        c.join();
      });
      bool ordered = true, once = true;
      for (const auto& log : logs) ordered = ordered && log.ordered;
      for (int from = 0; from < senders; ++from)
        for (int i = 0; i < per_sender; ++i) {
          int times = 0;
          for (const auto& log : logs) times += log.seen[static_cast<std::size_t>(from)][static_cast<std::size_t>(i)];
          once = once && times == 1;
        }
      BOOST_TEST(ordered, s << ", capacity " << capacity);
      BOOST_TEST(once, s << ", capacity " << capacity);
    }
}

// Whoever closes while others send: what was sent without an exception is received, and nothing else.
BOOST_AUTO_TEST_CASE(close_races_lose_nothing) {
  for (const auto& s : all_settings)
    for (std::size_t capacity : {0, 1, 4})
      for (int round = 0; round < (s.who == kind::fibers ? 100 : 15); ++round) {
        std::atomic<long> sent{0}, received{0}, ends{0};
        with_crew(s, [&](crew& c) {
          channel<std::unique_ptr<int>> box(capacity);
          for (int i = 0; i < senders; ++i)
            c.start([&] {
              try {
                for (int n = 1;; ++n) {
                  auto value = std::make_unique<int>(n);
                  box.send(std::move(value));
                  sent += n;
                }
              } catch (const heddle::channel_closed&) {
                ++ends;
              }
            });
          for (int i = 0; i < receivers; ++i)
            c.start([&] {
              while (auto value = box.receive()) received += **value;
              ++ends;
            });
          for (int i = 0; i < round % 10; ++i) heddle::this_fiber::yield();
          box.close();
          c.join();
        });
        BOOST_REQUIRE(sent.load() == received.load());
        BOOST_REQUIRE(ends.load() == senders + receivers);
      }
}

// try_send and try_receive among blocking partners.
BOOST_AUTO_TEST_CASE(trying_and_waiting_mix) {
  for (const auto& s : all_settings)
    for (std::size_t capacity : {0, 1, 16}) {
      constexpr int per_sender = 1'000;
      std::atomic<long> sum{0}, count{0};
      with_crew(s, [&](crew& c) {
        channel<int> box(capacity);
        heddle::wait_group writing(senders);
        for (int i = 0; i < senders; ++i)
          c.start([&, i] {
            for (int n = 1; n <= per_sender; ++n) {
              if (i % 2 == 0)
                box.send(n);
              else
                while (!box.try_send(n)) heddle::this_fiber::yield();
            }
            writing.done();
          });
        for (int i = 0; i < receivers; ++i)
          c.start([&, i] {
            for (bool open = true; open;) {
              const bool last = box.closed();
              auto value = i % 2 == 0 ? box.receive() : box.try_receive();
              if (value) {
                sum += *value;
                ++count;
              } else if (i % 2 == 0 || last) {
                open = false;
              } else {
                heddle::this_fiber::yield();
              }
            }
          });
        writing.wait();
        box.close();
        c.join();
      });
      BOOST_TEST(count.load() == senders * per_sender, s << ", capacity " << capacity);
      BOOST_TEST(sum.load() == long{senders} * per_sender * (per_sender + 1) / 2, s);
    }
}

// A ring of stages, each a fiber between two channels, with a mutex and a wait group beside: all of sync at once.
BOOST_AUTO_TEST_CASE(pipeline_of_many_stages) {
  for (const auto& s : all_settings) {
    if (s.who != kind::fibers) continue;
    constexpr int stages = 100, values = 500;
    long sum = 0;
    with_crew(s, [&](crew& c) {
      std::vector<std::unique_ptr<channel<int>>> pipes;
      for (int i = 0; i <= stages; ++i) pipes.push_back(std::make_unique<channel<int>>(i % 3));
      heddle::mutex m;
      heddle::wait_group running(stages);
      long passed = 0;
      for (int i = 0; i < stages; ++i)
        c.start([&, in = pipes[i].get(), out = pipes[i + 1].get()] {
          for (int value : *in) {
            out->send(value + 1);
            const std::lock_guard guard(m);
            ++passed;
          }
          out->close();
          running.done();
        });
      c.start([&] {
        for (int i = 0; i < values; ++i) pipes.front()->send(i);
        pipes.front()->close();
      });
      for (int value : *pipes.back()) sum += value;
      running.wait();
      BOOST_TEST(passed == long{stages} * values);
      c.join();
    });
    BOOST_TEST(sum == long{values} * (values - 1) / 2 + long{values} * stages);
  }
}

BOOST_AUTO_TEST_SUITE_END()
