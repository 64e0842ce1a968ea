// SPDX-License-Identifier: BSL-1.0
//
// What fibers meet at (thread_mutex, waiter, mutex, wait_group, channel), here between plain
// threads: the primitives are the same for both, and without a scheduler around them many more
// schedules fit into a second.
#include <boost/test/unit_test.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "heddle/channel.hpp"
#include "heddle/detail/thread_mutex.hpp"
#include "heddle/detail/wait.hpp"
#include "heddle/mutex.hpp"
#include "heddle/wait_group.hpp"
#include "model/data.hpp"
#include "model/expect.hpp"
#include "openings.hpp"

namespace {

constexpr model::options random{.executions = 40'000};
constexpr model::options every{.strategy = model::strategy::exhaustive,
                               .executions = 40'000,
                               .stale_reads = 1,
                               .weak_failures = 1,
                               .spurious_wakes = 1};

using openings::warm_up;
BOOST_TEST_GLOBAL_FIXTURE(warm_up);

using scenario = void (*)();
void right(scenario s) {
  model::expect_ok(random, s);
  model::expect_ok(every, s);
}
void wrong(model::plant bug, scenario s, const char* text = "") { openings::wrong(bug, random, s, text); }

/// Two or three threads count under a lock.
template <class Mutex, int Threads>
void counts() {
  Mutex m;
  model::data<int> count{0};
  const auto work = [&] {
    for (int i = 0; i != 2; ++i) {
      std::lock_guard<Mutex> hold(m);
      count = count + 1;
    }
  };
  {
    model::thread one(work);
    std::optional<model::thread<decltype(work)>> two;
    if (Threads > 2) two.emplace(work);
    work();
  }
  model::check(count == 2 * Threads, "an increment was lost");
}

template <class Mutex>
void tries() {
  Mutex m;
  model::data<int> count{0};
  int done = 0;
  {
    model::thread one([&] {
      if (!m.try_lock()) return;
      count = count + 1;
      m.unlock();
    });
    m.lock();
    count = count + 1;
    ++done;
    m.unlock();
  }
  if (m.try_lock())
    m.unlock();
  else
    model::fail("left locked");
  model::check(count >= done, "an increment was lost");
}

/// The mutex may go as soon as the last holder has let another in.
void mutex_dies_early() {
  auto* m = new heddle::mutex;
  heddle::detail::atomic<int> holders{2};
  const auto work = [&] {
    m->lock();
    const bool last = holders.fetch_sub(1, std::memory_order_acq_rel) == 1;
    m->unlock();
    if (last) delete m;
  };
  model::thread one(work);
  work();
}

void waiter_parks_and_wakes() {
  struct {
    heddle::detail::thread_mutex lock;
    heddle::detail::waiter* queued = nullptr;
    model::data<int> value{0};
  } s;
  model::thread sleeper([&] {
    heddle::detail::waiter self;
    s.lock.lock();
    if (s.value == 1) return s.lock.unlock();
    s.queued = &self;
    self.park([](void* lock) { static_cast<heddle::detail::thread_mutex*>(lock)->unlock_in_commit(); }, &s.lock);
    s.lock.unlocked_by_commit();
    model::check(s.value == 1 && self.result == 7, "woken too early");
  });
  s.lock.lock();
  s.value = 1;
  heddle::detail::waiter* const w = s.queued;
  if (w != nullptr) w->result = 7;
  s.lock.unlock();
  if (w != nullptr) w->wake();
}

void group_waits_for_two() {
  heddle::wait_group group(2);
  model::data<int> a{0}, b{0};
  model::thread one([&] {
    a = 1;
    group.done();
  });
  model::thread two([&] {
    b = 1;
    group.done();
  });
  group.wait();
  model::check(a == 1 && b == 1, "the wait ended too early");
}
void group_with_two_waiters_dies_early() {
  auto* group = new heddle::wait_group(1);
  model::data<int> a{0};
  heddle::detail::atomic<int> waiting{2};
  const auto wait = [&] {
    group->wait();
    model::check(a == 1, "the wait ended too early");
    if (waiting.fetch_sub(1, std::memory_order_acq_rel) == 1) delete group;
  };
  model::thread one(wait);
  model::thread two(wait);
  a = 1;
  group->done();
}
void group_is_used_again() {
  heddle::wait_group group;
  for (int i = 0; i != 2; ++i) {
    model::data<int> a{0};
    group.add();
    model::thread one([&] {
      a = i + 1;
      group.done();
    });
    group.wait();
    model::check(a == i + 1, "the wait ended too early");
  }
}

using number = std::unique_ptr<model::data<int>>;
number make(int n) { return std::make_unique<model::data<int>>(n); }

template <int Capacity>
void channel_one_to_one() {
  heddle::channel<number> c(Capacity);
  model::thread sender([&] {
    for (int i = 1; i <= 3; ++i) c.send(make(i));
    c.close();
  });
  int last = 0;
  for (const number& n : c) {
    model::check(*n == last + 1, "out of order");
    last = *n;
  }
  model::check(last == 3, "a value was lost");
}
template <int Capacity>
void channel_two_to_two() {
  heddle::channel<number> c(Capacity);
  int sums[2] = {0, 0};
  {
    const auto receive = [&](int me) {
      while (auto n = c.receive()) sums[me] += **n;
    };
    heddle::wait_group senders(2);
    model::thread s1([&] {
      c.send(make(1));
      senders.done();
    });
    model::thread s2([&] {
      c.send(make(10));
      senders.done();
    });
    model::thread r1([&] { receive(0); });
    model::thread r2([&] { receive(1); });
    senders.wait();
    c.close();
  }
  model::check(sums[0] + sums[1] == 11, "a value was lost or came twice");
}
/// Close meets a blocked or running send and receive: each side learns of it.
void channel_close_meets_sender() {
  heddle::channel<number> c(1);
  int sent = 0, received = 0;
  {
    model::thread sender([&] {
      try {
        for (int i = 1; i <= 3; ++i) {
          c.send(make(i));
          ++sent;
        }
      } catch (const heddle::channel_closed&) {
      }
    });
    model::thread closer([&] { c.close(); });
    while (auto n = c.receive()) ++received;
  }
  model::check(sent == received, "a value was lost or came twice");
}
void channel_close_meets_receivers() {
  heddle::channel<int> c;
  const auto receive = [&] { model::check(!c.receive().has_value(), "a value from nowhere"); };
  model::thread one(receive);
  model::thread two(receive);
  c.close();
}
void channel_close_meets_senders() {
  heddle::channel<int> c;
  int refused = 0;
  {
    const auto send = [&] {
      try {
        c.send(1);
      } catch (const heddle::channel_closed&) {
        ++refused;
      }
    };
    model::thread one(send);
    model::thread two(send);
    c.close();
  }
  model::check(refused == 2, "sent to nobody");
}
void channel_tries() {
  heddle::channel<number> c(1);
  int received = 0, sent = 0;
  {
    model::thread sender([&] {
      for (int i = 0; i != 2; ++i) sent += c.try_send(make(1));
    });
    model::thread receiver([&] {
      for (int i = 0; i != 2; ++i)
        if (auto n = c.try_receive()) received += **n;
    });
  }
  if (auto n = c.try_receive()) received += **n;
  model::check(sent == received, "a value was lost or came twice");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(as_it_is)
BOOST_AUTO_TEST_CASE(thread_mutex_two) { right(counts<heddle::detail::thread_mutex, 2>); }
BOOST_AUTO_TEST_CASE(thread_mutex_three) { right(counts<heddle::detail::thread_mutex, 3>); }
BOOST_AUTO_TEST_CASE(thread_mutex_tries) { right(tries<heddle::detail::thread_mutex>); }
BOOST_AUTO_TEST_CASE(waiter) { right(waiter_parks_and_wakes); }
BOOST_AUTO_TEST_CASE(mutex_two) { right(counts<heddle::mutex, 2>); }
BOOST_AUTO_TEST_CASE(mutex_three) { right(counts<heddle::mutex, 3>); }
BOOST_AUTO_TEST_CASE(mutex_tries) { right(tries<heddle::mutex>); }
BOOST_AUTO_TEST_CASE(mutex_destroyed_at_once) { right(mutex_dies_early); }
BOOST_AUTO_TEST_CASE(group) { right(group_waits_for_two); }
BOOST_AUTO_TEST_CASE(group_destroyed_at_once) { right(group_with_two_waiters_dies_early); }
BOOST_AUTO_TEST_CASE(group_again) { right(group_is_used_again); }
BOOST_AUTO_TEST_CASE(channel_unbuffered) { right(channel_one_to_one<0>); }
BOOST_AUTO_TEST_CASE(channel_buffered) { right(channel_one_to_one<2>); }
BOOST_AUTO_TEST_CASE(channel_unbuffered_two_to_two) { right(channel_two_to_two<0>); }
BOOST_AUTO_TEST_CASE(channel_buffered_two_to_two) { right(channel_two_to_two<1>); }
BOOST_AUTO_TEST_CASE(close_meets_sender) { right(channel_close_meets_sender); }
BOOST_AUTO_TEST_CASE(close_meets_receivers) { right(channel_close_meets_receivers); }
BOOST_AUTO_TEST_CASE(close_meets_senders) { right(channel_close_meets_senders); }
BOOST_AUTO_TEST_CASE(try_send_try_receive) { right(channel_tries); }
BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(planted)
BOOST_AUTO_TEST_CASE(unlock_without_wake) {
  wrong(model::plant::unlock_without_wake, counts<heddle::detail::thread_mutex, 2>, "deadlock");
}
BOOST_AUTO_TEST_CASE(lock_forgets_sleepers) {
  wrong(model::plant::lock_forgets_sleepers, counts<heddle::detail::thread_mutex, 3>, "deadlock");
}
BOOST_AUTO_TEST_CASE(wake_before_commit_lost) {
  wrong(model::plant::wake_before_commit_lost, waiter_parks_and_wakes, "deadlock");
}
BOOST_AUTO_TEST_CASE(spurious_wake_believed) { wrong(model::plant::spurious_wake_believed, waiter_parks_and_wakes); }
BOOST_AUTO_TEST_CASE(weak_failure_is_success) {
  wrong(model::plant::weak_failure_is_success, counts<heddle::mutex, 2>);
}
BOOST_AUTO_TEST_CASE(unlock_skips_queue) {
  wrong(model::plant::unlock_skips_queue, counts<heddle::mutex, 2>, "deadlock");
}
BOOST_AUTO_TEST_CASE(woken_bit_kept) { wrong(model::plant::woken_bit_kept, counts<heddle::mutex, 3>, "deadlock"); }
BOOST_AUTO_TEST_CASE(waits_for_nobody) { wrong(model::plant::waits_for_nobody, group_waits_for_two, "deadlock"); }
BOOST_AUTO_TEST_CASE(look_and_queue_apart) {
  wrong(model::plant::look_and_queue_apart, channel_close_meets_receivers, "deadlock");
}
BOOST_AUTO_TEST_CASE(close_misses_senders) {
  wrong(model::plant::close_misses_senders, channel_close_meets_senders, "deadlock");
}
BOOST_AUTO_TEST_CASE(receiver_woken_twice) { wrong(model::plant::receiver_woken_twice, channel_two_to_two<0>); }
BOOST_AUTO_TEST_SUITE_END()
