// SPDX-License-Identifier: BSL-1.0
//
// Who runs when: yield and its fairness, sleep and its order.
#include "heddle/this_fiber.hpp"

#include <malloc.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using heddle::testing::death_of;
using heddle::testing::late;
using heddle::testing::times;

/// One processor that nobody takes away: of two fibers never both run, so that they may share plain variables. With a
/// monitor, a fiber that loses its processor runs on beside the next.
constexpr heddle::options one_at_a_time{.procs = 1, .monitor = false};

/// Fibers of one processor that have met: the last to come sees all others in the ring.
class meeting {
 public:
  explicit meeting(int n) : missing_(n) {}
  void join() {
    --missing_;
    while (missing_ > 0) heddle::this_fiber::yield();
  }

 private:
  int missing_;
};

/// A clock that only the test moves.
struct toy_clock {
  using duration = std::chrono::milliseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<toy_clock>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  inline static std::atomic<rep> shows{0};
  static time_point now() noexcept { return time_point(duration(shows.load())); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(this_fiber, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(a_plain_thread_has_none) {
  BOOST_TEST(!heddle::this_fiber::is_fiber());
  BOOST_TEST((heddle::this_fiber::get_id() == heddle::fiber_id()));
  BOOST_TEST(heddle::this_fiber::name().empty());
  heddle::this_fiber::name("ignored");
  BOOST_TEST(heddle::this_fiber::name().empty());
  heddle::this_fiber::yield();
  const auto start = clock::now();
  heddle::this_fiber::sleep_for(3ms);
  BOOST_TEST((clock::now() - start >= 3ms));
  heddle::this_fiber::sleep_until(start);
}

BOOST_AUTO_TEST_CASE(a_fiber_has_a_name_that_it_may_change) {
  heddle::run([] {
    BOOST_TEST(heddle::this_fiber::is_fiber());
    std::string given = "given";
    auto h = heddle::spawn(heddle::fiber_options{.name = given}, [] {
      heddle::this_fiber::yield();
      BOOST_TEST(heddle::this_fiber::name() == "given");  // a copy
      heddle::this_fiber::name(std::string(1000, 'x'));
      BOOST_TEST(heddle::this_fiber::name().size() == 1000u);
      heddle::this_fiber::name("");
      BOOST_TEST(heddle::this_fiber::name().empty());
      return heddle::this_fiber::get_id();
    });
    given = "other";
    const auto id = h.get_id();
    const bool same = h.join() == id;
    BOOST_TEST(same);
    BOOST_TEST(heddle::spawn([] { return heddle::this_fiber::name().empty(); }).join());
  });
}

// --- yield ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(a_name_that_is_replaced_is_freed, *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  heddle::run([] {
    const std::string long_one(1000, 'n');
    heddle::this_fiber::name(long_one);
    const std::size_t so_far = ::mallinfo2().uordblks;
    for (int i = 0; i != 10'000; ++i) {
      heddle::this_fiber::name(long_one);
      if (i % 2 == 0) heddle::this_fiber::name("");
    }
    BOOST_TEST(::mallinfo2().uordblks < so_far + 1'000'000);
  });
}

BOOST_AUTO_TEST_CASE(yielding_fibers_take_turns) {
  heddle::run(
      [] {
        constexpr int n = 5;
        meeting all_here(n);
        std::vector<int> order;
        std::vector<heddle::join_handle<void>> all;
        for (int i = 0; i != n; ++i)
          all.push_back(heddle::spawn([&, i] {
            all_here.join();
            for (int k = 0; k != 10; ++k) {
              order.push_back(i);
              heddle::this_fiber::yield();
            }
          }));
        for (auto& h : all) h.join();
        // Who once came before another does so in each round.
        for (std::size_t i = n; i + n < order.size(); ++i) BOOST_TEST(order[i] == order[i + n]);
      },
      one_at_a_time);
}

BOOST_AUTO_TEST_CASE(each_yield_begins_one_of_those_that_have_not_begun) {
  heddle::run(
      [] {
        constexpr int n = 6;
        int begun = 0;
        for (int i = 0; i != n; ++i) heddle::go([&] { ++begun; });
        for (int i = 0; i != n; ++i) {
          BOOST_TEST(begun == i);
          heddle::this_fiber::yield();
        }
        BOOST_TEST(begun == n);
      },
      one_at_a_time);
}

