// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <vector>

#include "batch_creator.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "informer_factory.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::with_crew;

/// Counts its starts and ends.
template <int Kind>
class counting_informer : public examples::informer {
 public:
  explicit counting_informer(bool syncs = true) : syncs_(syncs) { ++made; }
  void run(std::stop_token stop) override {
    ++started;
    heddle::this_fiber::sleep_for(1ms, stop);
    if (syncs_) synced();
    heddle::this_fiber::sleep_for(1h, stop);
    ++ended;
  }
  static inline std::atomic<int> made{0}, started{0}, ended{0};

 private:
  bool syncs_;
};
using pods = counting_informer<0>;
using nodes = counting_informer<1>;

template <class I>
void reset() {
  I::made = I::started = I::ended = 0;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(informer_factory, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(each_informer_is_made_and_started_exactly_once) {
  for (const auto& s : all_settings)
    for (int round = 0; round < heddle::testing::times(10, 5); ++round) {
      reset<pods>();
      reset<nodes>();
      std::stop_source source;
      std::atomic<bool> all_synced{true};
      with_crew(s, [&](crew& c) {
        examples::informer_factory factory;
        for (int i = 0; i < 8; ++i)
          c.start([&, i] {
            if (i % 2 == 0)
              factory.informer_for<pods>();
            else
              factory.informer_for<nodes>();
            factory.start(source.get_token());
            factory.informer_for<pods>();
            factory.start(source.get_token());
            for (const auto& [type, synced] : factory.wait_for_cache_sync(source.get_token()))
              if (!synced) all_synced = false;
          });
        c.join();
        source.request_stop();
        factory.shutdown();
      });
      BOOST_TEST(pods::made == 1, s);
      BOOST_TEST(nodes::made == 1, s);
      BOOST_TEST(pods::started == 1, s);
      BOOST_TEST(nodes::started == 1, s);
      BOOST_TEST(pods::ended == 1, s);  // shutdown() has waited
      BOOST_TEST(nodes::ended == 1, s);
      BOOST_TEST(all_synced, s);
    }
}

BOOST_AUTO_TEST_CASE(all_who_ask_share_one) {
  heddle::run([] {
    examples::informer_factory factory;
    BOOST_TEST(factory.informer_for<pods>().get() == factory.informer_for<pods>().get());
  });
}

BOOST_AUTO_TEST_CASE(a_stop_ends_the_wait_for_sync) {
  heddle::run([] {
    std::stop_source run, wait;
    examples::informer_factory factory;
    factory.informer_for<pods>(false);  // never syncs
    factory.start(run.get_token());
    auto stopper = heddle::spawn([&] {
      heddle::this_fiber::sleep_for(5ms);
      wait.request_stop();
    });
    const auto synced = factory.wait_for_cache_sync(wait.get_token());
    BOOST_TEST(synced.size() == 1U);
    BOOST_TEST(!synced.at(typeid(pods)));
    run.request_stop();
  });
}

BOOST_AUTO_TEST_CASE(nothing_starts_after_shutdown) {
  heddle::run([] {
    reset<pods>();
    std::stop_source source;
    examples::informer_factory factory;
    factory.shutdown();
    factory.informer_for<pods>();
    factory.start(source.get_token());
    BOOST_TEST(factory.wait_for_cache_sync(source.get_token()).empty());
    BOOST_TEST(pods::started == 0);
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(batch_creator, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(creates_each_in_batches_that_double) {
  for (const auto& s : all_settings) {
    std::vector<int> calls(100, 0);
    std::vector<std::size_t> open_batches;  // how far creation had got when each began
    heddle::mutex m;
    std::size_t ended = 0;
    std::set<std::size_t> ends;
    examples::batch_creator::result outcome;
    with_crew(s, [&](crew& c) {
      c.start([&] {
        outcome = examples::batch_creator().create(100, [&](std::size_t i) {
          {
            const std::lock_guard lock(m);
            ++calls[i];
            ends.insert(ended);
          }
          heddle::this_fiber::sleep_for(1ms);
          const std::lock_guard lock(m);
          ++ended;
        });
      });
    });
    BOOST_TEST(outcome.created == 100U, s);
    BOOST_TEST(outcome.skipped == 0U, s);
    BOOST_TEST(outcome.errors.empty(), s);
    BOOST_TEST((calls == std::vector<int>(100, 1)), s);
    // 1 + 2 + 4 ...: each batch begins when the one before has ended.
    for (const std::size_t begin : {0U, 1U, 3U, 7U, 15U, 31U, 63U}) BOOST_TEST(ends.count(begin) == 1U, s);
    for (const std::size_t e : ends) BOOST_TEST((e < 100), s);
  }
}

BOOST_AUTO_TEST_CASE(stops_after_the_first_batch_that_fails) {
  heddle::run([] {
    std::atomic<std::size_t> calls{0};
    const auto outcome = examples::batch_creator().create(100, [&](std::size_t i) {
      ++calls;
      if (i == 4 || i == 5) throw std::runtime_error("quota exceeded");  // in the third batch: 3, 4, 5, 6
    });
    BOOST_TEST(calls == 7U);
    BOOST_TEST(outcome.created == 5U);
    BOOST_TEST(outcome.skipped == 93U);
    BOOST_TEST_REQUIRE(outcome.errors.size() == 2U);
    BOOST_CHECK_THROW(std::rethrow_exception(outcome.errors[0]), std::runtime_error);
  });
}

BOOST_AUTO_TEST_CASE(nothing_and_larger_first_batches) {
  heddle::run([] {
    std::atomic<int> calls{0};
    BOOST_TEST(examples::batch_creator().create(0, [&](std::size_t) { ++calls; }).created == 0U);
    BOOST_TEST(examples::batch_creator(10).create(7, [&](std::size_t) { ++calls; }).created == 7U);
    BOOST_TEST(calls == 7);
  });
}

BOOST_AUTO_TEST_SUITE_END()
