// SPDX-License-Identifier: BSL-1.0
//
// Channels whose sends and receives may end by a deadline or a stop request, against the other side, against close, and
// against each other; between plain threads, and with fibers.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <stdexcept>

#include "channel_scenarios.hpp"
#include "heddle/channel.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"

namespace {

using namespace std::chrono_literals;

using heddle::channel_status;
using heddle::detail::stop_source;

template <int Capacity>
void receive_with_deadline() {
  channel<number> c(Capacity);
  ledger book;
  {
    model::thread receiver([&] { book.note(c.receive_for(300ns)); });
    if (c.send_for(make(1), 400ns)) book.note_sent(1);
  }
  book.settle(c);
}

template <int Capacity>
void two_senders_with_deadline() {
  channel<number> c(Capacity);
  ledger book;
  {
    const auto send = [&](int n, std::chrono::nanoseconds d) {
      number value = make(n);
      if (c.send_for(std::move(value), d))
        book.note_sent(n);
      else
        check_kept(value);
    };
    model::thread one([&] { send(1, 300ns); });
    model::thread two([&] { send(10, 400ns); });
    book.note(c.receive_for(500ns));
  }
  book.settle(c);
}

template <int Capacity>
void stops_on_both_sides() {
  channel<number> c(Capacity);
  stop_source stop;
  ledger book;
  {
    model::thread sender([&] {
      number value = make(1);
      if (c.send(std::move(value), stop.get_token()))
        book.note_sent(1);
      else
        check_kept(value);
    });
    model::thread receiver([&] {
      auto n = c.receive(stop.get_token());
      model::check(n || n.status() == channel_status::stopped, "ended for no reason");
      book.note(n);
    });
    stop.request_stop();
  }
  book.settle(c);
}

/// One with bounds stands before one without: when it has given up, the other must be served.
void the_patient_is_served() {
  channel<int> c;
  stop_source stop;
  int got = 0;
  {
    model::thread impatient([&] {
      if (auto n = c.receive_for(200ns, stop.get_token())) got += *n;
    });
    model::thread patient([&] {
      if (auto n = c.receive()) got += *n;
    });
    stop.request_stop();
    c.send(5);
    c.close();
  }
  model::check(got == 5, "a value was lost or came twice");
}

/// Neither gives up, though one could: they must meet.
template <bool SenderHasToken>
void the_patient_meet() {
  channel<int> c;
  stop_source nobody_stops;
  const auto token = nobody_stops.get_token();
  model::thread receiver([&] {
    if (SenderHasToken)
      model::check(c.receive() == 1, "the value was lost");
    else
      model::check(c.receive(token).value_or(0) == 1, "nothing came");
  });
  if (SenderHasToken)
    model::check(c.send(1, token), "a receiver was not seen");
  else
    c.send(1);
}

void close_meets_deadlines() {
  channel<number> in, out;
  model::thread receiver([&] {
    const auto how = in.receive_for(300ns).status();
    model::check(how == channel_status::closed || how == channel_status::timed_out, "a value from nowhere");
  });
  model::thread sender([&] {
    number value = make(1);
    try {
      model::check(!out.send_for(std::move(value), 300ns), "sent to nobody");
    } catch (const heddle::channel_closed&) {
    }
    check_kept(value);
  });
  in.close();
  out.close();
}

template <bool WithDeadline>
void a_move_throws() {
  channel<touchy> c;
  bool throws = true;
  int got = 0;
  int caught = 0;
  {
    model::thread receiver([&] {
      for (;;) {
        try {
          auto value = WithDeadline ? c.receive_for(1h) : c.receive(heddle::detail::stop_token());
          if (!value) continue;  // an hour may pass early
          got = value->n;
          return;
        } catch (const std::runtime_error&) {
          ++caught;
        }
      }
    });
    touchy value(&throws, 7);
    for (bool sent = false; !sent;) {
      try {
        c.send(std::move(value));
        sent = true;
      } catch (const std::runtime_error&) {
        model::check(value.n == 7, "the value of a send that threw is gone");
        ++caught;
      }
    }
  }
  model::check(got == 7 && caught == 1, "a value or an exception was lost or came twice");
}

template <unsigned Procs>
void fibers_with_bounds() {
  channel<number> c;
  ledger book;
  stop_source stop;
  heddle::run(
      [&] {
        auto receiver = heddle::spawn([&] { book.note(c.receive_for(3'000ns, stop.get_token())); });
        auto sender = heddle::spawn([&] {
          number value = make(1);
          if (c.send_for(std::move(value), 4'000ns))
            book.note_sent(1);
          else
            check_kept(value);
        });
        stop.request_stop();
        sender.join();
        receiver.join();
      },
      {.procs = Procs, .monitor = false});
  book.settle(c);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(receive_deadline) { right(threads, receive_with_deadline<0>); }
BOOST_AUTO_TEST_CASE(receive_deadline_buffered) { right(threads, receive_with_deadline<1>); }
BOOST_AUTO_TEST_CASE(send_deadlines) { right(threads, two_senders_with_deadline<0>); }
BOOST_AUTO_TEST_CASE(send_deadlines_buffered) { right(threads, two_senders_with_deadline<1>); }
BOOST_AUTO_TEST_CASE(stops) { right(threads, stops_on_both_sides<0>); }
BOOST_AUTO_TEST_CASE(stops_buffered) { right(threads, stops_on_both_sides<1>); }
BOOST_AUTO_TEST_CASE(patient_behind_impatient) { right(threads, the_patient_is_served); }
BOOST_AUTO_TEST_CASE(patient_sender) { right(threads, the_patient_meet<true>); }
BOOST_AUTO_TEST_CASE(patient_receiver) { right(threads, the_patient_meet<false>); }
BOOST_AUTO_TEST_CASE(close_and_deadlines) { right(threads, close_meets_deadlines); }
BOOST_AUTO_TEST_CASE(move_throws_with_deadline) { right(threads, a_move_throws<true>); }
BOOST_AUTO_TEST_CASE(move_throws_with_token) { right(threads, a_move_throws<false>); }
BOOST_AUTO_TEST_CASE(fibers_one_processor) { right(fibers, fibers_with_bounds<1>); }
BOOST_AUTO_TEST_CASE(fibers_two_processors) { right(fibers, fibers_with_bounds<2>); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(taken_without_claim) {
  wrong(model::plant::taken_without_claim, threads, two_senders_with_deadline<0>);
}
BOOST_AUTO_TEST_CASE(timed_out_stays_queued) {
  wrong(model::plant::timed_out_stays_queued, threads, the_patient_is_served);
}
BOOST_AUTO_TEST_CASE(claimed_though_not_served) {
  wrong(model::plant::claimed_though_not_served, threads, a_move_throws<true>);
}
BOOST_AUTO_TEST_SUITE_END()
