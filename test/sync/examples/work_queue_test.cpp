// SPDX-License-Identifier: BSL-1.0
//
// What client-go's own tests ask of its queues, and what its comments promise.
#include "work_queue.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstddef>
#include <map>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

#include "delaying_queue.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "rate_limiting_queue.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"
#include "sync/examples/queue_promises.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::kind;
using heddle::testing::late;
using heddle::testing::with_crew;
using clock = std::chrono::steady_clock;
using queue = examples::work_queue<std::string>;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(work_queue, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(first_come_first_served_and_each_once) {
  queue q;
  queue_promises::first_come_first_served_and_each_once(q);
}

BOOST_AUTO_TEST_CASE(added_while_processed_waits_again_once_when_done) {
  queue q;
  queue_promises::added_while_processed_waits_again_once_when_done(q);
}

BOOST_AUTO_TEST_CASE(a_key_that_is_done_may_come_again) {
  queue q;
  queue_promises::a_key_that_is_done_may_come_again(q);
}

BOOST_AUTO_TEST_CASE(an_item_moves_with_its_right) {
  queue q;
  queue_promises::an_item_moves_with_its_right(q);
}

BOOST_AUTO_TEST_CASE(shut_down_hands_out_the_rest_and_then_nothing) {
  queue q;
  queue_promises::shut_down_hands_out_the_rest_and_then_nothing(q);
}

BOOST_AUTO_TEST_CASE(shut_down_wakes_all_who_wait) {
  for (const auto& s : all_settings) {
    queue q;
    std::atomic<int> ended{0};
    with_crew(s, [&](crew& c) {
      for (int i = 0; i < 6; ++i)
        c.start([&] {
          while (q.get()) {
          }
          ++ended;
        });
      heddle::this_fiber::sleep_for(2ms);
      q.shut_down();
    });
    BOOST_TEST(ended == 6, s);
  }
}

BOOST_AUTO_TEST_CASE(a_stop_ends_the_wait) {
  for (const auto& s : all_settings) {
    queue q;
    std::stop_source stop;
    std::atomic<int> empty{0};
    with_crew(s, [&](crew& c) {
      for (int i = 0; i < 3; ++i) c.start([&] { empty += !q.get(stop.get_token()); });
      heddle::this_fiber::sleep_for(2ms);
      stop.request_stop();
    });
    BOOST_TEST(empty == 3, s);
  }
}

BOOST_AUTO_TEST_CASE(drain_waits_for_what_waits_and_what_is_processed) {
  for (const auto& s : all_settings) {
    queue q;
    std::atomic<int> processed{0};
    bool all = false;
    with_crew(s, [&](crew& c) {
      for (int i = 0; i < 50; ++i) q.add(std::to_string(i));
      for (int i = 0; i < 4; ++i)
        c.start([&] {
          while (auto item = q.get()) {
            if (*item == "7" && processed < 50) q.add("7");  // refused or one more time
            heddle::this_fiber::yield();
            ++processed;
          }
        });
      q.shut_down_with_drain();
      all = processed >= 50;
      c.join();
    });
    BOOST_TEST(all, s);
    BOOST_TEST(q.size() == 0U, s);
  }
}

BOOST_AUTO_TEST_CASE(drain_includes_what_was_added_while_processed) {
  heddle::run(
      [] {
        queue q;
        q.add("a");
        auto item = q.get();
        q.add("a");
        bool drained = false;
        auto drainer = heddle::spawn([&] {
          q.shut_down_with_drain();
          drained = true;
        });
        heddle::this_fiber::yield();
        item.done();
        for (int i = 0; i < 10; ++i) heddle::this_fiber::yield();
        BOOST_TEST(!drained);
        item = q.get();
        BOOST_TEST(*item == "a");
        item.done();
        drainer.join();
      },
      {.procs = 1, .monitor = false});
}

BOOST_AUTO_TEST_CASE(shut_down_ends_a_drain) {
  heddle::run(
      [] {
        queue q;
        q.add("a");
        auto item = q.get();
        auto drainer = heddle::spawn([&] { q.shut_down_with_drain(); });
        heddle::this_fiber::yield();
        q.shut_down();
        drainer.join();
      },
      {.procs = 1, .monitor = false});
}

// The promise that controllers build on: never two at once on one key, and the last add is never forgotten.
BOOST_AUTO_TEST_CASE(one_at_a_time_and_nothing_is_forgotten) {
  constexpr int number_of_keys = 37;
  for (const auto& s : all_settings) {
    examples::work_queue<int> q;
    std::vector<std::atomic<int>> wanted(number_of_keys), seen(number_of_keys), busy(number_of_keys);
    std::atomic<int> wrong{0};
    with_crew(s, [&](crew& c) {
      std::atomic<int> producers{4};
      for (int p = 0; p < 4; ++p)
        c.start([&, p] {
          for (int i = 0; i < 2'000; ++i) {
            const int key = (i * 7 + p) % number_of_keys;
            ++wanted[key];
            q.add(key);
            if (i % 16 == 0) heddle::this_fiber::yield();
          }
          if (--producers == 0) q.shut_down_with_drain();
        });
      for (int w = 0; w < 4; ++w)
        c.start([&, w] {
          while (auto item = q.get()) {
            wrong += busy[*item].exchange(1) != 0;
            seen[*item] = wanted[*item].load();
            if (w % 2 == 0) heddle::this_fiber::yield();
            busy[*item] = 0;
          }
        });
      c.join();
    });
    BOOST_TEST(wrong == 0, s);
    for (int k = 0; k < number_of_keys; ++k) BOOST_TEST(seen[k] == wanted[k], s);
  }
}

BOOST_AUTO_TEST_CASE(many_keys_grow_the_table) {
  examples::work_queue<int> q;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10'000; ++i) q.add(i * 64);
    for (int i = 0; i < 10'000; ++i) BOOST_TEST_REQUIRE(*q.get() == i * 64);
  }
}

BOOST_AUTO_TEST_CASE(measures_what_controllers_watch) {
  examples::work_queue<std::string, examples::queue_metrics> q;
  q.add("a");
  q.add("a");
  q.add("b");
  BOOST_TEST(q.metrics().depth == 2U);
  heddle::this_fiber::sleep_for(2ms);
  {
    auto item = q.get();
    heddle::this_fiber::sleep_for(3ms);
    const auto now = q.metrics();
    BOOST_TEST(now.depth == 1U);
    BOOST_TEST((now.unfinished_work >= 3ms));
    BOOST_TEST((now.longest_running >= 3ms));
    BOOST_TEST(now.work_duration.count == 0U);
  }
  const auto then = q.metrics();
  BOOST_TEST(then.adds == 2U);
  BOOST_TEST(then.latency.count == 1U);
  BOOST_TEST((then.latency.longest >= 2ms));
  BOOST_TEST(then.work_duration.count == 1U);
  BOOST_TEST((then.work_duration.total >= 3ms));
  BOOST_TEST((then.unfinished_work == 0ms));
  (void)q.get();
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(delaying_queue, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(keys_come_in_the_order_of_their_times) {
  heddle::run([] {
    bool in_time = false;
    for (auto delay = 10ms; !in_time && delay < late; delay *= 2) {  // until all are added before the first is due
      examples::delaying_queue<std::string> q;
      const auto start = clock::now();
      q.add_after("late", 3 * delay);
      q.add_after("early", delay);
      q.add_after("now", 0ms);
      in_time = q.coming() == 2U && clock::now() - start < delay;
      if (!in_time) continue;
      BOOST_TEST(*q.get() == "now");
      BOOST_TEST(*q.get() == "early");
      BOOST_TEST((clock::now() - start >= delay));
      BOOST_TEST(*q.get() == "late");
      BOOST_TEST((clock::now() - start >= 3 * delay));
      BOOST_TEST(q.coming() == 0U);
    }
    BOOST_TEST(in_time);
  });
}

BOOST_AUTO_TEST_CASE(long_delays_of_any_unit_never_come) {
  using namespace std::chrono;
  BOOST_CHECK(examples::saturated(hours::max()) == nanoseconds::max());
  BOOST_CHECK(examples::saturated(nanoseconds::max()) == nanoseconds::max());
  BOOST_CHECK(examples::saturated(duration<double>(1e300)) == nanoseconds::max());
  BOOST_CHECK(examples::saturated(nanoseconds::max() - 1000s) == nanoseconds::max() - 1000s);
  BOOST_CHECK(examples::saturated(hours::min()) == 0ns);
  BOOST_CHECK(examples::saturated(-1ns) == 0ns);
  BOOST_CHECK(examples::saturated(duration<double>(1.5)) == 1500ms);
  BOOST_CHECK((examples::exponential_backoff<int>(1ms, hours::max()).when(1) == 1ms));
  heddle::run([] {
    examples::delaying_queue<std::string> q;
    q.add_after("never", hours::max());
    BOOST_TEST(q.coming() == 1U);
    q.add_after("now", hours::min());
    BOOST_TEST(*q.get() == "now");
    q.shut_down();
  });
}

BOOST_AUTO_TEST_CASE(the_earlier_of_two_times_counts_once) {
  heddle::run([] {
    bool in_time = false;
    for (auto delay = 5ms; !in_time && delay < late; delay *= 2) {  // until all are added before the first is due
      examples::delaying_queue<std::string> q;
      const auto start = clock::now();
      q.add_after("a", 1h);
      q.add_after("a", delay);
      q.add_after("a", 2h);
      q.add_after("b", 8 * delay);
      in_time = q.coming() == 2U && clock::now() - start < delay;
      if (!in_time) continue;
      BOOST_TEST(*q.get() == "a");
      BOOST_TEST((clock::now() - start < 30min));
      BOOST_TEST(*q.get() == "b");  // and no second a
      BOOST_TEST(q.coming() == 0U);
    }
    BOOST_TEST(in_time);
  });
}

BOOST_AUTO_TEST_CASE(shut_down_drops_what_is_to_come) {
  for (const auto& s : all_settings)
    with_crew(s, [&](crew& c) {
      c.start([] {
        examples::delaying_queue<int> q;
        q.add_after(1, 1h);
        auto worker = heddle::spawn([&] { return !q.get(); });
        q.shut_down();
        BOOST_TEST(worker.join());
        q.add_after(2, 1ms);
      });
      c.join();
    });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(rate_limiting_queue, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(backoff_doubles_up_to_its_limit) {
  examples::exponential_backoff<std::string> b(1ms, 1s);
  for (const auto expected : {1ms, 2ms, 4ms, 8ms}) BOOST_TEST((b.when("a") == expected));
  BOOST_TEST((b.when("b") == 1ms));
  BOOST_TEST(b.retries("a") == 4U);
  for (int i = 0; i < 100; ++i) b.when("a");
  BOOST_TEST((b.when("a") == 1s));
  b.forget("a");
  BOOST_TEST(b.retries("a") == 0U);
  BOOST_TEST((b.when("a") == 1ms));
}

BOOST_AUTO_TEST_CASE(the_longest_delay_counts) {
  using both = examples::max_of<int, examples::exponential_backoff<int>, examples::bucket_limiter<int>>;
  both b(std::tuple(1ms, 1s), std::tuple(0.001, 2.0));
  BOOST_TEST((b.when(1) == 1ms));
  BOOST_TEST((b.when(2) == 1ms));
  BOOST_TEST((b.when(3) > 900s));  // the bucket is empty
  BOOST_TEST(b.retries(1) == 1U);
}

BOOST_AUTO_TEST_CASE(failures_come_again_until_forgotten) {
  heddle::run([] {
    using backoff = examples::exponential_backoff<std::string>;
    examples::rate_limiting_queue<std::string, backoff, examples::queue_metrics> q(1ms, 100ms);
    const auto start = clock::now();
    q.add("a");
    std::size_t tries = 0;
    while (auto item = q.get()) {
      ++tries;
      if (tries < 5) {
        q.add_rate_limited(*item);
      } else {
        BOOST_TEST(q.num_requeues("a") == 4U);
        q.forget("a");
        q.shut_down();
      }
    }
    BOOST_TEST(tries == 5U);
    BOOST_TEST((clock::now() - start >= 15ms));
    BOOST_TEST(q.num_requeues("a") == 0U);
    BOOST_TEST(q.metrics().retries == 4U);
  });
}

BOOST_AUTO_TEST_CASE(has_the_limits_of_controllers_by_default) {
  heddle::run([] {
    examples::rate_limiting_queue<std::string> q;
    q.add_rate_limited("a");
    BOOST_TEST(*q.get() == "a");
    BOOST_TEST(q.num_requeues("a") == 1U);
  });
}

BOOST_AUTO_TEST_SUITE_END()
