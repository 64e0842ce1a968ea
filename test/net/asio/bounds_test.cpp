// SPDX-License-Identifier: BSL-1.0
//
// Operations of use_fiber that a deadline or a stop request cancels.
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <stop_token>
#include <string>
#include <thread>

#include "heddle/asio/use_fiber.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "net/asio/loopback.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

namespace net = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using boost::system::system_error;
using heddle::asio::reactor;
using heddle::asio::use_fiber;
using heddle::testing::async_made;
using heddle::testing::connection;

const error_code timed_out = net::error::timed_out;
const error_code aborted = net::error::operation_aborted;

auto has_code(const error_code& expected) {
  return [expected](const system_error& e) { return e.code() == expected; };
}
template <class F>
void on_fiber_and_thread(F f) {
  heddle::run([&] { f(); });
  f();
}
net::steady_timer endless(reactor& r) { return net::steady_timer(r.get_executor(), std::chrono::hours(1)); }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(deadline, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(ends_a_wait) {
  on_fiber_and_thread([] {
    reactor r;
    net::steady_timer timer = endless(r);
    BOOST_CHECK_EXCEPTION(timer.async_wait(use_fiber.within(1ms)), system_error, has_code(timed_out));
    error_code e;
    timer.async_wait(use_fiber[e].within(1ms));
    BOOST_TEST(e == timed_out);
    timer.async_wait(use_fiber.until(std::chrono::steady_clock::now() + 1ms)[e]);
    BOOST_TEST(e == timed_out);
    timer.async_wait(use_fiber.on(r).until(std::chrono::system_clock::now() + 1ms)[e]);
    BOOST_TEST(e == timed_out);
    timer.async_wait(use_fiber.until(std::chrono::steady_clock::time_point::min()).on(r)[e]);
    BOOST_TEST(e == timed_out);
    const auto [in_tuple] = timer.async_wait(net::as_tuple(use_fiber.within(1ms)));
    BOOST_TEST(in_tuple == aborted);
  });
}

BOOST_AUTO_TEST_CASE(does_not_touch_what_is_done_before) {
  on_fiber_and_thread([] {
    reactor r;
    net::steady_timer timer(r.get_executor(), 1ms);
    timer.async_wait(use_fiber.within(std::chrono::hours(1)));
    timer.async_wait(use_fiber.within(std::chrono::hours::max()));
  });
}

BOOST_AUTO_TEST_CASE(the_earliest_counts) {
  on_fiber_and_thread([] {
    reactor r;
    net::steady_timer timer = endless(r);
    error_code e;
    timer.async_wait(use_fiber.within(1ms).within(std::chrono::hours(1))[e]);
    BOOST_TEST(e == timed_out);
    timer.async_wait(use_fiber.within(std::chrono::hours(1)).within(1ms)[e]);
    BOOST_TEST(e == timed_out);
  });
}

BOOST_AUTO_TEST_CASE(that_has_passed_leaves_time_for_what_can_be_done_at_once) {
  on_fiber_and_thread([] {
    reactor r;
    connection c(r);
    net::async_write(c.client, net::buffer("z", 1), use_fiber);
    c.server.async_wait(net::socket_base::wait_read, use_fiber);
    char byte = 0;
    BOOST_TEST(c.server.async_read_some(net::buffer(&byte, 1), use_fiber.within(0s)) == 1u);
    BOOST_TEST(byte == 'z');
  });
}

BOOST_AUTO_TEST_CASE(leaves_what_comes_later_to_the_next_read) {
  on_fiber_and_thread([] {
    reactor r;
    connection c(r);
    std::string first(4, '-'), second(4, '-');
    error_code e;
    BOOST_TEST(c.server.async_read_some(net::buffer(first), use_fiber.within(1ms)[e]) == 0u);
    BOOST_TEST(e == timed_out);
    net::async_write(c.client, net::buffer("data", 4), use_fiber);
    BOOST_TEST(net::async_read(c.server, net::buffer(second), use_fiber) == 4u);
    BOOST_TEST(first == "----");
    BOOST_TEST(second == "data");
  });
}

BOOST_AUTO_TEST_CASE(returns_what_part_has_been_done) {
  on_fiber_and_thread([] {
    reactor r;
    connection c(r);
    net::async_write(c.client, net::buffer("part", 4), use_fiber);
    c.server.async_wait(net::socket_base::wait_read, use_fiber);
    std::string whole(10, '-');
    error_code e;
    BOOST_TEST(net::async_read(c.server, net::buffer(whole), use_fiber.within(5ms)[e]) == 4u);
    BOOST_TEST(e == timed_out);
    BOOST_TEST(whole == "part------");
  });
}

BOOST_AUTO_TEST_CASE(loses_nothing_when_it_meets_data) {
  on_fiber_and_thread([] {
    constexpr int bytes = heddle::testing::times(2'000);
    reactor r;
    connection c(r);
    std::thread writer([&] {
      for (int i = 0; i != bytes; ++i) net::async_write(c.client, net::buffer(&i, 1), use_fiber);
    });
    int received = 0, expired = 0;
    while (received != bytes) {
      unsigned char byte = 0;
      error_code e;
      const std::size_t n = c.server.async_read_some(net::buffer(&byte, 1), use_fiber.within(3us)[e]);
      if (n == 0) {
        BOOST_REQUIRE(e == timed_out);
        ++expired;
      } else {
        BOOST_REQUIRE(byte == (received & 0xff));
        ++received;
      }
    }
    writer.join();
    BOOST_TEST_MESSAGE("expired: " << expired);
  });
}

BOOST_AUTO_TEST_CASE(of_many_fibers_at_once) {
  reactor r;
  heddle::run([&] {
    std::atomic<int> expired{0};
    std::vector<heddle::join_handle<void>> all;
    for (int i = 0; i != 1'000; ++i)
      all.push_back(heddle::spawn([&] {
        net::steady_timer timer = endless(r);
        error_code e;
        timer.async_wait(use_fiber.within(10ms)[e]);
        if (e == timed_out) ++expired;
      }));
    for (auto& f : all) f.join();
    BOOST_TEST(expired == 1'000);
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(stop, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(ends_a_wait) {
  heddle::run([] {
    reactor r;
    net::steady_timer timer = endless(r);
    std::stop_source source;
    auto waiter = heddle::spawn([&] {
      error_code e;
      timer.async_wait(use_fiber.stopped_by(source.get_token())[e]);
      return e;
    });
    heddle::this_fiber::sleep_for(1ms);
    source.request_stop();
    BOOST_TEST(waiter.join() == aborted);
    // It has been requested, so it ends further ones at once.
    BOOST_CHECK_EXCEPTION(timer.async_wait(use_fiber.stopped_by(source.get_token())), system_error, has_code(aborted));
  });
}

BOOST_AUTO_TEST_CASE(that_is_not_requested_changes_nothing) {
  on_fiber_and_thread([] {
    reactor r;
    net::steady_timer timer(r.get_executor(), 1ms);
    std::stop_source source;
    timer.async_wait(use_fiber.stopped_by(source.get_token()));
    timer.async_wait(use_fiber.stopped_by(std::stop_token()));
    net::steady_timer other = endless(r);
    error_code e;
    other.async_wait(use_fiber.stopped_by(source.get_token()).within(1ms)[e]);
    BOOST_TEST(e == timed_out);
    other.async_wait(use_fiber.within(std::chrono::hours(1)).stopped_by(std::stop_token()).within(1ms)[e]);
    BOOST_TEST(e == timed_out);
  });
}

BOOST_AUTO_TEST_CASE(before_the_deadline_is_told_apart) {
  on_fiber_and_thread([] {
    reactor r;
    net::steady_timer timer = endless(r);
    std::stop_source source;
    source.request_stop();
    error_code e;
    timer.async_wait(use_fiber.within(std::chrono::hours(1)).stopped_by(source.get_token())[e]);
    BOOST_TEST(e == aborted);
  });
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(cancelling, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(awaits_the_end) {
  on_fiber_and_thread([] {
    reactor r;
    // It goes on for a while after it has been told, on another thread, and uses what its caller has lent it.
    std::string lent(100, '-');
    std::thread worker;
    std::atomic<bool> told{false};
    const auto begin = [&](auto handler) {
      net::get_associated_cancellation_slot(handler).assign([&](net::cancellation_type type) {
        if ((type & net::cancellation_type::terminal) != net::cancellation_type::none) told = true;
      });
      worker = std::thread([&, h = std::move(handler)]() mutable {
        while (!told) std::this_thread::yield();
        std::this_thread::sleep_for(10ms);
        lent.assign(lent.size(), '+');
        std::move(h)(aborted, lent.size());
      });
    };
    error_code e;
    BOOST_TEST((async_made<void(error_code, std::size_t)>(r, begin, use_fiber.within(1ms)[e]) == lent.size()));
    BOOST_TEST(e == timed_out);
    BOOST_TEST(lent == std::string(100, '+'));
    worker.join();
  });
}

BOOST_AUTO_TEST_CASE(does_not_end_what_does_not_heed_it) {
  on_fiber_and_thread([] {
    reactor r;
    std::thread worker;
    const auto begin = [&](auto handler) {
      worker = std::thread([h = std::move(handler)]() mutable {
        std::this_thread::sleep_for(10ms);
        std::move(h)(error_code(), 5);
      });
    };
    BOOST_TEST((async_made<void(error_code, int)>(r, begin, use_fiber.within(1ms)) == 5));
    worker.join();
  });
}

BOOST_AUTO_TEST_CASE(leaves_slots_of_ended_operations_alone) {
  on_fiber_and_thread([] {
    reactor r;
    bool told = false;
    const auto begin = [&](auto handler) {
      net::get_associated_cancellation_slot(handler).assign([&](net::cancellation_type) { told = true; });
      std::move(handler)(error_code(), 6);
      std::this_thread::sleep_for(10ms);  // so the deadline passes before the caller may return
    };
    BOOST_TEST((async_made<void(error_code, int)>(r, begin, use_fiber.within(1ms)) == 6));
    BOOST_TEST(!told);
  });
}

BOOST_AUTO_TEST_CASE(does_not_hide_other_errors) {
  on_fiber_and_thread([] {
    reactor r;
    const auto begin = [&](auto handler) {
      std::this_thread::sleep_for(10ms);
      std::move(handler)(error_code(net::error::eof));
    };
    BOOST_CHECK_EXCEPTION(async_made<void(error_code)>(r, begin, use_fiber.within(1ms)), system_error,
                          has_code(net::error::eof));
  });
}

BOOST_AUTO_TEST_SUITE_END()
