// SPDX-License-Identifier: BSL-1.0
//
// An object that goes from one fiber to another, by every way there is, while one cycle follows the other: the stack
// that it leaves may be scanned after that, and the one that it comes to before.
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/channel.hpp"
#include "heddle/fiber.hpp"
#include "heddle/fiber_local.hpp"
#include "heddle/future.hpp"
#include "heddle/run.hpp"
#include "heddle/select.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "witness.hpp"

namespace {

namespace gc = heddle::gc;
using namespace std::chrono_literals;
using heddle::testing::collect_until;
using heddle::testing::collecting;
using heddle::testing::counted;
using heddle::testing::expect;
using heddle::testing::far_below;
using heddle::testing::is_whole_list;
using heddle::testing::make_list;
using heddle::testing::make_witness;
using heddle::testing::timer;
using heddle::testing::witness;
using token = gc::ptr<witness>;

constexpr auto some_time = 250ms;

/// A list whose first element nobody knows but the caller.
token fresh(std::uint64_t& count) { return make_list(++count % 4); }

/// Runs f on a fiber while the collector is at work.
template <class F>
void while_collecting(F f, unsigned procs = 2) {
  heddle::options o;
  o.procs = procs;
  heddle::run(
      [&] {
        const collecting all_the_time;
        f();
        while (all_the_time.cycles() < 3) heddle::this_fiber::sleep_for(1ms);
      },
      o);
}

/// Both fibers make objects and give them away; each has only what it was given last.
void by_channels(std::size_t capacity, unsigned procs) {
  while_collecting(
      [&] {
        heddle::channel<token> there(capacity), back(capacity);
        auto other = heddle::spawn([&] {
          std::uint64_t made = 0;
          while (std::optional<token> t = there.receive()) {
            expect(is_whole_list(*t));
            back.send(fresh(made));
          }
        });
        std::uint64_t made = 0;
        for (const timer t(some_time); !t.is_over();) {
          there.send(fresh(made));
          expect(is_whole_list(*back.receive()));
        }
        there.close();
        other.join();
      },
      procs);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(handover, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(by_a_channel_without_buffer) {
  by_channels(0, 1);
  by_channels(0, 2);
}

BOOST_AUTO_TEST_CASE(by_a_channel_with_a_buffer) {
  by_channels(1, 1);
  by_channels(4, 2);
}

/// Objects wait in the buffer, which is the only one to have them, while their sender has ended.
BOOST_AUTO_TEST_CASE(only_in_a_buffer) {
  while_collecting([] {
    std::uint64_t made = 0;
    for (const timer t(some_time); !t.is_over();) {
      heddle::channel<token> buffer(16);
      heddle::spawn([&] {
        for (int i = 0; i != 16; ++i) buffer.send(fresh(made));
      }).join();
      heddle::this_fiber::sleep_for(1ms);
      for (int i = 0; i != 16; ++i) expect(is_whole_list(*buffer.receive()));
    }
  });
}

/// A parked select is given an object by a sender, and a sender's object is taken out of a parked select.
BOOST_AUTO_TEST_CASE(by_a_select_in_both_directions) {
  while_collecting([] {
    heddle::channel<token> a, b, back;
    heddle::channel<int> never;
    const auto never_case = [&] { return heddle::on_receive(never, [](std::optional<int>) {}); };
    auto other = heddle::spawn([&] {
      std::uint64_t made = 0;
      for (bool open = true; open;) {
        const auto look = [&](std::optional<token> t) {
          open = t.has_value();
          if (!open) return;
          expect(is_whole_list(*t));
          heddle::select(heddle::on_send(back, fresh(made)), never_case());
        };
        heddle::select(heddle::on_receive(a, look), heddle::on_receive(b, look), never_case());
      }
    });
    std::uint64_t made = 0;
    for (const timer t(some_time); !t.is_over();) {
      heddle::select(heddle::on_send(made % 2 == 0 ? a : b, fresh(made)), never_case());
      heddle::select(heddle::on_receive(back, [](std::optional<token> list) { expect(is_whole_list(*list)); }),
                     never_case());
    }
    a.close();
    other.join();
  });
}

BOOST_AUTO_TEST_CASE(by_a_future) {
  while_collecting([] {
    std::uint64_t made = 0;
    for (const timer t(some_time); !t.is_over();) {
      heddle::promise<token> promise;
      heddle::future<token> future = promise.get_future();
      heddle::go([p = std::move(promise), list = fresh(made)]() mutable { p.set_value(std::move(list)); });
      if (made % 2 == 0) heddle::this_fiber::sleep_for(100us);
      expect(is_whole_list(future.get()));
    }
  });
}

/// What a fiber begins with, and what it returns: each has it alone for a while.
BOOST_AUTO_TEST_CASE(by_closures_and_results) {
  while_collecting([] {
    std::uint64_t made = 0;
    for (const timer t(some_time); !t.is_over();) {
      std::array<heddle::join_handle<token>, 8> fibers;
      for (auto& f : fibers)
        f = heddle::spawn(
            [](token list, std::array<char, 100>) {
              expect(is_whole_list(list));
              return make_witness(list->id + 1, list);
            },
            fresh(made), std::array<char, 100>{});
      heddle::this_fiber::sleep_for(200us);
      for (auto& f : fibers) expect(is_whole_list(f.join()));
    }
  });
}

/// Each fiber gives its object to the next one, which it makes, and ends.
BOOST_AUTO_TEST_CASE(from_fiber_to_fiber) {
  while_collecting([] {
    static std::atomic<int> running;
    static std::atomic<bool> over;
    running = 4;
    over = false;
    struct hop {
      void operator()() const {
        expect(is_whole_list(list));
        if (over)
          --running;
        else
          heddle::go(hop{list});
      }
      token list;
    };
    for (std::uint64_t i = 0; i != 4; ++i) heddle::go(hop{make_list(i)});
    heddle::this_fiber::sleep_for(some_time);
    over = true;
    while (running != 0) heddle::this_fiber::yield();
  });
}

BOOST_AUTO_TEST_CASE(by_a_fiber_local) {
  while_collecting([] {
    static heddle::fiber_local<token> mine;
    std::vector<heddle::join_handle<void>> fibers;
    for (std::uint64_t i = 0; i != 8; ++i)
      fibers.push_back(heddle::spawn([i] {
        for (const timer t(some_time); !t.is_over();) {
          far_below([&] { *mine = make_list(i); });
          heddle::this_fiber::sleep_for(300us);
          expect(is_whole_list(*mine));
        }
      }));
    for (auto& f : fibers) f.join();
  });
}

/// Nothing but parked fibers, of which no processor knows, has the objects; some have them as plain pointers.
BOOST_AUTO_TEST_CASE(only_in_parked_fibers) {
  while_collecting([] {
    heddle::channel<int> go_on;
    std::vector<heddle::join_handle<void>> fibers;
    for (std::uint64_t i = 0; i != 300; ++i)
      fibers.push_back(heddle::spawn([&, i] {
        witness* const list = make_list(i % 5).get();
        static_cast<void>(go_on.receive());
        expect(is_whole_list(list));
      }));
    const std::uint64_t cycles = gc::statistics().cycles;
    while (gc::statistics().cycles < cycles + 4) heddle::this_fiber::sleep_for(1ms);
    go_on.close();
    for (auto& f : fibers) f.join();
  });
}

/// Fibers that are parked nearly all the time, into whose frames another one stores lists that are older than the
/// cycle. In between each runs for a moment, makes something, and parks again.
BOOST_AUTO_TEST_CASE(into_the_frames_of_parked_fibers) {
  while_collecting([] {
    constexpr std::size_t many = 40;
    std::array<token*, many> frames{};
    std::array<heddle::channel<int>, many> wakes;
    heddle::channel<std::size_t> parks(many);  // about to: until it is woken the frame is not its own
    std::vector<heddle::join_handle<void>> fibers;
    for (std::size_t i = 0; i != many; ++i)
      fibers.push_back(heddle::spawn([&, i] {
        token mine = make_list(2);
        frames[i] = &mine;
        parks.send(i);
        while (wakes[i].receive()) {
          expect(is_whole_list(mine));
          mine = make_list(i % 4);
          parks.send(i);
        }
        expect(is_whole_list(mine));
      }));
    std::array<witness*, many> ready{};
    for (const timer t(2 * some_time); !t.is_over();) {
      for (witness*& w : ready) w = make_list(3).get();
      for (std::size_t i = 0; i != many; ++i) static_cast<void>(parks.receive());
      heddle::this_fiber::sleep_for(500us);
      for (std::size_t i = 0; i != many; ++i) *frames[i] = std::exchange(ready[i], nullptr);
      heddle::this_fiber::sleep_for(1ms);
      for (auto& w : wakes) w.send(1);
    }
    for (auto& w : wakes) w.close();
    for (auto& f : fibers) f.join();
  });
}

/// The first fiber, and the thread that waits for it, have objects of their own.
BOOST_AUTO_TEST_CASE(in_the_first_fiber_and_below_it) {
  witness* const outside = make_list(3).get();
  while_collecting([&] {
    witness* const first = make_list(7).get();
    for (const timer t(some_time); !t.is_over();) {
      std::vector<heddle::join_handle<void>> fibers;
      for (std::uint64_t i = 0; i != 20; ++i)
        fibers.push_back(heddle::spawn([i] { expect(is_whole_list(make_list(i))); }));
      for (auto& f : fibers) f.join();
      expect(is_whole_list(first) && is_whole_list(outside));
    }
  });
  BOOST_TEST(is_whole_list(outside));
}

/// A fiber that is over keeps nothing, though its stack is kept for another one.
BOOST_AUTO_TEST_CASE(ended_fibers_keep_nothing) {
  constexpr int many = 200;
  heddle::run([] {
    heddle::channel<int> go_on;
    std::vector<heddle::join_handle<void>> fibers;
    for (int i = 0; i != many; ++i)
      fibers.push_back(heddle::spawn([&] {
        const gc::ptr<counted> mine = gc::make<counted>();
        static_cast<void>(go_on.receive());
        expect(mine != nullptr);
      }));
    while (counted::alive != many) heddle::this_fiber::sleep_for(1ms);
    gc::collect();
    gc::collect();
    expect(counted::alive == many);
    go_on.close();
    for (auto& f : fibers) f.join();
    fibers.clear();
    // A word of a machine's stack may still be the address of one of the last.
    expect(collect_until([] { return counted::alive <= 2; }));
  });
  BOOST_TEST(collect_until([] { return counted::alive == 0; }));
}

/// All fibers wait for the collector: that is no deadlock.
BOOST_AUTO_TEST_CASE(all_fibers_wait_for_a_cycle) {
  const std::uint64_t cycles = gc::statistics().cycles;
  heddle::run([] {
    std::vector<heddle::join_handle<void>> fibers;
    for (int i = 0; i != 20; ++i)
      fibers.push_back(heddle::spawn([] {
        for (int k = 0; k != 3; ++k) gc::collect();
      }));
    for (auto& f : fibers) f.join();
  });
  BOOST_TEST(gc::statistics().cycles >= cycles + 3);
}

BOOST_AUTO_TEST_SUITE_END()
