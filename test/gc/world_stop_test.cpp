// SPDX-License-Identifier: BSL-1.0
#include "roots/world_stop.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>
#include <vector>

#include "gc/planted.hpp"
#include "heddle/heddle.hpp"
#include "roots/threads.hpp"

using namespace std::chrono_literals;
using heddle::gc::detail::thread_registration;
using heddle::gc::detail::world_stop;
using planted::as_collector;
using planted::finder;
using planted::hidden;
using planted::with_on_stack;

namespace {

heddle::options two() {
  heddle::options o;
  o.procs = 2;
  return o;
}

/// Whether anything is counted while the world stands still.
int steps_while_stopped(const std::atomic<long>& counted) {
  const world_stop stop;
  const long before = counted.load();
  std::this_thread::sleep_for(300us);
  return counted.load() != before;
}

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_moves) {
  heddle::run(
      [] {
        std::atomic<bool> over{false};
        std::atomic<long> counted{0};
        std::vector<heddle::join_handle<void>> all;
        heddle::channel<int> to;
        heddle::channel<int> fro;
        const auto until_over = [&](auto step) {
          all.push_back(heddle::spawn([&, step] {
            while (!over.load()) {
              counted.fetch_add(1);
              step();
            }
          }));
        };
        until_over([] {});
        until_over([] { heddle::this_fiber::yield(); });
        until_over([] { heddle::this_fiber::sleep_for(50us); });
        until_over([&] { heddle::spawn([&] { counted.fetch_add(1); }).join(); });
        until_over([&] {
          heddle::go([&] { counted.fetch_add(1); });
          heddle::this_fiber::sleep_for(10us);
        });
        std::thread known([&] {
          const thread_registration r;
          while (!over.load()) counted.fetch_add(1);
        });
        std::thread unknown([&] {
          while (!over.load()) {
            heddle::spawn([&] { counted.fetch_add(1); }).join();
            std::this_thread::sleep_for(20us);
          }
        });
        int moved = 0;
        heddle::blocking([&] {
          as_collector([&] {
            for (int i = 0; i != 100; ++i) moved += steps_while_stopped(counted);
          });
        });
        over.store(true);
        known.join();
        heddle::blocking([&] { unknown.join(); });
        all.clear();
        BOOST_TEST(moved == 0);
      },
      two());
}

BOOST_AUTO_TEST_CASE(everything_is_found) {
  heddle::run(
      [] {
        hidden parked;
        hidden running;
        hidden fresh;
        hidden result;
        hidden of_thread;
        std::atomic<bool> over{false};
        std::atomic<int> begun{0};
        heddle::channel<int> go;
        auto f = heddle::spawn([&] { with_on_stack(parked.reveal(), [&] { (void)go.receive(); }); });
        auto g = heddle::spawn([&] { return result.reveal(); });
        heddle::this_fiber::sleep_for(5ms);
        auto h = heddle::spawn([&] {
          with_on_stack(running.reveal(), [&] {
            ++begun;
            while (!over.load()) asm volatile("pause");
          });
        });
        std::thread t([&] {
          const thread_registration known;
          with_on_stack(of_thread.reveal(), [&] {
            ++begun;
            while (!over.load()) std::this_thread::sleep_for(100us);
          });
        });
        while (begun.load() != 2) heddle::this_fiber::yield();
        auto last = heddle::spawn([v = fresh.reveal()] { return v; });
        finder one({&parked, &running, &fresh, &result, &of_thread});
        finder again({&parked, &running, &fresh, &result, &of_thread});
        std::atomic<bool> scanned{false};
        std::thread collector([&] {
          world_stop stop;
          stop.scan_all(one);
          stop.scan_all(again);
          scanned.store(true);
        });
        while (!scanned.load()) asm volatile("pause");
        collector.join();
        over.store(true);
        for (std::size_t i = 0; i != 5; ++i) {
          BOOST_TEST(one.found(i) > 0, "not found: " << i);
          BOOST_TEST(again.found(i) == one.found(i));
        }
        t.join();
        go.send(1);
        BOOST_TEST(fresh.is(last.join()));
        BOOST_TEST(result.is(g.join()));
        f.join();
        h.join();
      },
      two());
}
