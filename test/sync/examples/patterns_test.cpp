// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "pipeline.hpp"
#include "pub_sub.hpp"
#include "rate_limiter.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "worker_pool.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::with_crew;
using clock = std::chrono::steady_clock;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(worker_pool, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(does_everything_with_so_many_at_once) {
  for (const auto& s : all_settings) {
    std::atomic<int> running{0}, done{0}, most{0};
    with_crew(s, [&](crew& c) {
      examples::worker_pool pool(3, 4);
      for (int owner = 0; owner < 2; ++owner)
        c.start([&] {
          for (int i = 0; i < 200; ++i)
            pool.submit([&] {
              const int now = ++running;
              for (int m = most; now > m && !most.compare_exchange_weak(m, now);) {
              }
              heddle::this_fiber::yield();
              --running;
              ++done;
            });
        });
      c.join();
      pool.finish();
    });
    BOOST_TEST(done == 400, s);
    BOOST_TEST(most <= 3, s);
  }
}

BOOST_AUTO_TEST_CASE(a_failure_ends_it_and_nobody_stays_blocked) {
  heddle::run([] {
    for (const std::size_t workers : {1U, 3U}) {
      examples::worker_pool pool(workers);
      int submitted = 0;
      while (submitted < 1'000 && pool.submit([n = submitted] {
        if (n == 10) throw std::runtime_error("no");
      }))
        ++submitted;
      BOOST_TEST(submitted < 1'000);
      BOOST_CHECK_THROW(pool.finish(), std::runtime_error);
    }
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(pipeline, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(all_values_come_through) {
  for (const auto& s : all_settings) {
    long sum = 0;
    with_crew(s, [&](crew& c) {
      c.start([&] {
        examples::pipeline p({}, 4);
        auto numbers = p.source<int>([](auto emit) {
          for (int i = 1; i <= 500; ++i)
            if (!emit(i)) return;
        });
        auto squares = p.stage(
            numbers, [](int n) { return static_cast<long>(n) * n; }, 3);
        p.sink(squares, [&](long n) { sum += n; });
        p.wait();
      });
    });
    BOOST_TEST(sum == 500L * 501 * 1001 / 6, s);
  }
}

BOOST_AUTO_TEST_CASE(a_failure_in_any_stage_ends_all) {
  for (const auto& s : all_settings)
    for (int place = 0; place < 3; ++place) {
      bool threw = false;
      with_crew(s, [&](crew& c) {
        c.start([&] {
          examples::pipeline p({}, place == 1 ? 0 : 2);
          auto numbers = p.source<int>([=](auto emit) {
            for (int i = 1; emit(i); ++i)  // without end
              if (place == 0 && i == 100) throw std::runtime_error("source");
          });
          auto same = p.stage(
              numbers,
              [=](int n) {
                if (place == 1 && n == 100) throw std::runtime_error("stage");
                return n;
              },
              2);
          p.sink(same, [=](int n) {
            if (place == 2 && n >= 100) throw std::runtime_error("sink");
          });
          try {
            p.wait();
          } catch (const std::runtime_error&) {
            threw = true;
          }
        });
      });
      BOOST_TEST(threw, s);
    }
}

BOOST_AUTO_TEST_CASE(a_deadline_ends_all) {
  heddle::run([] {
    examples::pipeline p({.timeout = 10ms});
    auto numbers = p.source<int>([](auto emit) {
      for (int i = 1; emit(i); ++i) {
      }
    });
    p.sink(numbers, [](int) { heddle::this_fiber::sleep_for(1ms); });
    BOOST_CHECK_THROW(p.wait(), heddle::deadline_exceeded);
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(pub_sub, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(all_subscribers_see_all_in_one_order) {
  for (const auto& s : all_settings) {
    std::vector<std::vector<int>> seen(3);
    with_crew(s, [&](crew& c) {
      examples::topic<int> numbers;
      std::atomic<int> publishers{2};
      for (auto& mine : seen)
        c.start([&mine, reader = std::make_shared<examples::topic<int>::subscription>(numbers.subscribe(1'000))] {
          while (auto n = reader->receive()) mine.push_back(**n);
        });
      for (int p = 0; p < 2; ++p)
        c.start([&, p] {
          for (int i = 0; i < 200; ++i) numbers.publish(1'000 * p + i);
          if (--publishers == 0) numbers.close();
        });
      c.join();
    });
    BOOST_TEST(seen[0].size() == 400U, s);
    BOOST_TEST((seen[0] == seen[1]), s);
    BOOST_TEST((seen[0] == seen[2]), s);
  }
}

BOOST_AUTO_TEST_CASE(who_does_not_keep_up_loses_and_knows_it) {
  examples::topic<std::string> news;
  auto slow = news.subscribe(2);
  {
    const auto short_lived = news.subscribe(1);
    BOOST_TEST(news.publish("a") == 2U);
  }
  BOOST_TEST(news.publish("b") == 1U);
  BOOST_TEST(news.publish("c") == 0U);
  BOOST_TEST(slow.lost() == 1U);
  news.close();
  BOOST_TEST(news.publish("d") == 0U);
  BOOST_TEST(**slow.receive() == "a");
  BOOST_TEST(**slow.receive() == "b");
  BOOST_TEST(!slow.receive().has_value());
  BOOST_TEST(!news.subscribe(1).receive().has_value());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(rate_limiter, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(lets_a_burst_pass_and_then_the_rate) {
  for (const auto& s : all_settings) {
    std::atomic<int> passed{0};
    const auto start = clock::now();
    with_crew(s, [&](crew& c) {
      examples::rate_limiter limiter(1'000, 5);
      for (int i = 0; i < 3; ++i)
        c.start([&] {
          for (int n = 0; n < 5; ++n) passed += limiter.wait({});
        });
      c.join();
    });
    BOOST_TEST(passed == 15, s);
    BOOST_TEST((clock::now() - start >= 10ms), s);  // 15 less the burst, a millisecond each
  }
}

BOOST_AUTO_TEST_CASE(a_stop_ends_the_wait_and_gives_the_token_back) {
  heddle::run([] {
    examples::rate_limiter limiter(0.001, 1);
    BOOST_TEST(limiter.try_acquire());
    BOOST_TEST(!limiter.try_acquire());
    std::stop_source source;
    auto stopper = heddle::spawn([&] {
      heddle::this_fiber::sleep_for(5ms);
      source.request_stop();
    });
    BOOST_TEST(!limiter.wait(source.get_token()));
    BOOST_TEST((limiter.reserve() <= 1'001s));  // the next token, not the one after
    BOOST_TEST(!limiter.wait(source.get_token()));
  });
}

BOOST_AUTO_TEST_SUITE_END()
