// SPDX-License-Identifier: BSL-1.0
//
// The promises of work_queue, kept by the queue on Redis; and the fate of keys whose workers die.
#include "redis_queue.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "heddle/heddle.hpp"
#include "server_process.hpp"
#include "settled.hpp"
#include "support/leak_check.hpp"
#include "sync/examples/queue_promises.hpp"

namespace {

using namespace std::chrono_literals;
namespace redis = examples::redis;
using examples::redis_queue;
using heddle::testing::process;

struct shared_server {
  shared_server() : server(std::make_unique<heddle::testing::redis_server>()) { address = server->address(); }
  ~shared_server() { server.reset(); }
  static inline std::string address;
  std::unique_ptr<heddle::testing::redis_server> server;
};
using settled_network = heddle::testing::settled_network<64>;

std::string new_name() {
  static int n = 0;
  return "queue" + std::to_string(++n);
}

struct on_redis : redis_queue {
  on_redis() : redis_queue(shared_server::address, new_name()) {}
};

/// A worker process of runtime/net/examples/redis_queue.
process worker(const std::string& queue, const std::filesystem::path& output, int milliseconds, int lease) {
  return process(
      {EXAMPLE_REDIS_QUEUE, shared_server::address, queue, "work", std::to_string(milliseconds), std::to_string(lease)},
      output);
}

/// The consumers that Redis knows of that queue, with the numbers of their entries; none before the first asks for a
/// key.
std::multiset<long long> entries_of_consumers(redis::client& c, const std::string& queue) try {
  std::multiset<long long> found;
  const redis::reply all = c.command("XINFO", "CONSUMERS", queue + ":line", "workers");
  for (std::size_t i = 0; i != all.size(); ++i) found.insert(all[i][3].integer());
  return found;
} catch (const redis::error&) {
  return {};
}

/// Waits until no key waits or is processed.
void await_end(redis::client& c, const std::string& queue) {
  while (c.command("HLEN", queue + ":keys").integer() != 0) heddle::this_fiber::sleep_for(5ms);
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(shared_server);
BOOST_TEST_GLOBAL_FIXTURE(settled_network);

BOOST_FIXTURE_TEST_SUITE(redis_queue_example, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(first_come_first_served_and_each_once) {
  heddle::run([] {
    on_redis q;
    queue_promises::first_come_first_served_and_each_once(q);
  });
}

BOOST_AUTO_TEST_CASE(added_while_processed_waits_again_once_when_done) {
  heddle::run([] {
    on_redis q;
    queue_promises::added_while_processed_waits_again_once_when_done(q);
  });
}

BOOST_AUTO_TEST_CASE(a_key_that_is_done_may_come_again) {
  heddle::run([] {
    on_redis q;
    queue_promises::a_key_that_is_done_may_come_again(q);
  });
}

BOOST_AUTO_TEST_CASE(an_item_moves_with_its_right) {
  heddle::run([] {
    on_redis q;
    queue_promises::an_item_moves_with_its_right(q);
  });
}

BOOST_AUTO_TEST_CASE(shut_down_hands_out_the_rest_and_then_nothing) {
  heddle::run([] {
    on_redis q;
    queue_promises::shut_down_hands_out_the_rest_and_then_nothing(q);
  });
}

BOOST_AUTO_TEST_CASE(shut_down_ends_the_wait) {
  heddle::run([] {
    on_redis q;
    auto waits = heddle::spawn([&] { return static_cast<bool>(q.get()); });
    heddle::this_fiber::sleep_for(1ms);
    q.shut_down();
    BOOST_TEST(!waits.join());
  });
}

BOOST_AUTO_TEST_CASE(a_stop_ends_the_wait) {
  heddle::run([] {
    on_redis q;
    std::stop_source stop;
    auto waits = heddle::spawn([&] { return static_cast<bool>(q.get(stop.get_token())); });
    heddle::this_fiber::sleep_for(2ms);
    stop.request_stop();
    BOOST_TEST(!waits.join());
    q.add("a");
    BOOST_TEST(*q.get() == "a");
  });
}

// Two machines, and nobody comes between a key's worker and the key.
BOOST_AUTO_TEST_CASE(a_key_has_one_worker_on_all_machines) {
  heddle::run([] {
    const std::string name = new_name();
    redis_queue one(shared_server::address, name), two(shared_server::address, name);
    constexpr int count = 10;
    std::array<std::atomic<int>, count> running{};
    std::array<std::atomic<bool>, count> changed{};
    std::atomic<int> mistakes{0};
    heddle::group workers;
    for (redis_queue* const q : {&one, &two})
      for (int i = 0; i != 6; ++i)
        workers.spawn([&, q] {
          for (auto item = q->get(); item; item = q->get(std::move(item))) {
            const auto k = static_cast<std::size_t>(std::stoi(*item));
            if (running[k]++ != 0) ++mistakes;
            changed[k] = false;
            heddle::this_fiber::sleep_for(2ms);
            --running[k];
          }
        });
    heddle::group adders;
    for (redis_queue* const q : {&one, &two})
      adders.spawn([&, q] {
        for (int i = 0; i != 1000; ++i) {
          const auto k = static_cast<std::size_t>(i) * 7 % count;
          changed[k] = true;
          q->add(std::to_string(k));
        }
      });
    adders.wait();
    redis::client c({.server = shared_server::address});
    await_end(c, name);
    one.shut_down();
    two.shut_down();
    workers.wait();
    BOOST_TEST(mistakes == 0);
    for (const auto& still : changed) BOOST_TEST(!still);  // processed once more at least after the last add
  });
}

BOOST_AUTO_TEST_CASE(an_exception_gives_the_key_back) {
  heddle::run([] {
    const std::string name = new_name();
    redis_queue one(shared_server::address, name), two(shared_server::address, name);
    one.add("a");
    try {
      const auto item = one.get();
      BOOST_TEST(item.attempts() == 1u);
      throw std::runtime_error("cannot");
    } catch (const std::runtime_error&) {
    }
    auto item = two.get();
    BOOST_TEST(*item == "a");
    BOOST_TEST(item.attempts() == 2u);
    item.done();
    BOOST_TEST(two.size() == 0u);
  });
}

BOOST_AUTO_TEST_CASE(an_item_that_takes_long_keeps_its_key) {
  heddle::run([] {
    const std::string name = new_name();
    redis_queue one(shared_server::address, name, 1s), two(shared_server::address, name, 1s);
    one.add("a");
    auto item = one.get();
    std::stop_source stop;
    auto other = heddle::spawn([&] { return static_cast<bool>(two.get(stop.get_token())); });
    heddle::this_fiber::sleep_for(2500ms);
    stop.request_stop();
    BOOST_TEST(!other.join());
    item.done();
    BOOST_TEST(two.size() == 0u);
  });
}

// It stands still while it holds the key, another worker takes that over, and the end of the first one's work says
// nothing.
BOOST_AUTO_TEST_CASE(a_worker_that_was_cut_off_ends_nothing) {
  const heddle::testing::temporary_folder folder;
  heddle::run([&] {
    const std::string name = new_name();
    redis::client c({.server = shared_server::address});
    redis_queue q(shared_server::address, name, 1s);
    process first = worker(name, folder.path() / "output", 300, 1000);
    q.add("a");
    while (c.command("HGET", name + ":keys", "a").text() != "processing") heddle::this_fiber::sleep_for(1ms);
    first.signal(SIGSTOP);
    auto item = q.get();
    BOOST_TEST(*item == "a");
    BOOST_TEST(item.attempts() == 2u);
    first.signal(SIGCONT);
    // Its line comes before it says that it is done; it takes part in nothing after the signal to end.
    while (std::filesystem::file_size(folder.path() / "output") == 0) heddle::this_fiber::sleep_for(1ms);
    first.end(SIGTERM);
    BOOST_TEST(c.command("HGET", name + ":keys", "a").text() == "processing");
    item.done();
    BOOST_TEST(c.command("HLEN", name + ":keys").integer() == 0);
    BOOST_TEST(c.command("XLEN", name + ":line").integer() == 0);
  });
}

BOOST_AUTO_TEST_CASE(workers_are_killed_and_nothing_is_lost) {
  const heddle::testing::temporary_folder folder;
  constexpr int count = 1000;
  heddle::run([&] {
    const std::string name = new_name();
    redis::client c({.server = shared_server::address});
    redis_queue q(shared_server::address, name);
    // One that dies for certain while it has a key.
    q.add("k0");
    process slow = worker(name, folder.path() / "output", 60'000, 300);
    while (c.command("HGET", name + ":keys", "k0").text() != "processing") heddle::this_fiber::sleep_for(1ms);
    slow.end(SIGKILL);
    std::vector<process> workers;
    const auto one_more = [&] { return worker(name, folder.path() / "output", 10, 300); };
    for (int i = 0; i != 4; ++i) workers.push_back(one_more());
    heddle::group adders;
    for (int i = 0; i != count; ++i) adders.spawn([&q, i] { q.add("k" + std::to_string(i)); });
    adders.wait();
    std::vector<process> killed;  // some kernels take long to bury them
    std::minstd_rand chance(2026);
    for (int kills = 0; kills != 10; ++kills) {
      heddle::this_fiber::sleep_for(40ms);
      process& one = workers[chance() % workers.size()];
      one.signal(SIGKILL);
      killed.push_back(std::exchange(one, one_more()));
    }
    await_end(c, name);
    for (process& one : workers) one.end(SIGTERM);
    BOOST_TEST(c.command("XLEN", name + ":line").integer() == 0);
    BOOST_TEST(c.command("XPENDING", name + ":line", "workers")[0].integer() == 0);
  });
  std::set<std::string> done;
  int again = 0;
  std::ifstream lines(folder.path() / "output");
  std::string key;
  for (int attempt = 0; lines >> key >> attempt; again += attempt > 1) done.insert(key);
  BOOST_TEST(done.size() == static_cast<std::size_t>(count));
  BOOST_TEST(again > 0);  // at least the first
}

BOOST_AUTO_TEST_CASE(who_ends_in_order_leaves_no_name) {
  heddle::run([] {
    const std::string name = new_name();
    redis::client c({.server = shared_server::address});
    {
      redis_queue one(shared_server::address, name), two(shared_server::address, name);
      one.add("a");
      one.get().done();
      BOOST_TEST(entries_of_consumers(c, name) == (std::multiset<long long>{0}));
      one.add("b");
      two.get().done();
      BOOST_TEST(entries_of_consumers(c, name).size() == 2u);
    }
    BOOST_TEST(entries_of_consumers(c, name).empty());
    { redis_queue idle(shared_server::address, new_name()); }  // that there is no stream is no matter
  });
}

// It ends while a key is still with it: the name stays until another has the key, which is not lost.
BOOST_AUTO_TEST_CASE(a_name_with_a_key_stays_until_the_key_is_taken_over) {
  heddle::run([] {
    const std::string name = new_name();
    redis::client c({.server = shared_server::address});
    {
      redis_queue one(shared_server::address, name);
      one.add("a");
      try {
        const auto item = one.get();
        throw std::runtime_error("cannot");
      } catch (const std::runtime_error&) {
      }
    }
    BOOST_TEST(entries_of_consumers(c, name) == (std::multiset<long long>{1}));
    redis_queue two(shared_server::address, name, 300ms);
    auto item = two.get();
    BOOST_TEST(*item == "a");
    while (entries_of_consumers(c, name) != std::multiset<long long>{1}) heddle::this_fiber::sleep_for(10ms);
    item.done();
    BOOST_TEST(c.command("HLEN", name + ":keys").integer() == 0);
  });
}

BOOST_AUTO_TEST_CASE(names_of_workers_that_were_killed_go) {
  const heddle::testing::temporary_folder folder;
  heddle::run([&] {
    const std::string name = new_name();
    redis::client c({.server = shared_server::address});
    redis_queue q(shared_server::address, name, 300ms);
    for (int i = 0; i != 8; ++i) q.add(std::to_string(i));
    std::vector<process> killed;
    for (int i = 0; i != 2; ++i) killed.push_back(worker(name, folder.path() / "output", 60'000, 300));
    while (entries_of_consumers(c, name) != std::multiset<long long>{4, 4}) heddle::this_fiber::sleep_for(5ms);
    for (process& one : killed) one.end(SIGKILL);
    std::set<std::string> done;
    while (done.size() != 8) done.insert(*q.get());
    // They are taken out by q, which stays, whether or not it asks for keys meanwhile.
    while (entries_of_consumers(c, name).size() > 1) heddle::this_fiber::sleep_for(10ms);
    q.add("last");
    BOOST_TEST(*q.get() == "last");
    BOOST_TEST(entries_of_consumers(c, name) == (std::multiset<long long>{0}));
  });
}

BOOST_AUTO_TEST_SUITE_END()
