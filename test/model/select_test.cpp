// SPDX-License-Identifier: BSL-1.0
//
// Selects against sends, receives, close, bounds and each other, between plain threads and with fibers; and timers
// against those who stop and reset them.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <memory>
#include <stdexcept>

#include "channel_scenarios.hpp"
#include "heddle/channel.hpp"
#include "heddle/fiber.hpp"
#include "heddle/run.hpp"
#include "heddle/select.hpp"
#include "heddle/this_fiber.hpp"
#include "heddle/ticker.hpp"

namespace {

using namespace std::chrono_literals;

using heddle::detail::stop_source;

/// Receives from either, and says so in the book.
std::size_t take_one(ledger& book, channel<number>& a, channel<number>& b) {
  heddle::receive_case from_a{a}, from_b{b};
  const std::size_t chosen = heddle::select(from_a, from_b);
  book.note(chosen == 0 ? from_a.result() : from_b.result());
  model::check(!(from_a.result() && from_b.result()), "two cases of one select were done");
  return chosen;
}

template <int Capacity>
void select_meets_two_senders() {
  channel<number> a(Capacity), b(Capacity);
  ledger book;
  {
    const auto send = [&](channel<number>& c, int n) {
      c.send(make(n));
      book.note_sent(n);
    };
    model::thread one([&] { send(a, 1); });
    model::thread two([&] { send(b, 10); });
    take_one(book, a, b);
    take_one(book, b, a);
  }
  book.settle(a);
  book.settle(b);
}

/// Two selects wait at the same two channels, named in opposite orders, for one value in each.
void two_selects_meet_two_senders() {
  channel<number> a, b;
  ledger book;
  {
    model::thread one([&] { take_one(book, a, b); });
    model::thread two([&] { take_one(book, b, a); });
    a.send(make(1));
    b.send(make(10));
    book.note_sent(11);
  }
  book.settle(a);
  book.settle(b);
}

/// One that sends and one that receives, at two channels.
void selects_meet_each_other() {
  channel<number> a, b;
  ledger book;
  {
    model::thread receiver([&] { take_one(book, a, b); });
    heddle::send_case to_b{b, make(10)}, to_a{a, make(1)};
    const std::size_t chosen = heddle::select(to_b, to_a);
    book.note_sent(chosen == 0 ? 10 : 1);
    check_kept(chosen == 0 ? to_a.value() : to_b.value());
  }
  book.settle(a);
}

/// A select that is served by one channel stands in the queue of the other before a receiver without bounds.
void a_select_swallows_no_wakeup() {
  channel<number> a, b;
  ledger book;
  {
    model::thread chooser([&] { take_one(book, a, b); });
    model::thread receiver([&] { book.note(b.receive()); });
    a.send(make(1));
    book.note_sent(1);
    bool more = b.try_send(make(10));
    if (more) book.note_sent(10);
    b.close();
  }
  book.settle(a);
}

/// Everybody sends and receives on one channel in one select, and meets another, never itself. The last one is left
/// over.
void selects_in_both_directions() {
  channel<int> c;
  heddle::detail::atomic<int> sent{0}, received{0};
  {
    const auto meet = [&] {
      heddle::send_case to{c, 1};
      heddle::receive_case from{c}, again{c};
      const std::size_t chosen = heddle::select(from, to, again);
      if (chosen == 1)
        sent.fetch_add(1, std::memory_order_relaxed);
      else if (from.result() || again.result())
        received.fetch_add(1, std::memory_order_relaxed);
    };
    model::thread one(meet);
    model::thread two(meet);
    model::thread three(meet);
    meet();
  }
  model::check(sent.load(std::memory_order_relaxed) == 2 && received.load(std::memory_order_relaxed) == 2,
               "a select met itself, or two others");
}

void close_meets_select() {
  channel<number> in, out;
  {
    model::thread chooser([&] {
      heddle::receive_case from{in};
      heddle::send_case to{out, make(1)};
      try {
        model::check(heddle::select(from, to) == 0 && !from.result(), "a value from nowhere");
      } catch (const heddle::channel_closed&) {
      }
      check_kept(to.value());
    });
    model::thread closer([&] { out.close(); });
    in.close();
  }
}

/// Deadline, stop and sender at once; the channels die as soon as the select has returned.
void bounds_meet_select() {
  stop_source stop;
  heddle::detail::atomic<int> sent{0};
  int got = 0;
  const auto token = stop.get_token();
  auto a = std::make_shared<channel<int>>(), b = std::make_shared<channel<int>>();
  model::thread chooser([&, token] {
    channel<int> own;
    heddle::receive_case from_own{own}, from_a{*a}, from_b{*b};
    switch (heddle::select(from_own, from_b, from_a, heddle::on_timeout(300ns), heddle::on_stop(token))) {
      case 1: got = from_b.result().value(); break;
      case 2: got = from_a.result().value(); break;
    }
  });
  model::thread sender([&] {
    if (a->send_for(7, 300ns)) sent.store(7, std::memory_order_relaxed);
  });
  stop.request_stop();
  sender.join();
  chooser.join();
  model::check(got == sent.load(std::memory_order_relaxed), "a value was lost or came twice");
}

/// The receiver of the last value destroys what it came by, while the select that sent it still returns.
void the_chosen_channel_dies_early() {
  channel<int> other;
  auto* const c = new channel<int>;
  model::thread chooser([&] {
    heddle::receive_case never{other};
    heddle::send_case to{*c, 7};
    model::check(heddle::select(never, to) == 1, "a value from nowhere");
  });
  model::check(c->receive() == 7, "another value");
  delete c;
}

void a_move_to_a_select_throws() {
  channel<touchy> a, b;
  bool throws = true;
  int got = 0, caught = 0;
  {
    model::thread chooser([&] {
      for (;;) {
        try {
          heddle::receive_case from_a{a}, from_b{b};
          auto& result = heddle::select(from_a, from_b) == 0 ? from_a.result() : from_b.result();
          got = result->n;
          return;
        } catch (const std::runtime_error&) {
          ++caught;
        }
      }
    });
    touchy value(&throws, 7);
    for (bool sent = false; !sent;) {
      try {
        (caught ? b : a).send(std::move(value));
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
void fibers_select() {
  channel<number> a, b;
  ledger book;
  heddle::run(
      [&] {
        auto one = heddle::spawn([&] { take_one(book, a, b); });
        auto two = heddle::spawn([&] {
          heddle::receive_case from_b{b}, from_a{a};
          switch (heddle::select(from_b, from_a, heddle::on_timeout(3'000ns))) {
            case 0: book.note(from_b.result()); break;
            case 1: book.note(from_a.result()); break;
          }
        });
        number value = make(10);
        if (b.send_for(std::move(value), 2'000ns))
          book.note_sent(10);
        else
          check_kept(value);
        if (a.try_send(make(1))) book.note_sent(1);
        a.close();
        b.close();
        one.join();
        two.join();
      },
      {.procs = Procs, .monitor = false});
  book.settle(a);
}

// --- timers ----------------------------------------------------------------------------------------------

/// Stopped while it fires, perhaps: either its value is received or stop() says that it is not, and none comes after.
void timer_is_stopped() {
  heddle::run(
      [] {
        heddle::timer t(2'000ns);
        heddle::this_fiber::sleep_for(1'500ns);
        const bool fired = t.channel().try_receive().has_value();
        const bool pending = t.stop();
        model::check(fired != pending, "stop() and receive() do not agree");
        model::check(!t.channel().try_receive(), "a stale value");
        heddle::this_fiber::sleep_for(3'000ns);
        model::check(!t.channel().try_receive(), "a value after stop()");
      },
      {.procs = 2, .monitor = false});
}

/// Reset while it fires: what is received is of the new deadline.
void timer_is_reset() {
  heddle::run(
      [] {
        heddle::timer t(2'000ns);
        heddle::this_fiber::sleep_for(1'500ns);
        const auto now = heddle::timer::time_point(std::chrono::nanoseconds(heddle::detail::monotonic_now()));
        t.reset(5'000ns);
        model::check(t.channel().receive().value() - now >= 5'000ns, "a stale value");
        model::check(!t.stop(), "it is to fire twice");
      },
      {.procs = 2, .monitor = false});
}

/// A ticker of the shortest period, on a processor that nobody takes away: it ticks as often as a fiber receives, lets
/// others run, and does not tick after stop().
template <unsigned Procs>
void ticker_of_a_nanosecond() {
  heddle::run(
      [] {
        heddle::ticker t(1ns);
        heddle::ticker::time_point last{};
        for (int i = 0; i < 3; ++i) {
          const auto now = t.channel().receive().value();
          model::check(now > last, "a tick came twice");
          last = now;
          if (i == 1) heddle::this_fiber::sleep_for(2'000ns);  // while others are left out
        }
        t.stop();
        model::check(!t.channel().try_receive(), "a tick after stop()");
        t.reset(1ns);
        model::check(t.channel().receive().value() > last, "a stale tick");
      },
      {.procs = Procs, .monitor = false});
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(two_senders) { right(threads, select_meets_two_senders<0>); }
BOOST_AUTO_TEST_CASE(two_senders_buffered) { right(threads, select_meets_two_senders<1>); }
BOOST_AUTO_TEST_CASE(two_selects_two_senders) { right(threads, two_selects_meet_two_senders); }
BOOST_AUTO_TEST_CASE(select_meets_select) { right(threads, selects_meet_each_other); }
BOOST_AUTO_TEST_CASE(swallows_no_wakeup) { right(threads, a_select_swallows_no_wakeup); }
BOOST_AUTO_TEST_CASE(duplicates) { right(threads, selects_in_both_directions); }
BOOST_AUTO_TEST_CASE(close) { right(threads, close_meets_select); }
BOOST_AUTO_TEST_CASE(bounds) { right(threads, bounds_meet_select); }
BOOST_AUTO_TEST_CASE(destruction) { right(threads, the_chosen_channel_dies_early); }
BOOST_AUTO_TEST_CASE(throwing_move) { right(threads, a_move_to_a_select_throws); }
BOOST_AUTO_TEST_CASE(fibers_one_processor) { right(fibers, fibers_select<1>); }
BOOST_AUTO_TEST_CASE(fibers_two_processors) { right(fibers, fibers_select<2>); }
BOOST_AUTO_TEST_CASE(timer_stop) { right(fibers, timer_is_stopped); }
BOOST_AUTO_TEST_CASE(timer_reset) { right(fibers, timer_is_reset); }
BOOST_AUTO_TEST_CASE(ticker_one_processor) { right(fibers, ticker_of_a_nanosecond<1>); }
BOOST_AUTO_TEST_CASE(ticker_two_processors) { right(fibers, ticker_of_a_nanosecond<2>); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(taken_without_claim) {
  wrong(model::plant::taken_without_claim, threads, two_selects_meet_two_senders);
}
BOOST_AUTO_TEST_CASE(claimed_though_not_served) {
  wrong(model::plant::claimed_though_not_served, threads, a_move_to_a_select_throws, "deadlock");
}
BOOST_AUTO_TEST_CASE(looks_and_queues_apart) {
  wrong(model::plant::look_and_queue_apart, threads, select_meets_two_senders<0>, "deadlock");
}
BOOST_AUTO_TEST_CASE(loser_stays_queued) {
  wrong(model::plant::loser_stays_queued, threads, two_selects_meet_two_senders);
}
BOOST_AUTO_TEST_CASE(wakeup_swallowed) {
  wrong(model::plant::wakeup_swallowed, threads, two_selects_meet_two_senders, "deadlock");
}
BOOST_AUTO_TEST_CASE(queued_before_asleep) {
  wrong(model::plant::queued_before_asleep, threads, select_meets_two_senders<0>);
}
BOOST_AUTO_TEST_CASE(stale_tick_stays) {
  model::options o = fibers;
  o.executions *= 20;  // found in one of some thousands
  wrong(model::plant::stale_tick_stays, o, timer_is_stopped);
}
BOOST_AUTO_TEST_CASE(room_not_told) {
  wrong(model::plant::room_not_told, fibers, ticker_of_a_nanosecond<1>, "deadlock");
}
BOOST_AUTO_TEST_CASE(fires_though_reset) {
  wrong(model::plant::fires_though_reset, fibers, timer_is_reset, "a stale value");
}
BOOST_AUTO_TEST_SUITE_END()
