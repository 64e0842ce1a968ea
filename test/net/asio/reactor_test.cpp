// SPDX-License-Identifier: BSL-1.0
//
// The thread of a reactor: what runs there, how it ends, and that those who use it take turns.
#include "heddle/asio/reactor.hpp"

#include <signal.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "heddle/asio/use_fiber.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "net/asio/loopback.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

namespace net = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using heddle::asio::reactor;
using heddle::asio::use_fiber;
using heddle::testing::connection;
using heddle::testing::death_of;

const error_code aborted = net::error::operation_aborted;

// ThreadSanitizer lets a child of several threads have none.
constexpr bool children_have_threads = !heddle::testing::thread_sanitized;

template <class F>
void on_fiber_and_thread(F f) {
  heddle::run([&] { f(); });
  f();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(call, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(returns_and_throws_as_the_function_does) {
  on_fiber_and_thread([] {
    reactor r;
    int n = 1;
    BOOST_TEST(r.call([&] { return n + 1; }) == 2);
    static_assert(std::is_same_v<decltype(r.call([&]() -> int& { return n; })), int&>);
    BOOST_TEST(&r.call([&]() -> int& { return n; }) == &n);
    r.call([&] { n = 3; });
    BOOST_TEST(n == 3);
    BOOST_TEST(*r.call([p = std::make_unique<int>(4)]() mutable { return std::move(p); }) == 4);
    BOOST_CHECK_THROW(r.call([]() -> int { throw std::out_of_range("there"); }), std::out_of_range);
    BOOST_CHECK_THROW(r.call([] { throw std::out_of_range("there"); }), std::out_of_range);
  });
}

BOOST_AUTO_TEST_CASE(runs_on_the_one_thread) {
  on_fiber_and_thread([] {
    reactor r;
    const std::thread::id there = r.call([] { return std::this_thread::get_id(); });
    BOOST_TEST((there != std::this_thread::get_id()));
    BOOST_TEST((there == r.call([&] { return r.call([] { return std::this_thread::get_id(); }); })));
    std::atomic<bool> done{false};
    std::thread::id handlers;
    net::post(r.get_executor(), [&] {
      handlers = std::this_thread::get_id();
      done = true;
    });
    while (!done) heddle::this_fiber::yield();
    BOOST_TEST((there == handlers));
  });
}

BOOST_AUTO_TEST_CASE(runs_with_signals_blocked) {
  reactor r;
  sigset_t here, there;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &here);
  r.call([&] { ::pthread_sigmask(SIG_SETMASK, nullptr, &there); });
  BOOST_TEST(::sigismember(&here, SIGTERM) == 0);
  BOOST_TEST(::sigismember(&there, SIGTERM) == 1);
}

BOOST_AUTO_TEST_CASE(closes_what_is_in_use) {
  heddle::run([] {
    reactor r;
    connection c(r);
    auto reader = heddle::spawn([&] {
      char byte = 0;
      error_code e;
      c.server.async_read_some(net::buffer(&byte, 1), use_fiber[e]);
      return e;
    });
    heddle::this_fiber::sleep_for(1ms);
    r.call([&] { c.server.close(); });
    BOOST_TEST(reader.join() == aborted);
  });
}

/// Each call adds to plain variables, so two at the same time would lose some, and ThreadSanitizer would say so.
BOOST_AUTO_TEST_CASE(takes_turns) {
  constexpr int calls = heddle::testing::times(2'000), fibers = 20, threads = 2;
  reactor r;
  int sum = 0;
  bool inside = false;
  const auto work = [&] {
    for (int i = 0; i != calls; ++i)
      r.call([&] {
        if (std::exchange(inside, true)) std::abort();
        ++sum;
        inside = false;
      });
  };
  std::vector<std::thread> others;
  for (int i = 0; i != threads; ++i) others.emplace_back(work);
  heddle::run([&] {
    std::vector<heddle::join_handle<void>> all;
    for (int i = 0; i != fibers; ++i) all.push_back(heddle::spawn(work));
    for (auto& f : all) f.join();
  });
  for (auto& t : others) t.join();
  BOOST_TEST(sum == calls * (fibers + threads));
}

BOOST_AUTO_TEST_CASE(comes_after_what_the_caller_has_begun) {
  on_fiber_and_thread([] {
    reactor r;
    std::vector<int> order;
    for (int i = 0; i != 100; ++i) {
      net::post(r.get_executor(), use_fiber);
      r.call([&] { order.push_back(i); });
    }
    for (int i = 0; i != 100; ++i) BOOST_TEST(order[static_cast<std::size_t>(i)] == i);
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(shared_objects, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(a_timer_of_many_fibers) {
  reactor r;
  heddle::run([&] {
    net::steady_timer timer(r.get_executor(), std::chrono::hours(1));
    constexpr int fibers = 200;
    std::atomic<int> waiting{0}, woken{0};
    std::vector<heddle::join_handle<void>> all;
    for (int i = 0; i != fibers; ++i)
      all.push_back(heddle::spawn([&] {
        error_code e;
        ++waiting;
        timer.async_wait(use_fiber[e]);
        if (e == aborted) ++woken;
      }));
    // One that has not begun yet is not among those that are cancelled.
    while (r.call([&] { return timer.cancel(); }) != 0 || woken != fibers) heddle::this_fiber::yield();
    for (auto& f : all) f.join();
  });
}

BOOST_AUTO_TEST_CASE(a_socket_of_many_fibers) {
  constexpr int fibers = 50, messages = heddle::testing::times(100);
  reactor r;
  heddle::run([&] {
    connection c(r);
    std::atomic<int> torn{0};
    std::vector<heddle::join_handle<void>> all;
    for (int i = 0; i != fibers; ++i)
      all.push_back(heddle::spawn([&, i] {
        const std::string message(8, static_cast<char>('A' + i));
        for (int n = 0; n != messages; ++n)
          if (c.client.async_write_some(net::buffer(message), use_fiber) != 8) ++torn;
      }));
    std::vector<int> received(fibers, 0);
    for (int n = 0; n != fibers * messages; ++n) {
      std::string message(8, ' ');
      std::size_t got = 0;
      while (got != 8) got += c.server.async_read_some(net::buffer(&message[got], 8 - got), use_fiber);
      if (message != std::string(8, message[0])) ++torn;
      ++received.at(static_cast<std::size_t>(message[0] - 'A'));
    }
    for (auto& f : all) f.join();
    BOOST_TEST(torn == 0);
    for (const int n : received) BOOST_TEST(n == messages);
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(end, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(destroys_handlers_of_others) {
  std::weak_ptr<int> held;
  {
    reactor r;
    net::steady_timer timer(r.get_executor(), std::chrono::hours(1));
    auto value = std::make_shared<int>(1);
    held = value;
    timer.async_wait([v = std::move(value)](error_code) {});
    BOOST_TEST(!held.expired());
    r.call([] {});
  }
  BOOST_TEST(held.expired());
}

BOOST_AUTO_TEST_CASE(does_not_come_by_stop) {
  on_fiber_and_thread([] {
    reactor r;
    for (int i = 0; i != 50; ++i) {
      r.context().stop();
      BOOST_TEST(r.call([] { return 1; }) == 1);
      r.call([&] { r.context().stop(); });
      net::steady_timer timer(r.get_executor(), 1us);
      timer.async_wait(use_fiber);
    }
    r.context().stop();
  });
}

BOOST_AUTO_TEST_CASE(while_operations_are_pending_is_refused, *boost::unit_test::enable_if<children_have_threads>()) {
  const auto death = death_of([] {
    heddle::run([] {
      auto r = std::make_unique<reactor>();
      net::steady_timer timer(r->get_executor(), std::chrono::hours(1));
      heddle::go([&] { timer.async_wait(use_fiber); });
      heddle::this_fiber::sleep_for(10ms);
      r.reset();
    });
  });
  BOOST_TEST(death.signal == SIGABRT);
  BOOST_TEST(death.says("destroyed while operations of use_fiber are pending"), death.text);
}

BOOST_AUTO_TEST_CASE(on_its_own_thread_is_refused, *boost::unit_test::enable_if<children_have_threads>()) {
  const auto death = death_of([] {
    auto r = std::make_unique<reactor>();
    r->call([&] { r.reset(); });
  });
  BOOST_TEST(death.signal == SIGABRT);
  BOOST_TEST(death.says("destroyed while its own thread is in it"), death.text);
}

BOOST_AUTO_TEST_CASE(of_the_process_leaves_pending_operations_behind,
                     *boost::unit_test::enable_if<children_have_threads>()) {
  const auto death = death_of([] {
    heddle::testing::leave_signal_stack_of_harness();
    static reactor r;
    static net::steady_timer* const timer = new net::steady_timer(r.get_executor(), std::chrono::hours(1));
    heddle::go([] { timer->async_wait(use_fiber); });
    heddle::go([] { heddle::this_fiber::sleep_for(10ms); });
    std::this_thread::sleep_for(10ms);
    std::exit(7);
  });
  BOOST_TEST(death.status == 7, death.text);
  BOOST_TEST(death.text == "");
}

BOOST_AUTO_TEST_SUITE_END()
