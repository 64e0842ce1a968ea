// SPDX-License-Identifier: BSL-1.0
//
// Waits inside blocking(): the fiber stays on its kernel thread, which waits with it, and the other fibers go on.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

#include "heddle/heddle.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;

/// f() inside blocking(), on one thread from begin to end; with a processor that is the only one, and with a monitor
/// and without.
template <class F>
void pinned(F f) {
  for (const unsigned procs : {1u, 2u})
    for (const bool monitor : {false, true}) {
      std::atomic<int> moved{0};
      heddle::run(
          [&] {
            heddle::blocking([&] {
              const std::thread::id here = std::this_thread::get_id();
              f();
              if (std::this_thread::get_id() != here) ++moved;
            });
            heddle::this_fiber::yield();  // it is a fiber like others again
          },
          {.procs = procs, .monitor = monitor});
      BOOST_TEST(moved == 0);
    }
}

/// Runs f a little later, as a fiber.
template <class F>
heddle::join_handle<void> later(F f) {
  return heddle::spawn([f] {
    heddle::this_fiber::sleep_for(2ms);
    f();
  });
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(pinned_fibers, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(keep_their_thread_to_themselves) {
  const auto elsewhere = [](auto wait) {
    const std::thread::id here = std::this_thread::get_id();
    std::atomic<bool> same{false};
    std::atomic<bool> ran{false};
    heddle::channel<int> c;
    auto other = heddle::spawn([&] {
      same = std::this_thread::get_id() == here;
      ran = true;
      c.close();
    });
    wait(c, ran);
    other.join();
    BOOST_TEST(!same);  // it ran while we were waiting on our thread
  };
  pinned([&] {
    elsewhere([](auto& c, auto&) { (void)c.receive(); });
    elsewhere([](auto& c, auto&) { (void)c.receive_for(1h); });
    elsewhere([](auto&, auto& ran) {
      while (!ran) heddle::this_fiber::sleep_for(1ms);
    });
    elsewhere([](auto&, auto& ran) {
      while (!ran) heddle::this_fiber::yield();
    });
    elsewhere([](auto&, auto&) {});  // join
    heddle::blocking([] {});         // the outer call goes on
    elsewhere([](auto& c, auto&) { (void)c.receive(); });
  });
}

BOOST_AUTO_TEST_CASE(wait_for_other_fibers) {
  pinned([] {
    heddle::channel<int> c;
    heddle::go([&] { c.send(7); });
    BOOST_TEST(c.receive().value() == 7);
    heddle::go([&] { BOOST_TEST(c.receive().value() == 8); });
    c.send(8);

    heddle::latch done(3);
    for (int i = 0; i != 3; ++i) heddle::go([&] { done.count_down(); });
    done.wait();

    BOOST_TEST(heddle::spawn([] { return 5; }).join() == 5);
    auto slow = later([] {});
    slow.join();
  });
}

BOOST_AUTO_TEST_CASE(wait_for_locks_that_other_fibers_hold) {
  pinned([] {
    heddle::mutex m;
    heddle::shared_mutex s;
    heddle::latch held(1);
    auto holder = heddle::spawn([&] {
      const std::scoped_lock both(m, s);
      held.count_down();
      heddle::this_fiber::sleep_for(2ms);
    });
    held.wait();
    const std::scoped_lock one(m);
    s.lock_shared();
    s.unlock_shared();
    holder.join();
  });
}

BOOST_AUTO_TEST_CASE(wait_with_bounds) {
  pinned([] {
    heddle::timed_mutex m;
    heddle::latch held(1), enough(1);
    auto holder = heddle::spawn([&] {
      const std::scoped_lock lock(m);
      held.count_down();
      enough.wait();
    });
    held.wait();
    BOOST_TEST(!m.try_lock_for(2ms));
    std::stop_source stop;
    auto stopper = later([&] { stop.request_stop(); });
    BOOST_TEST(!heddle::this_fiber::sleep_for(1h, stop.get_token()));
    enough.count_down();
    BOOST_TEST(m.try_lock_for(1h));
    m.unlock();
    holder.join();
    stopper.join();
  });
}

BOOST_AUTO_TEST_CASE(sleep_and_let_others_run) {
  pinned([] {
    std::atomic<bool> ran{false};
    heddle::go([&] { ran = true; });
    const auto start = std::chrono::steady_clock::now();
    heddle::this_fiber::sleep_for(5ms);
    BOOST_TEST((std::chrono::steady_clock::now() - start >= 5ms));
    while (!ran) heddle::this_fiber::yield();
    ran = false;
    heddle::go([&] { ran = true; });
    while (!ran) heddle::this_fiber::yield();
  });
}

BOOST_AUTO_TEST_CASE(stay_themselves) {
  pinned([] {
    heddle::recursive_mutex mine;
    BOOST_TEST(heddle::this_fiber::is_fiber());
    BOOST_TEST(heddle::this_fiber::name() == "main");
    const auto id = heddle::this_fiber::get_id();
    mine.lock();
    heddle::this_fiber::sleep_for(1ms);
    mine.lock();  // it is the owner still
    mine.unlock();
    mine.unlock();
    BOOST_TEST((heddle::this_fiber::get_id() == id));
  });
}

BOOST_AUTO_TEST_CASE(nested_calls_end_with_the_outermost) {
  pinned([] {
    heddle::channel<int> c(1);
    BOOST_TEST(heddle::blocking([&] {
                 heddle::go([&] { c.send(1); });
                 return c.receive().value();
               }) == 1);
    // Once more in the outer call.
    for (int i = 0; i != 20; ++i) {
      heddle::go([&, i] { c.send(i); });
      BOOST_TEST(c.receive().value() == i);
      heddle::this_fiber::yield();
    }
    BOOST_CHECK_THROW(heddle::blocking([] { throw std::runtime_error("out"); }), std::runtime_error);
    later([] {}).join();
  });
}

BOOST_AUTO_TEST_CASE(afterwards_the_fiber_waits_as_ever) {
  heddle::run(
      [] {
        heddle::channel<int> c;
        BOOST_CHECK_THROW(heddle::blocking([&] {
                            later([] {}).join();
                            throw std::runtime_error("out");
                          }),
                          std::runtime_error);
        heddle::mutex one_at_a_time;
        std::vector<heddle::join_handle<void>> all;
        for (int i = 0; i != 100; ++i)
          all.push_back(heddle::spawn([&] {
            {
              const std::scoped_lock turn(one_at_a_time);
              heddle::blocking([] { heddle::this_fiber::sleep_for(100us); });
            }
            (void)c.receive();
          }));
        for (int i = 0; i != 100; ++i) c.send(i);
        for (auto& h : all) h.join();
        // Many wait here without a thread each: they are no longer pinned after the call.
        BOOST_TEST(heddle::stats().machines < 50u);
      },
      {.procs = 2, .max_machines = 200});
}

BOOST_AUTO_TEST_CASE(many_meet) {
  heddle::run(
      [] {
        heddle::mutex m;
        heddle::barrier together(8);
        long sum = 0;
        std::vector<heddle::join_handle<void>> all;
        for (int i = 0; i != 8; ++i)
          all.push_back(heddle::spawn([&, i] {
            const auto work = [&] {
              for (int k = 0; k != 50; ++k) {
                const std::scoped_lock lock(m);
                ++sum;
                if (k % 8 == 0) heddle::this_fiber::yield();
              }
              together.arrive_and_wait();
            };
            if (i % 2 == 0)
              heddle::blocking(work);
            else
              work();
          }));
        for (auto& h : all) h.join();
        BOOST_TEST(sum == 400);
      },
      {.procs = 2});
}

BOOST_AUTO_TEST_SUITE_END()
