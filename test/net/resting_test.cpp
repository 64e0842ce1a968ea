// SPDX-License-Identifier: BSL-1.0
//
// Fibers that rest at sockets on stacks that grow: each holds the segment that it began with, and no other.
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <span>
#include <vector>

#include "heddle/heddle.hpp"
#include "heddle/net.hpp"
#include "net/poller_in_use.hpp"
#include "scheduler.hpp"
#include "support/leak_check.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::poller_in_use;
namespace net = heddle::net;
BOOST_TEST_GLOBAL_FIXTURE(poller_in_use);

/// The fiber that is looked at. It says who it is before it rests.
std::atomic<const heddle::detail::fiber*> resting{nullptr};
[[gnu::noinline]] void rests_from_here_on() { resting = heddle::detail::this_machine()->current; }

/// Waits until it is parked, and says how many segments it holds.
std::size_t segments_at_rest() {
  const auto parked = [] {
    const heddle::detail::fiber* const f = resting;
    return f != nullptr && f->state.load(std::memory_order_acquire) == heddle::detail::fiber_state::parked;
  };
  while (!parked()) heddle::this_fiber::sleep_for(100us);
  std::size_t n = 0;
  for (const heddle::detail::stack* s = resting.load()->memory; s != nullptr; s = s->next) ++n;
  resting = nullptr;
  return n;
}

/// Two ends of a connection.
struct pair_of_ends {
  net::tcp_listener listener = net::tcp_listener::listen(net::endpoint::loopback_v4(0));
  net::tcp_stream far_end = net::tcp_stream::connect(listener.local_endpoint());
  net::tcp_stream near_end = listener.accept();
};

/// f(near end) on a fiber that rests in it until the far end has sent a byte.
template <class F>
void holds_one_segment(F f) {
  heddle::run(
      [&] {
        pair_of_ends ends;
        auto rests = heddle::spawn({.stack_size = 2048}, [&] {
          rests_from_here_on();
          f(ends.near_end);
        });
        BOOST_TEST(segments_at_rest() == 1U);
        ends.far_end.write("x");
        rests.join();
      },
      {.procs = 2});
}

/// The memory of a request goes back before the connection rests again.
[[gnu::noinline]] void answer(net::tcp_stream& connection) {
  std::array<std::byte, 4096> bytes;
  connection.write(std::span(bytes).first(connection.read_some(bytes)));
}

/// Reads all that fits into the sockets and more, so that the writer goes on.
[[gnu::noinline]] void drain(net::tcp_stream& from, std::size_t bytes) {
  std::vector<std::byte> to(1 << 16);
  for (std::size_t got = 0; got < bytes;) got += from.read_some(to);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(resting_fibers, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(waits_to_read) {
  holds_one_segment([](net::tcp_stream& s) { s.wait_readable(); });
}
BOOST_AUTO_TEST_CASE(waits_with_a_deadline) {
  holds_one_segment([](net::tcp_stream& s) { s.wait_readable(1h); });
}
BOOST_AUTO_TEST_CASE(waits_without_exceptions) {
  holds_one_segment([](net::tcp_stream& s) {
    std::error_code ec;
    s.wait_readable(1h, ec);
  });
}
BOOST_AUTO_TEST_CASE(reads_some) {
  holds_one_segment([](net::tcp_stream& s) {
    std::array<std::byte, 16> few;
    s.read_some(few);
  });
}
BOOST_AUTO_TEST_CASE(reads_all) {
  holds_one_segment([](net::tcp_stream& s) {
    std::array<std::byte, 1> one;
    s.read(one);
  });
}

BOOST_AUTO_TEST_CASE(writes) {
  heddle::run([] {
    pair_of_ends ends;
    const std::vector<std::byte> much(std::size_t{64} << 20);
    auto rests = heddle::spawn({.stack_size = 2048}, [&] {
      rests_from_here_on();
      ends.near_end.write(much);
    });
    BOOST_TEST(segments_at_rest() == 1U);
    drain(ends.far_end, much.size());
    rests.join();
  });
}

BOOST_AUTO_TEST_CASE(accepts) {
  heddle::run([] {
    pair_of_ends ends;
    auto rests = heddle::spawn({.stack_size = 2048}, [&] {
      rests_from_here_on();
      net::tcp_stream another = ends.listener.accept();
    });
    BOOST_TEST(segments_at_rest() == 1U);
    auto another = net::tcp_stream::connect(ends.listener.local_endpoint());
    rests.join();
  });
}

BOOST_AUTO_TEST_CASE(is_served) {
  heddle::run([] {
    auto listener = net::tcp_listener::listen(net::endpoint::loopback_v4(0));
    const net::endpoint where = listener.local_endpoint();
    const auto talk = [](net::tcp_stream& peer) {
      for (int i = 0; i != 2; ++i) {
        rests_from_here_on();
        peer.wait_readable();
        answer(peer);
      }
    };
    std::stop_source stop;
    auto serving = heddle::spawn([&] { net::serve(listener, talk, stop.get_token()); });
    auto client = net::tcp_stream::connect(where);
    std::array<std::byte, 1> echo;
    for (int i = 0; i != 2; ++i) {
      BOOST_TEST(segments_at_rest() == 1U);
      client.write("x");
      client.read(echo);
    }
    stop.request_stop();
    serving.join();
  });
}

BOOST_AUTO_TEST_SUITE_END()