BOOST_AUTO_TEST_CASE(all_that_have_begun_run_before_yield_returns) {
  heddle::run(
      [] {
        constexpr int n = 6, rounds = 20;
        meeting all_here(n + 1);
        std::vector<int> turns(n);
        int fresh = 0;
        std::vector<heddle::join_handle<void>> all;
        for (int i = 0; i != n; ++i)
          all.push_back(heddle::spawn([&, i] {
            all_here.join();
            for (int k = 0; k != rounds; ++k) {
              ++turns[static_cast<std::size_t>(i)];
              heddle::this_fiber::yield();
            }
          }));
        all_here.join();
        heddle::this_fiber::yield();
        for (int k = 1; k != rounds / 2; ++k) {
          const std::vector<int> then = turns;
          heddle::go([&] { ++fresh; });
          heddle::this_fiber::yield();
          for (std::size_t i = 0; i != turns.size(); ++i) BOOST_TEST(turns[i] == then[i] + 1);
        }
        BOOST_TEST(fresh > 0);  // they have begun one by one, beside
        for (auto& h : all) h.join();
      },
      one_at_a_time);
}

BOOST_AUTO_TEST_CASE(those_that_were_woken_run_before_yield_returns) {
  heddle::run(
      [] {
        constexpr int n = 5;
        heddle::channel<int> c;
        int woken = 0, waiting = 0;
        for (int i = 0; i != n; ++i)
          heddle::go([&] {
            ++waiting;
            (void)c.receive();
            ++woken;
          });
        while (waiting != n) heddle::this_fiber::yield();
        c.close();
        BOOST_TEST(woken == 0);
        heddle::this_fiber::yield();
        BOOST_TEST(woken == n);
      },
      one_at_a_time);
}

BOOST_AUTO_TEST_CASE(a_pair_that_wakes_each_other_starves_nobody) {
  heddle::run(
      [] {
        heddle::channel<int> there, back;
        constexpr int exchanges = 50'000;
        bool over = false;
        int turns = 0;
        auto third = heddle::spawn([&] {
          while (!over) {
            ++turns;
            heddle::this_fiber::yield();
          }
        });
        auto echo = heddle::spawn([&] {
          for (int n : there) back.send(n);
        });
        heddle::this_fiber::yield();
        for (int i = 0; i != exchanges; ++i) {
          there.send(i);
          BOOST_REQUIRE(back.receive().value() == i);
        }
        over = true;
        there.close();
        echo.join();
        third.join();
        BOOST_TEST_MESSAGE(turns << " turns beside " << exchanges << " exchanges");
        // At least one in 61 picks, and one exchange is two to four of them.
        BOOST_TEST(turns >= exchanges / 61);
      },
      one_at_a_time);
}

BOOST_AUTO_TEST_CASE(a_chain_of_fresh_fibers_starves_nobody) {
  heddle::run(
      [] {
        constexpr int most = 100'000;
        bool over = false;
        int links = 0;
        int alive = 0;
        // Each makes the next one and lets it run.
        auto link = [&](auto& self) -> void {
          if (over || ++links == most) return;
          ++alive;
          heddle::go([&] {
            self(self);
            --alive;
          });
          heddle::this_fiber::yield();
        };
        bool woken = false;
        auto sleeper = heddle::spawn([&] {
          heddle::this_fiber::sleep_for(100us);
          woken = true;
        });
        int turns = 0;
        auto other = heddle::spawn([&] {
          while (turns < 3 || !woken) {  // each turn comes after all links so far, so their number doubles
            ++turns;
            heddle::this_fiber::yield();
          }
          over = true;
        });
        heddle::this_fiber::yield();
        heddle::spawn([&] { link(link); }).join();
        other.join();
        sleeper.join();
        while (alive != 0) heddle::this_fiber::yield();  // they use what is declared here
        BOOST_TEST_MESSAGE(links << " links beside " << turns << " turns");
        BOOST_TEST(links < most);
      },
      one_at_a_time);
}

