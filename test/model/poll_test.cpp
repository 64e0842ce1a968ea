// SPDX-License-Identifier: BSL-1.0
//
// Fibers that wait for descriptors: events, ends, closing, numbers that are used again, deadlines and stop requests.
// The kernel is played by model/event_queue.hpp. Who polls when: poller_test.cpp.
#include <boost/test/unit_test.hpp>

#include "descriptors.hpp"
#include "heddle/channel.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/wait_group.hpp"
#include "model/data.hpp"
#include "scheduler.hpp"

namespace {

namespace platform = heddle::detail::platform;
using namespace descriptors;
using runtimes::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

// --- events and ends ----------------------------------------------------------------------------------------------

/// The first bytes are there before anybody waits, or come meanwhile. Nothing tells the reader twice.
void reads_what_comes() {
  const polled d(make());
  const int fd = d.descriptor();
  model::thread peer([fd] {
    for (int i = 0; i != 3; ++i) send(fd, 1);
  });
  for (std::ptrdiff_t all = 0; all != 3; all += receive_some(d, 4)) {
  }
}

/// The same while a thread polls, as the monitor does now and then: events come at any moment of an operation.
void reads_while_a_thread_polls() {
  heddle::detail::scheduler& s = heddle::detail::this_machine()->sched;
  heddle::detail::poller& p = heddle::detail::poller::instance();
  const polled d(make());
  const int fd = d.descriptor();
  send(fd, 1);
  std::ptrdiff_t all = receive_some(d, 2);
  model::thread peer([&] {
    for (int i = 0; i != 2; ++i) {
      send(fd, 1);
      if (!p.take()) continue;
      p.fetch(0);
      p.deliver(s, nullptr);
      p.release();
    }
  });
  for (; all != 3; all += receive_some(d, 2)) {
  }
}

/// There is an end behind the data, which has been reported with them.
void reads_to_the_end() {
  const polled d(make());
  const int fd = d.descriptor();
  model::thread peer([fd] {
    send(fd, 1);
    end(fd);
  });
  model::check(receive_some(d, 4) == 1, "a byte was lost");
  model::check(receive_some(d, 4) == 0, "no end");
  model::check(receive_some(d, 4) == 0, "no end the second time");
}

void reads_until_it_breaks() {
  const polled d(make(0));
  const int fd = d.descriptor();
  model::thread peer([fd] { reset(fd); });
  auto writer = heddle::spawn([&] { return transmit(d, 1).bytes; });
  model::check(receive(d, 1).bytes == -1 && receive(d, 1).bytes == -1, "a read of a broken connection");
  model::check(writer.join() == -1, "a write to a broken connection");
}

/// Each of two readers takes what it wants, and leaves the rest to the other.
void shares_input() {
  const polled d(make());
  const int fd = d.descriptor();
  heddle::wait_group all(2);
  for (int i = 0; i != 2; ++i)
    heddle::go([&] {
      model::check(receive_some(d, 1) == 1, "no byte");
      all.done();
    });
  heddle::this_fiber::yield();
  send(fd, 2);
  all.wait();
}
void shares_input_that_comes_in_two() {
  const polled d(make());
  const int fd = d.descriptor();
  model::thread peer([fd] {
    send(fd, 1);
    send(fd, 1);
  });
  auto other = heddle::spawn([&] { return receive_some(d, 1); });
  model::check(receive_some(d, 1) + other.join() == 2, "a byte was lost");
}

/// All that wait until it can be read are told, though nobody reads.
void tells_all_that_wait() {
  const polled d(make());
  const int fd = d.descriptor();
  {
    polled::use now(d);
    now.blocked(poll_side::read, now.readiness(poll_side::read));
  }
  heddle::wait_group all(2);
  for (int i = 0; i != 2; ++i)
    heddle::go([&] {
      model::check(await_input(d) == poll_outcome::ready, "no event");
      all.done();
    });
  model::thread peer([fd] { send(fd, 1); });
  all.wait();
}

void writes_as_room_comes() {
  const polled d(make(1));
  const int fd = d.descriptor();
  model::thread peer([fd] {
    make_room(fd, 1);
    disturb(fd);
    make_room(fd, 1);
  });
  for (std::ptrdiff_t all = 0; all != 3;) {
    const outcome o = transmit(d, 3);
    model::check(o.how == poll_outcome::ready && o.bytes > 0, "a write has failed");
    all += o.bytes;
  }
}

void refuses_files() {
  const polled d(make_file());
  model::check(await_input(d) == poll_outcome::failed, "a wait for a file");
}

// --- closing ------------------------------------------------------------------------------------------------------

void closes_under_a_reader() {
  polled d(make());
  auto reader = heddle::spawn([&] { return receive(d, 1).how; });
  auto writer = heddle::spawn([&] { return transmit(d, 1).how; });
  heddle::this_fiber::yield();
  d.close();
  model::check(count() == 0, "close() has returned, and it is open");
  model::check(reader.join() == poll_outcome::closed, "a reader was not told of the close");
  const poll_outcome wrote = writer.join();
  model::check(wrote == poll_outcome::ready || wrote == poll_outcome::closed, "a write has failed");
  model::check(receive(d, 1).how == poll_outcome::closed, "a read of a closed descriptor");
}
void closes_from_a_thread() {
  polled d(make());
  model::thread plain([&] { d.close(); });
  model::check(receive(d, 1).how == poll_outcome::closed, "a reader was not told of the close");
}

/// The number is this file's as long as somebody works on it, and close() returns after that.
void closes_after_the_last_operation() {
  polled d(make());
  platform::atomic<int> at_work{0};
  auto worker = heddle::spawn([&] {
    polled::use now(d);
    if (!now) return;
    at_work.store(1, std::memory_order_relaxed);
    const std::uint32_t mine = identity(now.descriptor());
    heddle::this_fiber::yield();
    model::check(identity(now.descriptor()) == mine, "the number is another file's");
    at_work.store(0, std::memory_order_relaxed);
  });
  heddle::this_fiber::yield();
  d.close();
  model::check(at_work.load(std::memory_order_relaxed) == 0, "close() has returned during an operation");
  const polled other(make());
  worker.join();
}

/// Each of several that close returns when it has been closed, though one of them alone does it.
void closes_at_once(polled& d) {
  d.close();
  model::check(count() == 0, "close() has returned, and it is open");
}
void closes_twice() {
  polled d(make());
  auto reader = heddle::spawn([&] { return receive(d, 1).how; });
  heddle::this_fiber::yield();
  auto other = heddle::spawn([&] { closes_at_once(d); });
  auto third = heddle::spawn([&] { closes_at_once(d); });
  closes_at_once(d);
  other.join();
  third.join();
  model::check(reader.join() == poll_outcome::closed, "a reader was not told of the close");
}
void closes_twice_from_a_thread() {
  polled d(make());
  model::thread plain([&] { closes_at_once(d); });
  auto worker = heddle::spawn([&] {
    const polled::use now(d);
    heddle::this_fiber::yield();
  });
  closes_at_once(d);
  worker.join();
}
/// On plain threads alone.
void threads_close_at_once() {
  polled d(make());
  model::thread one([&] { closes_at_once(d); });
  model::thread two([&] { closes_at_once(d); });
  const poll_outcome how = receive(d, 1).how;
  model::check(how == poll_outcome::closed, "a reader was not told of the close");
}

/// The next descriptor has the number and the slot of the one before, for which an event is under way.
void uses_numbers_again() {
  for (int i = 0; i != 2; ++i) {
    polled first(make());
    const int fd = first.descriptor();
    auto reader = heddle::spawn([&] { return receive(first, 1).how; });
    heddle::this_fiber::yield();
    send(fd, 1);
    first.close();
    const polled second(make());
    const std::uint32_t mine = identity(second.descriptor());
    {
      polled::use now(second);
      now.blocked(poll_side::read, now.readiness(poll_side::read));
    }
    first.close();  // is not its business any more
    const nanoseconds_t soon = platform::now() + ms;
    const poll_outcome how = await_input(second, {.deadline = soon});
    model::check(how == poll_outcome::timed_out, "told of another's input, or of another's close");
    model::check(identity(second.descriptor()) == mine, "another's close");
    (void)reader.join();
  }
}

/// A polled that keeps its descriptor, or gives it away.
void gives_away() {
  polled d(make());
  polled moved(std::move(d));
  auto reader = heddle::spawn([&] { return receive(moved, 1).how; });
  heddle::this_fiber::yield();
  const int fd = moved.release();
  model::check(count() == 1 && !moved.is_open(), "released, and closed");
  model::check(reader.join() == poll_outcome::closed, "a reader was not told of the release");
  const polled again(fd);
  send(fd, 1);
  model::check(receive_some(again, 1) == 1, "a byte was lost");
}

// --- deadlines and stop requests ----------------------------------------------------------------------------------

/// A deadline that ends a wait: not before its time, and not late.
void check_time(nanoseconds_t deadline) {
  const nanoseconds_t late = platform::now() - deadline;
  model::check(late >= 0, "timed out too early");
  model::check(late < 15 * ms, "timed out too late");
}

void times_out_or_reads() {
  const polled d(make());
  const int fd = d.descriptor();
  model::thread peer([fd] { send(fd, 1); });
  const nanoseconds_t soon = platform::now() + 2'000;
  outcome o = receive(d, 1, {.deadline = soon});
  if (o.how == poll_outcome::timed_out) {
    model::check(platform::now() >= soon, "timed out too early");
    o = receive(d, 1);
  }
  model::check(o.how == poll_outcome::ready && o.bytes == 1, "a byte was lost");
}

/// The alarm of a wait that was over before its deadline serves the next waits, with deadlines that are later and
/// earlier.
template <int First, int Second>
void alarms_serve_again() {
  const polled d(make());
  const int fd = d.descriptor();
  auto first = heddle::spawn([&] { return receive(d, 1, {.deadline = platform::now() + First * ms}).bytes; });
  heddle::this_fiber::yield();
  send(fd, 1);
  model::check(first.join() == 1, "a byte was lost");
  const nanoseconds_t deadline = platform::now() + Second * ms;
  model::check(receive(d, 1, {.deadline = deadline}).how == poll_outcome::timed_out, "a byte from nowhere");
  check_time(deadline);
}

/// Several wait, each with a time of its own.
void times_out_each() {
  const polled d(make());
  heddle::wait_group all(3);
  for (const int wait : {60, 20, 100})
    heddle::go([&, wait] {
      const nanoseconds_t deadline = platform::now() + wait * ms;
      model::check(receive(d, 1, {.deadline = deadline}).how == poll_outcome::timed_out, "a byte from nowhere");
      check_time(deadline);
      all.done();
    });
  all.wait();
}

/// The deadline of the descriptor, set while a fiber waits there: later than what was, earlier, never, passed.
template <int Before, int After>
void sets_deadlines() {
  polled d(make());
  const nanoseconds_t begin = platform::now();
  if (Before != 0) d.set_deadline(poll_side::read, begin + Before * ms);
  auto reader = heddle::spawn([&] { return receive(d, 1).how; });
  heddle::this_fiber::yield();
  const nanoseconds_t deadline = begin + After * ms;
  d.set_deadline(poll_side::read, deadline);
  model::check(reader.join() == poll_outcome::timed_out, "a byte from nowhere");
  check_time(std::max(deadline, begin));
  // And so does each read that begins later.
  model::check(receive(d, 1).how == poll_outcome::timed_out, "a deadline that has passed");
  d.set_deadline(poll_side::read, no_deadline);
  send(d.descriptor(), 1);
  model::check(receive_some(d, 1) == 1, "a byte was lost");
}
void sets_a_deadline_from_a_thread() {
  polled d(make());
  platform::atomic<nanoseconds_t> deadline{0};
  model::thread plain([&] {
    deadline.store(platform::now() + 20 * ms, std::memory_order_relaxed);
    d.set_deadline(poll_side::read, deadline.load(std::memory_order_relaxed));
  });
  model::check(receive(d, 1).how == poll_outcome::timed_out, "a byte from nowhere");
  plain.join();
  check_time(deadline.load(std::memory_order_relaxed));
}
/// Wakes nobody whose time has not come, and the alarm of one that has gone is no harm.
void closes_with_an_alarm() {
  for (const int wait : {10, 30}) {
    const polled d(make());
    const nanoseconds_t deadline = platform::now() + wait * ms;
    auto reader = heddle::spawn([&] { return receive(d, 1, {.deadline = platform::now() + 20 * ms}).how; });
    model::check(receive(d, 1, {.deadline = deadline}).how == poll_outcome::timed_out, "a byte from nowhere");
    check_time(deadline);
    if (wait == 30) model::check(reader.join() == poll_outcome::timed_out, "a byte from nowhere");
    if (wait == 10) {
      send(d.descriptor(), 1);
      model::check(reader.join() == poll_outcome::ready, "a byte was lost");
    }
  }
}

/// The alarm of a wait that was over is left when the runtime ends, and is no reason to go on.
void ends_with_an_alarm() {
  const polled d(make());
  heddle::go([fd = d.descriptor()] { send(fd, 1); });
  model::check(receive(d, 1, {.deadline = platform::now() + 30'000 * ms}).bytes == 1, "a byte was lost");
}

void stops_or_reads() {
  const polled d(make());
  const int fd = d.descriptor();
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  auto reader = heddle::spawn([&] { return receive(d, 1, {.stop = &token}); });
  model::thread peer([fd] { send(fd, 1); });
  stop.request_stop();
  outcome o = reader.join();
  if (o.how == poll_outcome::stopped) o = receive(d, 1);
  model::check(o.how == poll_outcome::ready && o.bytes == 1, "a byte was lost");
}
/// One that was stopped has left nothing behind.
void stops_then_reads() {
  const polled d(make());
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  auto reader = heddle::spawn([&] { return receive(d, 1, {.stop = &token}).how; });
  heddle::this_fiber::yield();
  stop.request_stop();
  model::check(reader.join() == poll_outcome::stopped, "not stopped");
  model::check(receive(d, 1, {.stop = &token}).how == poll_outcome::stopped, "not stopped before it has begun");
  heddle::go([fd = d.descriptor()] { send(fd, 1); });
  model::check(receive_some(d, 1) == 1, "a byte was lost");
}
void stops_from_a_thread() {
  const polled d(make());
  heddle::detail::stop_source stop;
  const heddle::detail::stop_token token = stop.get_token();
  model::thread plain([&] { stop.request_stop(); });
  model::check(receive(d, 1, {.deadline = platform::now() + 1'000 * ms, .stop = &token}).how == poll_outcome::stopped,
               "not stopped");
}

// --- plain threads --------------------------------------------------------------------------------------------------

void a_thread_reads_what_comes() { reads_what_comes(); }
void closes_under_a_thread() {
  polled d(make());
  model::thread reader([&] { model::check(receive(d, 1).how == poll_outcome::closed, "not told of the close"); });
  d.close();
}
void stops_a_thread() { stops_from_a_thread(); }
void times_out_on_a_thread() {
  polled d(make());
  const nanoseconds_t deadline = platform::now() + 20 * ms;
  model::check(receive(d, 1, {.deadline = deadline}).how == poll_outcome::timed_out, "a byte from nowhere");
  check_time(deadline);
  model::thread setter([&] { d.set_deadline(poll_side::read, platform::now()); });
  model::check(receive(d, 1).how == poll_outcome::timed_out, "a byte from nowhere");
}
/// A fiber and a plain thread wait for the same descriptor.
void shares_input_with_a_thread() {
  const polled d(make());
  const int fd = d.descriptor();
  model::thread plain([&] { model::check(receive_some(d, 1) == 1, "no byte"); });
  model::thread peer([fd] {
    send(fd, 1);
    send(fd, 1);
  });
  model::check(receive_some(d, 1) == 1, "no byte");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(events)
BOOST_AUTO_TEST_CASE(read) { right(3000, 1, false, reads_what_comes); }
BOOST_AUTO_TEST_CASE(read_by_two_processors) { right(3000, 2, false, reads_what_comes); }
BOOST_AUTO_TEST_CASE(read_while_a_thread_polls) { right(3000, 1, true, reads_while_a_thread_polls); }
BOOST_AUTO_TEST_CASE(read_with_monitor) { right(1000, 2, true, reads_what_comes); }
BOOST_AUTO_TEST_CASE(the_end_behind_the_data) { right(3000, 1, false, reads_to_the_end); }
BOOST_AUTO_TEST_CASE(a_broken_connection) { right(2000, 2, false, reads_until_it_breaks); }
BOOST_AUTO_TEST_CASE(two_readers) { right(3000, 2, false, shares_input); }
BOOST_AUTO_TEST_CASE(two_readers_two_events) { right(3000, 2, false, shares_input_that_comes_in_two); }
BOOST_AUTO_TEST_CASE(two_that_wait) { right(3000, 2, false, tells_all_that_wait); }
BOOST_AUTO_TEST_CASE(write) { right(2000, 2, false, writes_as_room_comes); }
BOOST_AUTO_TEST_CASE(files) { right(200, 1, false, refuses_files); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(closing)
BOOST_AUTO_TEST_CASE(under_a_reader) { right(3000, 2, false, closes_under_a_reader); }
BOOST_AUTO_TEST_CASE(from_a_thread) { right(3000, 1, false, closes_from_a_thread); }
BOOST_AUTO_TEST_CASE(after_the_last_operation) { right(3000, 2, false, closes_after_the_last_operation); }
BOOST_AUTO_TEST_CASE(twice) { right(3000, 2, false, closes_twice); }
BOOST_AUTO_TEST_CASE(twice_with_a_thread) { right(3000, 2, false, closes_twice_from_a_thread); }
BOOST_AUTO_TEST_CASE(the_number_again) { right(3000, 2, false, uses_numbers_again); }
BOOST_AUTO_TEST_CASE(released) { right(2000, 2, false, gives_away); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(bounds)
BOOST_AUTO_TEST_CASE(deadline_meets_event) { right(3000, 2, false, times_out_or_reads, 3); }
BOOST_AUTO_TEST_CASE(alarm_for_a_later_deadline) { right(2000, 1, false, alarms_serve_again<10, 30>); }
BOOST_AUTO_TEST_CASE(alarm_for_an_earlier_deadline) { right(2000, 1, false, alarms_serve_again<100, 20>); }
BOOST_AUTO_TEST_CASE(several_deadlines) { right(2000, 2, false, times_out_each); }
BOOST_AUTO_TEST_CASE(deadline_set) { right(2000, 2, false, sets_deadlines<0, 20>); }
BOOST_AUTO_TEST_CASE(deadline_moved_later) { right(2000, 2, false, sets_deadlines<20, 60>); }
BOOST_AUTO_TEST_CASE(deadline_moved_earlier) { right(2000, 2, false, sets_deadlines<100, 20>); }
BOOST_AUTO_TEST_CASE(deadline_passed) { right(2000, 2, false, sets_deadlines<100, -1>); }
BOOST_AUTO_TEST_CASE(deadline_set_by_a_thread) { right(2000, 2, false, sets_a_deadline_from_a_thread); }
BOOST_AUTO_TEST_CASE(alarm_of_a_closed_one) { right(1000, 2, false, closes_with_an_alarm); }
BOOST_AUTO_TEST_CASE(alarm_at_the_end) { right(1000, 2, false, ends_with_an_alarm); }
BOOST_AUTO_TEST_CASE(stop_meets_event) { right(3000, 2, false, stops_or_reads); }
BOOST_AUTO_TEST_CASE(stop_and_read) { right(1000, 2, false, stops_then_reads); }
BOOST_AUTO_TEST_CASE(stop_by_a_thread) { right(2000, 1, false, stops_from_a_thread); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(plain_threads)
BOOST_AUTO_TEST_CASE(read) { right_on_threads(2000, a_thread_reads_what_comes); }
BOOST_AUTO_TEST_CASE(closing) { right_on_threads(2000, closes_under_a_thread); }
BOOST_AUTO_TEST_CASE(closing_twice) { right_on_threads(2000, threads_close_at_once); }
BOOST_AUTO_TEST_CASE(stop) { right_on_threads(2000, stops_a_thread); }
BOOST_AUTO_TEST_CASE(deadlines) { right_on_threads(2000, times_out_on_a_thread); }
BOOST_AUTO_TEST_CASE(beside_a_fiber) { right(2000, 1, false, shares_input_with_a_thread); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(poll_begins_on_closed) {
  wrong(model::plant::poll_begins_on_closed, 2, false, closes_under_a_reader);
}
BOOST_AUTO_TEST_CASE(poll_closes_watched) {
  wrong(model::plant::poll_closes_watched, 1, false, reads_what_comes, "watches");
}
BOOST_AUTO_TEST_CASE(poll_keeps_generation) {
  wrong(model::plant::poll_keeps_generation, 1, false, uses_numbers_again, "another's");
}
BOOST_AUTO_TEST_CASE(poll_close_wakes_nobody) {
  wrong(model::plant::poll_close_wakes_nobody, 2, false, closes_under_a_reader, "deadlock");
}
BOOST_AUTO_TEST_CASE(poll_second_close_hurries) {
  wrong(model::plant::poll_second_close_hurries, 2, false, closes_twice, "close() has returned");
}
BOOST_AUTO_TEST_CASE(poll_second_close_hurries_from_a_thread) {
  wrong(model::plant::poll_second_close_hurries, 2, false, closes_twice_from_a_thread, "close() has returned");
}
BOOST_AUTO_TEST_CASE(poll_one_closer_is_known) {
  wrong(model::plant::poll_one_closer_is_known, 2, false, closes_twice, "deadlock");
}
BOOST_AUTO_TEST_CASE(poll_clears_new_event) {
  wrong(model::plant::poll_clears_new_event, 1, true, reads_while_a_thread_polls, "deadlock");
}
BOOST_AUTO_TEST_CASE(poll_believes_old_event) {
  wrong(model::plant::poll_believes_old_event, 2, false, uses_numbers_again, "another's");
}
BOOST_AUTO_TEST_CASE(poll_forgets_the_end) {
  wrong(model::plant::poll_forgets_the_end, 1, false, reads_to_the_end, "deadlock");
}
BOOST_AUTO_TEST_CASE(poll_keeps_the_rest) {
  wrong(model::plant::poll_keeps_the_rest, 2, false, shares_input, "deadlock");
}
BOOST_AUTO_TEST_CASE(poll_waits_on_closed) {
  wrong(model::plant::poll_waits_on_closed, 2, false, closes_from_a_thread, "deadlock");
}
BOOST_AUTO_TEST_CASE(poll_waits_without_look) {
  wrong(model::plant::poll_waits_without_look, 2, false, reads_what_comes, "deadlock");
}
BOOST_AUTO_TEST_CASE(poll_alarm_rings_once) {
  wrong(model::plant::poll_alarm_rings_once, 1, false, alarms_serve_again<10, 30>, "deadlock");
}
BOOST_AUTO_TEST_CASE(leaver_heeds_dead_alarms) {
  wrong(model::plant::leaver_heeds_dead_alarms, 1, false, ends_with_an_alarm, "livelock");
}
BOOST_AUTO_TEST_CASE(poll_alarm_stays_late) {
  wrong(model::plant::poll_alarm_stays_late, 1, false, alarms_serve_again<100, 20>, "too late");
}
// The waiter that stays queued lies on a stack that others use by then.
BOOST_AUTO_TEST_CASE(poll_leaver_stays_queued) {
  wrong(model::plant::poll_leaver_stays_queued, 2, false, stops_then_reads, "", false);
}
BOOST_AUTO_TEST_SUITE_END()
