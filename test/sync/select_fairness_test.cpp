// SPDX-License-Identifier: BSL-1.0
//
// Each case that can be done has the same chance, whether a select finds several ready, or waits and is served. Earlier
// choices have no influence. Counts are judged by Pearson's chi-square, with bounds that a fair choice exceeds less
// than once in a million runs.
#include <array>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <memory>
#include <vector>

#include "heddle/fiber.hpp"
#include "heddle/this_fiber.hpp"
#include "support/scale.hpp"
#include "sync/selecting.hpp"

namespace {

using namespace selecting;

constexpr int draws = heddle::testing::times(100'000, 10);

/// How often each of N cases was chosen, and after which other.
template <std::size_t N>
class tally {
 public:
  void count(std::size_t chosen) {
    BOOST_REQUIRE(chosen < N);
    ++times_[chosen];
    if (total_++ != 0) ++pairs_[last_][chosen];
    last_ = chosen;
  }
  ~tally() {
    // By degrees of freedom, from 1: the bound that chi-square exceeds with a probability of 1e-6.
    constexpr double bound[] = {23.93, 27.63, 30.66, 33.38, 35.89, 38.26, 40.52, 42.70, 44.81, 46.86, 48.87};
    const double expected = total_ / double{N};
    double sum = 0;
    for (const double n : times_) sum += (n - expected) * (n - expected) / expected;
    BOOST_TEST(sum < bound[N - 2]);
    BOOST_TEST(total_ == draws);
    if constexpr (N * N - N <= std::size(bound)) {
      // The successors of each choice: N times N - 1 degrees of freedom.
      double after = 0;
      for (const auto& row : pairs_) {
        double all = 0;
        for (const double n : row) all += n;
        for (const double n : row) after += (n - all / N) * (n - all / N) / (all / N);
      }
      BOOST_TEST(after < bound[N * N - N - 1]);
    }
  }

 private:
  std::array<double, N> times_{};
  std::array<std::array<double, N>, N> pairs_{};
  double total_ = 0;
  std::size_t last_ = 0;
};

/// Runs `one` and `other` equally often, on two fibers that wait at the same time; each time the same is first.
template <class One, class Other>
void by_turns(One one, Other other) {
  with_crew(one_at_a_time, [&](crew& all) {
    all.start([&] {
      for (int i = 0; i < draws; ++i) {
        heddle::this_fiber::yield();  // until the other fiber waits
        other();
      }
    });
    for (int i = 0; i < draws; ++i) one();
    all.join();
  });
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(select_fairness, heddle::testing::leak_check)

// --- that wait: somebody comes who could serve several -----------------------------------------------------

BOOST_AUTO_TEST_CASE(two_sends_to_one_channel) {
  channel<int> c;
  tally<2> chosen;
  tally<2> received;
  by_turns([&] { chosen.count(select(heddle::on_send(c, 0), heddle::on_send(c, 1))); },
           [&] { received.count(static_cast<std::size_t>(c.receive().value())); });
}

BOOST_AUTO_TEST_CASE(receives_from_one_channel) {
  channel<int> c;
  tally<5> chosen;
  receive_case a{c}, b{c}, d{c}, e{c}, f{c};
  by_turns([&] { chosen.count(select(a, b, d, e, f)); }, [&] { c.send(1); });
}

BOOST_AUTO_TEST_CASE(sends_and_receives_of_one_channel_among_others) {
  channel<int> c, before_it, behind_it;
  tally<3> sent;
  {
    receive_case never{before_it}, nor{behind_it}, from{c};
    by_turns(
        [&] {
          send_case one{c, 1}, two{c, 2}, three{c, 3};
          const std::size_t i = select(one, never, from, two, nor, three);
          sent.count(i == 0 ? 0 : i == 3 ? 1 : i == 5 ? 2 : 9);
        },
        [&] { (void)c.receive(); });
  }
  tally<2> received;
  receive_case one{c}, two{c}, never{before_it}, nor{behind_it};
  by_turns(
      [&] {
        send_case to{c, 1};
        const std::size_t i = select(never, one, to, nor, two);
        received.count(i == 1 ? 0 : i == 4 ? 1 : 9);
      },
      [&] { c.send(1); });
}

BOOST_AUTO_TEST_CASE(many_cases_known_at_run_time) {
  channel<int> c;
  tally<12> chosen;
  std::vector<receive_case<int>> cases;
  for (int i = 0; i < 12; ++i) cases.emplace_back(c);
  by_turns([&] { chosen.count(select(cases)); }, [&] { c.send(1); });
}

BOOST_AUTO_TEST_CASE(with_bounds) {
  channel<int> c;
  tally<2> chosen;
  receive_case a{c}, b{c};
  by_turns([&] { chosen.count(select(a, b, heddle::on_timeout(1h))); }, [&] { c.send(1); });
}

BOOST_AUTO_TEST_CASE(a_close_serves_them_alike) {
  tally<3> chosen;
  std::unique_ptr<channel<int>> c;
  by_turns(
      [&] {
        c = std::make_unique<channel<int>>();
        chosen.count(select(heddle::on_receive(*c, [](auto) {}), heddle::on_receive(*c, [](auto) {}),
                            heddle::on_receive(*c, [](auto) {})));
      },
      [&] { c->close(); });
}

// Two channels become ready in the same moment: when a select that offers to both meets one that waits for both.
BOOST_AUTO_TEST_CASE(a_select_meets_one_that_waits_at_other_channels) {
  std::array<channel<int>, 3> c;
  tally<3> chosen, offered;
  receive_case x{c[0]}, y{c[1]}, z{c[2]};
  by_turns(
      [&] { chosen.count(select(z, x, y)); },
      [&] { offered.count(select(heddle::on_send(c[1], 1), heddle::on_send(c[0], 1), heddle::on_send(c[2], 1))); });
}

// --- that find several ready -------------------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(several_channels_are_ready) {
  std::array<channel<int>, 4> c{channel<int>(1), channel<int>(1), channel<int>(1), channel<int>(1)};
  for (auto& one : c) one.send(1);
  receive_case x{c[0]}, y{c[1]}, z{c[2]}, w{c[3]};
  tally<4> chosen;
  for (int i = 0; i < draws; ++i) {
    const std::size_t n = select(y, w, x, z);
    chosen.count(n);
    constexpr std::size_t which[] = {1, 3, 0, 2};
    c[which[n]].send(1);
  }
}

BOOST_AUTO_TEST_CASE(senders_wait_at_several_channels) {
  with_crew(one_at_a_time, [](crew& all) {
    std::array<channel<int>, 2> c;
    for (auto& one : c)
      all.start([&one] {
        try {
          for (;;) one.send(1);
        } catch (const heddle::channel_closed&) {
        }
      });
    receive_case x{c[0]}, y{c[1]};
    {
      tally<2> chosen;
      for (int i = 0; i < draws; ++i) {
        for (int n = 0; n < 3; ++n) heddle::this_fiber::yield();  // until both wait
        chosen.count(select(x, y));
      }
    }
    for (auto& one : c) one.close();
    all.join();  // before the channels end
  });
}

BOOST_AUTO_TEST_CASE(one_channel_is_ready_for_several_cases) {
  channel<int> c(2);
  c.send(1);
  receive_case from{c}, again{c};
  send_case to{c, 1};
  tally<3> chosen;
  for (int i = 0; i < draws; ++i) {
    const std::size_t n = select(from, to, again);
    chosen.count(n);
    if (n == 1)
      (void)c.receive();
    else
      c.send(1);
  }
}

// Some cases are ready, and others are not: the ready cases have the same chance, and the others none.
BOOST_AUTO_TEST_CASE(some_are_ready) {
  channel<int> a(1), b(1), full(1), empty(1), closed;
  closed.close();
  full.send(0);
  a.send(1);
  receive_case from_a{a}, from_empty{empty}, from_closed{closed};
  send_case to_b{b, 1}, to_full{full, 1};
  tally<3> chosen;
  for (int i = 0; i < draws; ++i) {
    const std::size_t n = select(from_empty, from_a, to_full, from_closed, to_b);
    chosen.count(n == 1 ? 0 : n == 3 ? 1 : n == 4 ? 2 : 9);
    if (n == 1) a.send(1);
    if (n == 4) (void)b.receive();
  }
}

BOOST_AUTO_TEST_SUITE_END()