BOOST_AUTO_TEST_CASE(more_yielding_fibers_than_the_ring_holds_all_get_turns) {
  heddle::run(
      [] {
        const int n = times(1000, 3);  // the ring holds 256
        std::vector<int> turns(static_cast<std::size_t>(n));
        int content = 0;
        long total = 0;
        std::vector<heddle::join_handle<void>> all;
        for (int i = 0; i != n; ++i)
          all.push_back(heddle::spawn([&, i] {
            while (content != n) {
              if (++turns[static_cast<std::size_t>(i)] == 3) ++content;
              ++total;
              heddle::this_fiber::yield();
            }
          }));
        for (auto& h : all) h.join();
        BOOST_TEST_MESSAGE(total << " turns until each had three");
        BOOST_TEST(total < 2'000'000);
      },
      one_at_a_time);
}

BOOST_AUTO_TEST_CASE(what_plain_threads_start_is_not_starved) {
  heddle::run(
      [] {
        std::atomic<bool> ran{false};
        std::thread plain([&] { heddle::go([&] { ran = true; }); });
        auto other = heddle::spawn([&] {
          while (!ran) heddle::this_fiber::yield();
        });
        while (!ran) heddle::this_fiber::yield();
        other.join();
        heddle::blocking([&] { plain.join(); });
      },
      one_at_a_time);
}

// --- sleep ---------------------------------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(sleepers_wake_in_the_order_of_their_deadlines) {
  heddle::run(
      [] {
        const int n = times(200, 4);  // fewer than the ring holds: what overflows comes later
        std::vector<int> order;
        bool late = true;
        for (auto lead = 20ms; late; lead *= 2) {  // until all are asleep before the first is due
          late = false;
          order.clear();
          const auto start = clock::now() + lead;
          std::vector<heddle::join_handle<void>> all;
          for (int i = 0; i != n; ++i)
            all.push_back(heddle::spawn([&, at = (i * 7919) % n] {
              late = late || clock::now() >= start;
              heddle::this_fiber::sleep_until(start + at * 50us);
              order.push_back(at);
            }));
          for (auto& h : all) h.join();
        }
        BOOST_TEST(order.size() == static_cast<std::size_t>(n));
        BOOST_TEST(std::is_sorted(order.begin(), order.end()));
        BOOST_TEST(heddle::stats().timers == 0u);
      },
      one_at_a_time);
}

