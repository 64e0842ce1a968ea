// SPDX-License-Identifier: BSL-1.0
//
// The network in memory: what meets what at its streams and listeners, between plain threads; and fibers at both ends
// of a link with latency, in virtual time.
#include <array>
#include <boost/test/unit_test.hpp>
#include <string>

#include "heddle/net/memory.hpp"
#include "model/expect.hpp"
#include "openings.hpp"
#include "runtimes.hpp"

namespace {

using heddle::detail::monotonic_now;
using heddle::net::endpoint;
using heddle::net::memory_listener;
using heddle::net::memory_network;
using heddle::net::memory_options;
using heddle::net::memory_stream;
using std::chrono::nanoseconds;

constexpr model::options threads = openings::threads_for(4'000);
constexpr model::options every = openings::every_order_for(4'000);
using runtimes::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

void right(void (*scenario)()) {
  model::expect_ok(threads, scenario);
  model::expect_ok(every, scenario);
}
void wrong(model::plant bug, void (*scenario)(), const char* text = "") {
  openings::wrong(bug, threads, scenario, text);
}

const endpoint where = endpoint::loopback_v4(80);

struct pair_of {
  explicit pair_of(const memory_options& o = {.buffer = 4}) : net(o) {}
  memory_network net;
  memory_listener l = net.listen(where);
  memory_stream client = net.connect(where);
  memory_stream server = l.accept();
};

using four_bytes = std::array<std::byte, 4>;

std::error_code read_error(memory_stream& s, const heddle::net::limits& l = {}) {
  four_bytes b;
  std::error_code ec;
  s.read_some(b, l, ec);
  return ec;
}

std::chrono::steady_clock::time_point time_of(heddle::detail::nanoseconds_t t) {
  return std::chrono::steady_clock::time_point(nanoseconds(t));
}

// --- streams -----------------------------------------------------------------------------------------------------

/// Three times what the way holds goes through it whole.
void a_writer_waits_for_room() {
  pair_of c;
  model::thread writer([&] { model::check(c.client.write("abcdefghijkl") == 12, "not all was written"); });
  std::array<std::byte, 12> b;
  std::error_code ec;
  model::check(c.server.read(b, {}, ec) == 12 && b[11] == std::byte{'l'}, "something was lost");
}

/// What was sent before the end comes before the end, however long it is under way.
void the_end_comes_last() {
  pair_of c({.latency = nanoseconds(2'000), .jitter = nanoseconds(3'000), .buffer = 4});
  model::thread writer([&] {
    c.client.write("ab");
    c.client.write("c");
    c.client.shutdown_write();
  });
  four_bytes b{};
  std::error_code ec;
  model::check(c.server.read(b, {}, ec) == 3 && b[2] == std::byte{'c'}, "something was lost");
  model::check(ec == heddle::io::errc::end_of_stream, "no end");
}

/// The bytes, if the reader comes for them in time or not, and then the reset; once.
void a_reset_meets_a_read() {
  pair_of c;
  model::thread breaker([&] {
    std::error_code ec;
    c.client.write("ab");
    c.client.reset_on_close(ec);
    c.client.close();
  });
  four_bytes b;
  std::error_code ec;
  model::check(c.server.read(b, {}, ec) == 2, "bytes before the reset were lost");
  model::check(ec == std::errc::connection_reset, "no reset");
  model::check(!read_error(c.server), "the reset was told twice");
}

/// A writer that waits is told when the peer goes.
void a_reset_meets_a_write() {
  pair_of c;
  model::thread breaker([&] { c.server.close(); });
  std::error_code ec;
  c.client.write(std::as_bytes(std::span("abcdefg")), ec);
  model::check(ec == std::errc::connection_reset, "no reset");
}

/// Whoever waits at a stream that another closes is told so: a writer, and a reader.
void close_meets_write_and_read() {
  pair_of c;
  std::error_code written;
  {
    model::thread writer([&] { c.client.write(std::as_bytes(std::span("abcdefg")), written); });
    model::thread closer([&] { c.client.close(); });
    model::check(read_error(c.client) == heddle::io::errc::closed, "a read of a closed stream");
  }
  model::check(written == heddle::io::errc::closed, "a write to a closed stream");
}

/// One that waits already heeds the deadline that another sets.
void a_deadline_meets_a_read() {
  pair_of c;
  model::thread setter([&] { c.server.set_read_deadline(time_of(monotonic_now() + 500)); });
  model::check(read_error(c.server) == std::errc::timed_out, "no deadline");
  model::check(read_error(c.server) == std::errc::timed_out, "a deadline that holds once only");
}

/// What comes at the moment of the deadline, or of the stop, is read now or later: not lost.
template <bool WithStop>
void a_byte_meets_the_end_of_a_wait() {
  pair_of c;
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  model::thread writer([&] { c.client.write("a"); });
  model::thread stopper([&] {
    if (WithStop) stop.request_stop();
  });
  four_bytes b;
  std::error_code ec;
  const heddle::net::limits l = WithStop ? heddle::net::limits(token) : heddle::net::limits(nanoseconds(400));
  std::size_t n = c.server.read_some(b, l, ec);
  if (n == 0) {
    model::check(ec == (WithStop ? std::errc::operation_canceled : std::errc::timed_out), "ended otherwise");
    n = c.server.read_some(b, {}, ec);
  }
  model::check(n == 1 && b[0] == std::byte{'a'}, "a byte was lost");
}

// --- listeners ---------------------------------------------------------------------------------------------------

/// Two connect where one may wait.
void connections_wait_for_room() {
  memory_network net({.buffer = 4, .connect_timeout = nanoseconds::max()});
  memory_listener l = net.listen(where, 1);
  const auto connect = [&] { net.connect(where).write("a"); };
  model::thread one(connect);
  model::thread two(connect);
  for (int i = 0; i != 2; ++i) {
    memory_stream s = l.accept();
    model::check(!read_error(s), "an error of a connection");
  }
}

/// Refused, or made and then reset; nobody waits for ever.
void connect_meets_close() {
  memory_network net({.buffer = 4});
  memory_listener l = net.listen(where);
  model::thread closer([&] { l.close(); });
  std::error_code ec;
  memory_stream s = net.connect(where, {}, ec);
  if (ec) return model::check(ec == std::errc::connection_refused, "another error");
  model::check(read_error(s) == std::errc::connection_reset, "no reset");
}

/// A connection that comes while accept() is stopped is the next one's.
void accept_meets_stop() {
  memory_network net({.buffer = 4});
  memory_listener l = net.listen(where);
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  model::thread stopper([&] { stop.request_stop(); });
  model::thread client([&] { net.connect(where).write("a"); });
  std::error_code ec;
  memory_stream s = l.accept(token, ec);
  if (ec) {
    model::check(ec == std::errc::operation_canceled && !s.is_open(), "ended otherwise");
    s = l.accept();
  }
  model::check(!read_error(s), "not the connection");
}

/// Somebody who gives up at that moment leaves nothing behind, or a connection that has ended.
void accept_meets_a_client_that_gives_up() {
  memory_network net({.latency = nanoseconds(300), .buffer = 4});
  memory_listener l = net.listen(where);
  bool made = false;
  model::thread client([&] {
    std::error_code ec;
    made = net.connect(where, nanoseconds(650), ec).is_open();
    l.close();
  });
  std::error_code ec;
  memory_stream s = l.accept({}, ec);
  if (ec) return model::check(ec == heddle::io::errc::closed, "ended otherwise");
  four_bytes b;
  model::check(s.read_some(b, {}, ec) == 0, "bytes from nowhere");
}

void a_partition_meets_a_read() {
  pair_of c;
  model::thread divider([&] {
    c.net.partition(where);
    c.net.heal(where);
  });
  model::thread writer([&] { c.client.write("a"); });
  model::check(!read_error(c.server), "an error of a connection");
}

// --- fibers, in virtual time -------------------------------------------------------------------------------------

constexpr auto latency = nanoseconds(5'000'000);

/// Nothing comes before the latency has passed, whatever the deadlines of the reader; then all of it does, in order.
void a_reader_with_deadlines() {
  memory_network net({.latency = latency, .jitter = latency / 2, .buffer = 8});
  memory_listener l = net.listen(where);
  auto server = heddle::spawn([&] {
    memory_stream s = l.accept();
    std::array<std::byte, 8> b;
    std::error_code ec;
    std::string got;
    for (int timeouts = 0; got.size() != 6;) {
      const std::size_t n = s.read_some(b, nanoseconds(1'000'000), ec);
      model::check(!ec || (ec == std::errc::timed_out && ++timeouts < 30), "the bytes do not come");
      got.append(reinterpret_cast<const char*>(b.data()), n);
    }
    model::check(got == "abcdef", "out of order");
    s.write("g");
  });
  const auto begin = monotonic_now();
  memory_stream c = net.connect(where);
  model::check(monotonic_now() - begin >= 2 * latency.count(), "connected too early");
  c.write("abc");
  c.write("def");
  const auto sent = monotonic_now();
  model::check(!read_error(c), "no answer");
  model::check(monotonic_now() - sent >= 2 * latency.count(), "the answer came too early");
  server.join();
}

template <unsigned Procs>
void fibers(void (*f)()) {
  model::options o = runtimes::by_chance_times(300);
  o.early_timeouts = 0;  // they would be before their time
  model::expect_ok(o, runtimes::in_runtime(Procs, false, f));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(writer_waits_for_room) { right(a_writer_waits_for_room); }
BOOST_AUTO_TEST_CASE(end_comes_last) { right(the_end_comes_last); }
BOOST_AUTO_TEST_CASE(reset_meets_read) { right(a_reset_meets_a_read); }
BOOST_AUTO_TEST_CASE(reset_meets_write) { right(a_reset_meets_a_write); }
BOOST_AUTO_TEST_CASE(close_meets_write) { right(close_meets_write_and_read); }
BOOST_AUTO_TEST_CASE(deadline_meets_read) { right(a_deadline_meets_a_read); }
BOOST_AUTO_TEST_CASE(byte_meets_timeout) { right(a_byte_meets_the_end_of_a_wait<false>); }
BOOST_AUTO_TEST_CASE(byte_meets_stop) { right(a_byte_meets_the_end_of_a_wait<true>); }
BOOST_AUTO_TEST_CASE(full_backlog) { right(connections_wait_for_room); }
BOOST_AUTO_TEST_CASE(connect_and_close) { right(connect_meets_close); }
BOOST_AUTO_TEST_CASE(accept_and_stop) { right(accept_meets_stop); }
BOOST_AUTO_TEST_CASE(accept_and_client_gone) { right(accept_meets_a_client_that_gives_up); }
BOOST_AUTO_TEST_CASE(partition_meets_read) { right(a_partition_meets_a_read); }
BOOST_AUTO_TEST_CASE(fibers_one) { fibers<1>(a_reader_with_deadlines); }
BOOST_AUTO_TEST_CASE(fibers_two) { fibers<2>(a_reader_with_deadlines); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(memory_end_overtakes) {
  wrong(model::plant::memory_end_overtakes, the_end_comes_last, "something was lost");
}
BOOST_AUTO_TEST_CASE(memory_room_not_told) {
  wrong(model::plant::memory_room_not_told, a_writer_waits_for_room, "deadlock");
}
BOOST_AUTO_TEST_CASE(memory_close_misses_writers) {
  wrong(model::plant::memory_close_misses_writers, close_meets_write_and_read, "deadlock");
}
BOOST_AUTO_TEST_CASE(memory_deadline_not_told) {
  wrong(model::plant::memory_deadline_not_told, a_deadline_meets_a_read, "deadlock");
}
BOOST_AUTO_TEST_CASE(memory_backlog_not_told) {
  wrong(model::plant::memory_backlog_not_told, connections_wait_for_room, "deadlock");
}
BOOST_AUTO_TEST_CASE(memory_reset_not_told) {
  wrong(model::plant::memory_reset_not_told, a_reset_meets_a_read, "deadlock");
}
BOOST_AUTO_TEST_SUITE_END()
