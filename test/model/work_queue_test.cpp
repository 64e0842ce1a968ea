// SPDX-License-Identifier: BSL-1.0
//
// The work queue of sync/examples between plain threads: the header itself, and the mutex and the condition variable
// below it with their planted bugs, which show that these scenarios would see a wake that is lost.
#include "work_queue.hpp"

#include <boost/test/unit_test.hpp>
#include <utility>

#include "heddle/detail/wait.hpp"
#include "model/expect.hpp"
#include "openings.hpp"

namespace {

using queue = examples::work_queue<int>;

constexpr model::options threads{.executions = 20'000};

using openings::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

/// What is processed.
struct record {
  heddle::detail::atomic<int> busy[2] = {0, 0};
  heddle::detail::atomic<int> times[2] = {0, 0};
};

/// Never two at once on a key.
void process(record& r, int k) {
  // relaxed: the lock of the queue orders those who process a key.
  model::check(r.busy[k].exchange(1, std::memory_order_relaxed) == 0, "two process one key");
  r.times[k].fetch_add(1, std::memory_order_relaxed);
  r.busy[k].store(0, std::memory_order_relaxed);
}

void work(queue& q, record& r) {
  while (auto item = q.get()) process(r, *item);
}

/// Ends one item and gets the next in one step.
void work_on(queue& q, record& r) {
  for (auto item = q.get(); item; item = q.get(std::move(item))) process(r, *item);
}

void added_once_for_many() {
  queue q;
  {
    model::thread one([&] { q.add(0); });
    model::thread two([&] { q.add(0); });
    q.add(0);
  }
  model::check(q.size() == 1, "a key waits twice");
}

void each_add_is_followed_by_processing() {
  queue q;
  heddle::detail::atomic<int> version{0};
  int processed = 0;
  {
    model::thread worker([&] {
      while (auto item = q.get()) processed = version.load(std::memory_order_relaxed);
    });
    for (int i = 1; i <= 3; ++i) {
      version.store(i, std::memory_order_relaxed);  // the lock of the queue orders it
      q.add(0);
    }
    q.shut_down();
  }
  model::check(processed == 3, "the last add was forgotten");
}

void two_workers_two_keys() {
  queue q;
  record r;
  {
    model::thread one([&] { work(q, r); });
    model::thread two([&] { work(q, r); });
    for (int i = 0; i != 2; ++i) {
      q.add(0);
      q.add(1);
    }
    q.shut_down();
  }
  for (int k = 0; k != 2; ++k) {
    const int times = r.times[k].load(std::memory_order_relaxed);
    model::check(times == 1 || times == 2, "a key was lost or came too often");
  }
}

void worker_goes_on() {
  queue q;
  record r;
  {
    model::thread one([&] { work_on(q, r); });
    model::thread two([&] { work(q, r); });
    for (int i = 0; i != 2; ++i) {
      q.add(0);
      q.add(1);
    }
    q.shut_down_with_drain();
    for (int k = 0; k != 2; ++k) {
      const int times = r.times[k].load(std::memory_order_relaxed);
      model::check(times == 1 || times == 2, "a key was lost or came too often");
    }
  }
}

/// The one that was called for the first key may leave for a stop, and the second key finds it called: another worker
/// has to see to both. Nobody shuts down before they have been taken.
void called_worker_is_stopped() {
  queue q;
  record r;
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  {
    model::thread stoppable([&] {
      while (auto item = q.get(token)) process(r, *item);
    });
    model::thread patient([&] { work(q, r); });
    stop.request_stop();
    q.add(0);
    while (q.size() != 0) heddle::detail::platform::cpu_relax();
    q.add(1);
    while (q.size() != 0) heddle::detail::platform::cpu_relax();
    q.shut_down();
  }
  for (int k = 0; k != 2; ++k) model::check(r.times[k].load(std::memory_order_relaxed) == 1, "not once");
}

void readded_while_processed() {
  queue q;
  record r;
  q.add(0);
  {
    auto item = q.get();
    model::thread other([&] { work(q, r); });
    q.add(0);
    item.done();
    q.shut_down();
  }
  model::check(r.times[0].load(std::memory_order_relaxed) == 1, "not once more");
}

void drain_meets_get() {
  queue q;
  record r;
  int left = 0;
  {
    model::thread one([&] { work(q, r); });
    model::thread two([&] { work(q, r); });
    q.add(0);
    q.add(1);
    q.shut_down_with_drain();
    left = 2 - r.times[0].load(std::memory_order_relaxed) - r.times[1].load(std::memory_order_relaxed);
  }
  model::check(left == 0, "drained too early");
}

void shut_down_meets_drain() {
  queue q;
  q.add(0);
  auto item = q.get();
  model::thread drainer([&] { q.shut_down_with_drain(); });
  model::thread closer([&] {
    while (!q.shutting_down()) heddle::detail::platform::cpu_relax();
    q.shut_down();
  });
}

void right(void (*scenario)()) { model::expect_ok(threads, scenario); }
void wrong(model::plant bug, void (*scenario)(), const char* text = "") {
  openings::wrong(bug, threads, scenario, text);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(deduplicates) { right(added_once_for_many); }
BOOST_AUTO_TEST_CASE(nothing_forgotten) { right(each_add_is_followed_by_processing); }
BOOST_AUTO_TEST_CASE(two_by_two) { right(two_workers_two_keys); }
BOOST_AUTO_TEST_CASE(goes_on) { right(worker_goes_on); }
BOOST_AUTO_TEST_CASE(called_and_stopped) { right(called_worker_is_stopped); }
BOOST_AUTO_TEST_CASE(readded) { right(readded_while_processed); }
BOOST_AUTO_TEST_CASE(drain) { right(drain_meets_get); }
BOOST_AUTO_TEST_CASE(drain_and_shut_down) { right(shut_down_meets_drain); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(condition_queues_late) { wrong(model::plant::condition_queues_late, drain_meets_get); }
BOOST_AUTO_TEST_CASE(unlock_skips_queue) { wrong(model::plant::unlock_skips_queue, two_workers_two_keys, "deadlock"); }
BOOST_AUTO_TEST_CASE(weak_failure_is_success) { wrong(model::plant::weak_failure_is_success, two_workers_two_keys); }
BOOST_AUTO_TEST_SUITE_END()