BOOST_AUTO_TEST_CASE(many_sleepers_none_early_none_lost) {
  for (unsigned procs : {1u, 2u, 4u}) {
    const int n = times(10'000);
    std::atomic<int> early{0};
    std::atomic<int> woken{0};
    const auto start = clock::now();
    heddle::run(
        [&] {
          std::minstd_rand random(procs);
          for (int i = 0; i != n; ++i)
            heddle::go([&, us = random() % 50'000, again = random() % 3] {
              for (std::uint64_t k = 0; k <= again; ++k) {
                const auto due = clock::now() + std::chrono::microseconds(us);
                heddle::this_fiber::sleep_until(due);
                if (clock::now() < due) ++early;
              }
              ++woken;
            });
        },
        {.procs = procs});
    BOOST_TEST(early == 0);
    BOOST_TEST(woken == n);
    if (!heddle::testing::sanitized) BOOST_TEST((clock::now() - start < late));  // 150 ms of sleep
  }
}

BOOST_AUTO_TEST_CASE(a_shorter_sleep_overtakes_a_longer_one_on_an_idle_runtime) {
  for (unsigned procs : {1u, 2u}) {
    heddle::run(
        [] {
          bool overtook = false;
          for (auto longer = 400ms; !overtook && longer < late; longer *= 2) {
            const auto start = clock::now();
            auto hare = heddle::spawn([=] { heddle::this_fiber::sleep_for(longer); });
            heddle::this_fiber::sleep_for(20ms);  // whoever keeps time now waits for the hare
            std::thread plain([&] {
              std::this_thread::sleep_for(80ms);  // the monitor sleeps for good
              heddle::spawn([] { heddle::this_fiber::sleep_for(10ms); }).join();
              overtook = clock::now() - start < longer;
            });
            heddle::blocking([&] { plain.join(); });
            hare.join();
            BOOST_TEST((clock::now() - start >= longer));
          }
          BOOST_TEST(overtook);
        },
        {.procs = procs});
  }
}

BOOST_AUTO_TEST_CASE(who_sleeps_for_ever_is_no_deadlock) {
  const auto alone = death_of([] {
    heddle::run([] {
      ::alarm(1);
      heddle::this_fiber::sleep_for(std::chrono::hours::max());
    });
  });
  BOOST_TEST(alone.signal == SIGALRM);
  BOOST_TEST(alone.text.empty(), alone.text);
  const auto end = death_of([] {
    heddle::run([] {
      heddle::go([] { heddle::this_fiber::sleep_for(std::chrono::hours::max()); });
      heddle::go([] { heddle::this_fiber::sleep_for(std::chrono::nanoseconds::max()); });
      heddle::go([] { heddle::this_fiber::sleep_until(clock::time_point::max()); });
      heddle::go([] { heddle::this_fiber::sleep_until(std::chrono::system_clock::time_point::max()); });
      heddle::go([] {
        heddle::this_fiber::sleep_until(std::chrono::time_point<std::chrono::steady_clock, std::chrono::hours>::max());
      });
      heddle::go([] {
        heddle::this_fiber::sleep_for(std::chrono::duration<double>(std::numeric_limits<double>::infinity()));
      });
      for (const auto give_up = clock::now() + late; heddle::stats().timers != 6; heddle::this_fiber::yield())
        if (clock::now() > give_up) {
          ::dprintf(2, "%zu sleep, not 6\n", heddle::stats().timers);
          std::abort();
        }
      ::alarm(1);  // main returns, and all sleep
    });
  });
  BOOST_TEST(end.signal == SIGALRM);
  BOOST_TEST(end.text.empty(), end.text);
}

BOOST_AUTO_TEST_CASE(what_is_over_is_not_waited_for) {
  heddle::run([] {
    const auto start = clock::now();
    for (int i = 0; i != 100; ++i) {
      heddle::this_fiber::sleep_for(0s);
      heddle::this_fiber::sleep_for(-1ns);
      heddle::this_fiber::sleep_for(std::chrono::hours::min());
      heddle::this_fiber::sleep_for(std::chrono::duration<double>(-std::numeric_limits<double>::infinity()));
      heddle::this_fiber::sleep_until(clock::time_point::min());
      heddle::this_fiber::sleep_until(std::chrono::time_point<std::chrono::steady_clock, std::chrono::hours>::min());
      heddle::this_fiber::sleep_until(std::chrono::system_clock::time_point::min());
    }
    BOOST_TEST((clock::now() - start < late));
  });
}

BOOST_AUTO_TEST_CASE(what_is_over_lets_others_run) {
  heddle::run(
      [] {
        const std::stop_source nobody_stops;
        int ran = 0;
        const auto lets_run = [&ran](auto sleeps) {
          const int so_far = ran;
          heddle::go([&ran] { ++ran; });
          for (int i = 0; i != 1'000 && ran == so_far; ++i) sleeps();
          return ran != so_far;
        };
        BOOST_TEST(lets_run([] { heddle::this_fiber::sleep_for(0s); }));
        BOOST_TEST(lets_run([] { heddle::this_fiber::sleep_for(-1h); }));
        BOOST_TEST(lets_run([] { heddle::this_fiber::sleep_until(clock::now() - 1s); }));
        BOOST_TEST(lets_run([&] { BOOST_CHECK(heddle::this_fiber::sleep_for(0s, nobody_stops.get_token())); }));
        std::stop_source stopped;
        stopped.request_stop();
        BOOST_TEST(!heddle::this_fiber::sleep_for(0s, stopped.get_token()));
        BOOST_TEST(!heddle::this_fiber::sleep_for(1h, stopped.get_token()));
      },
      {.procs = 1, .monitor = false});
}

BOOST_AUTO_TEST_CASE(other_clocks_are_asked_again) {
  heddle::run([] {
    const auto due = std::chrono::system_clock::now() + 3ms;
    heddle::this_fiber::sleep_until(due);
    BOOST_TEST((std::chrono::system_clock::now() >= due));
    toy_clock::shows = 0;
    std::atomic<bool> over{false};
    auto sleeper = heddle::spawn([&] {
      heddle::this_fiber::sleep_until(toy_clock::time_point(10ms));
      over = true;
    });
    heddle::this_fiber::sleep_for(40ms);  // longer than it thought
    BOOST_TEST(!over);
    toy_clock::shows = 10;
    sleeper.join();
  });
}

BOOST_AUTO_TEST_SUITE_END()
