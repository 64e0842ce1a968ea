// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "heddle/blocking.hpp"
#include "heddle/fiber.hpp"
#include "heddle/mutex.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::kind;
using heddle::testing::with_crew;

/// What holders do inside, from nothing to what moves them to another machine or starves the others.
void dawdle(std::minstd_rand& random) {
  switch (random() % 16) {
    case 0: return heddle::this_fiber::yield();
    case 1: return heddle::this_fiber::sleep_for(50us);
    case 2: return heddle::blocking([] { std::this_thread::sleep_for(50us); });
    case 3:
      for (const auto until = std::chrono::steady_clock::now() + 20us; std::chrono::steady_clock::now() < until;) {
      }
      return;
    default: return;
  }
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(mutex_stress, heddle::testing::leak_check)

// A few mutexes, many workers, holders of every kind; lock, try_lock and two at once.
BOOST_AUTO_TEST_CASE(holders_of_every_kind) {
  for (const auto& s : all_settings) {
    struct account {
      heddle::mutex m;
      long value = 0;
    };
    const int rounds = s.who == kind::fibers ? 400 : 150;
    std::vector<account> accounts(3);
    std::atomic<long> done{0};
    with_crew(s, [&](crew& c) {
      for (unsigned worker = 0; worker < 16; ++worker)
        c.start([&, worker] {
          std::minstd_rand random(worker + 1);
          for (int i = 0; i < rounds; ++i) {
            account& a = accounts[random() % 3];
            account& b = accounts[random() % 3];
            if (random() % 4 == 0 && &a != &b) {
              const std::scoped_lock both(a.m, b.m);
              --a.value;
              ++b.value;
              dawdle(random);
            } else if (random() % 4 == 1) {
              while (!a.m.try_lock()) heddle::this_fiber::yield();
              ++a.value;
              --a.value;
              a.m.unlock();
            } else {
              const std::lock_guard one(a.m);
              ++a.value;
              dawdle(random);
              --a.value;
            }
            ++done;
          }
        });
    });
    long sum = 0;
    for (const auto& a : accounts) sum += a.value;
    BOOST_TEST(sum == 0, s);
    BOOST_TEST(done.load() == 16L * rounds, s);
  }
}

// Nobody is left behind while all fight for one mutex. A slice and a millisecond is the longest that one who has the
// processor can keep the others off, so each gets a turn in every 20 ms or so; without the starvation mode it may get
// none. A machine that has other things to do gets more time for as many turns.
BOOST_AUTO_TEST_CASE(all_get_their_share) {
  for (const auto& s : all_settings) {
    constexpr int workers = 6;
    heddle::mutex m;
    long least = 0;
    for (auto span = 400ms; least < 4 && span < 10s; span *= 2) {
      std::vector<long> turns(workers);
      std::atomic<bool> stop{false};
      with_crew(s, [&](crew& c) {
        for (int worker = 0; worker < workers; ++worker)
          c.start([&, worker] {
            while (!stop.load(std::memory_order_relaxed)) {
              const std::lock_guard guard(m);
              ++turns[static_cast<std::size_t>(worker)];
              for (const auto until = std::chrono::steady_clock::now() + 100us;
                   std::chrono::steady_clock::now() < until;) {
              }
            }
          });
        heddle::this_fiber::sleep_for(span);
        stop = true;
        c.join();
      });
      least = *std::min_element(turns.begin(), turns.end());
      BOOST_TEST_MESSAGE(s << ": at least " << least << " turns in " << span.count() << " ms");
    }
    BOOST_TEST(least >= 4, s);
  }
}

// Locked and unlocked by the last but one, destroyed by the last: the unlock may still be on its way out.
BOOST_AUTO_TEST_CASE(short_lives) {
  struct shared {
    heddle::mutex m;
    heddle::wait_group gone{3};
    int users = 4;
  };
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      for (int round = 0; round < (s.who == kind::fibers ? 3'000 : 100); ++round) {
        auto object = std::make_unique<shared>();
        for (int user = 0; user < 3; ++user)
          c.start([o = object.get()] {
            {
              const std::lock_guard guard(o->m);
              --o->users;
            }
            o->gone.done();
          });
        object->gone.wait();
        BOOST_REQUIRE(object->users == 1);
      }
    });
}

// Many waiters and early reuse: each round's waiters are released by that round's zero.
BOOST_AUTO_TEST_CASE(rounds_of_a_wait_group) {
  for (const auto& s : all_settings) {
    const int rounds = s.who == kind::fibers ? 300 : 40;
    std::atomic<long> released{0};
    with_crew(s, [&](crew& c) {
      heddle::wait_group work, all;
      for (int round = 0; round < rounds; ++round) {
        work.add(3);
        all.add(5);
        for (int i = 0; i < 5; ++i)
          c.start([&] {
            work.wait();
            ++released;
            all.done();
          });
        for (int i = 0; i < 3; ++i) c.start([&] { work.done(); });
        all.wait();
      }
      c.join();
    });
    BOOST_TEST(released.load() == 5L * rounds, s);
  }
}

BOOST_AUTO_TEST_SUITE_END()
