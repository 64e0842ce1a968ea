// SPDX-License-Identifier: BSL-1.0
//
// Every wait that takes a duration or a time, with all kinds of them: a table of the waits, and tables of the times
// (support/clocks.hpp). How a time becomes a deadline: test/runtime/deadline_test.cpp.
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include "heddle/heddle.hpp"
#include "support/clocks.hpp"
#include "support/crew.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

namespace {

using namespace std::chrono_literals;
using heddle::testing::crew;
using heddle::testing::kind;
using heddle::testing::late;
using heddle::testing::one_at_a_time;
using heddle::testing::setting;
using heddle::testing::settle;
using heddle::testing::signed_clock;
using heddle::testing::with_crew;
using steady = std::chrono::steady_clock;

/// Calls `wait_for` with a duration, or `wait_until` with a time.
template <class Rep, class Period, class F, class G>
bool timed(std::chrono::duration<Rep, Period> d, F wait_for, G) {
  return static_cast<bool>(wait_for(d));
}
template <class Clock, class Duration, class F, class G>
bool timed(std::chrono::time_point<Clock, Duration> t, F, G wait_until) {
  return static_cast<bool>(wait_until(t));
}

// --- the table of waits ----------------------------------------------------------------------------------
//
// Each is an object to wait at. wait(t) returns whether the wait ended otherwise than by its time; release() makes it
// end so. release() may be called again and again, by the object's maker.

struct sleep_with_stop {
  std::stop_source stop;
  template <class T>
  bool wait(T t) {
    const auto token = stop.get_token();
    return !timed(
        t, [&](auto d) { return heddle::this_fiber::sleep_for(d, token); },
        [&](auto at) { return heddle::this_fiber::sleep_until(at, token); });
  }
  void release() { stop.request_stop(); }
};

template <class Mutex>
struct locked {
  Mutex mutex;
  bool held = true;
  locked() { mutex.lock(); }
  ~locked() { release(); }
  template <class T>
  bool wait(T t) {
    const bool got = timed(
        t, [&](auto d) { return mutex.try_lock_for(d); }, [&](auto at) { return mutex.try_lock_until(at); });
    if (got) mutex.unlock();
    return got;
  }
  void release() {
    if (std::exchange(held, false)) mutex.unlock();
  }
};
struct locked_for_readers : locked<heddle::shared_timed_mutex> {
  template <class T>
  bool wait(T t) {
    const bool got = timed(
        t, [&](auto d) { return mutex.try_lock_shared_for(d); },
        [&](auto at) { return mutex.try_lock_shared_until(at); });
    if (got) mutex.unlock_shared();
    return got;
  }
};

template <class Condition>
struct condition {
  Condition changed;
  heddle::mutex mutex;
  bool happened = false;
  void release() {
    const std::lock_guard hold(mutex);
    happened = true;
    changed.notify_all();
  }
};
template <class Condition>
struct notified : condition<Condition> {
  static constexpr bool wakes_spuriously = true;  // by a clock that has not reached the time, as std's do
  template <class T>
  bool wait(T t) {
    std::unique_lock lock(this->mutex);
    const bool in_time = timed(
        t, [&](auto d) { return this->changed.wait_for(lock, d) == heddle::cv_status::no_timeout; },
        [&](auto at) { return this->changed.wait_until(lock, at) == heddle::cv_status::no_timeout; });
    return in_time && lock.owns_lock();
  }
};
template <class Condition>
struct predicate : condition<Condition> {
  template <class T>
  bool wait(T t) {
    std::unique_lock lock(this->mutex);
    const auto done = [&] { return this->happened; };
    return timed(
        t, [&](auto d) { return this->changed.wait_for(lock, d, done); },
        [&](auto at) { return this->changed.wait_until(lock, at, done); });
  }
};
template <class Condition>
struct predicate_with_stop : condition<Condition> {
  template <class T>
  bool wait(T t) {
    std::unique_lock lock(this->mutex);
    const std::stop_source never;
    const auto token = never.get_token();
    const auto done = [&] { return this->happened; };
    return timed(
        t, [&](auto d) { return this->changed.wait_for(lock, token, d, done); },
        [&](auto at) { return this->changed.wait_until(lock, token, at, done); });
  }
};
template <class Condition>
struct stopped_predicate : condition<Condition> {
  std::stop_source stop;
  template <class T>
  bool wait(T t) {
    std::unique_lock lock(this->mutex);
    const auto token = stop.get_token();
    const auto never = [] { return false; };
    timed(
        t, [&](auto d) { return this->changed.wait_for(lock, token, d, never); },
        [&](auto at) { return this->changed.wait_until(lock, token, at, never); });
    return token.stop_requested();
  }
  void release() { stop.request_stop(); }
};

struct channel_receive {
  heddle::channel<int> c;
  template <class T>
  bool wait(T t) {
    return timed(
        t, [&](auto d) { return c.receive_for(d); }, [&](auto at) { return c.receive_until(at); });
  }
  void release() { (void)c.try_send(1); }
};
struct channel_receive_stop {
  heddle::channel<int> c;
  std::stop_source stop;
  template <class T>
  bool wait(T t) {
    const auto token = stop.get_token();
    const auto how = [](const auto& got) { return got.status() == heddle::channel_status::stopped; };
    return timed(
        t, [&](auto d) { return how(c.receive_for(d, token)); },
        [&](auto at) { return how(c.receive_until(at, token)); });
  }
  void release() { stop.request_stop(); }
};
struct channel_send {
  heddle::channel<int> c;
  template <class T>
  bool wait(T t) {
    const int one = 1;
    return timed(
        t, [&](auto d) { return c.send_for(one, d); }, [&](auto at) { return c.send_until(one, at); });
  }
  void release() { (void)c.try_receive(); }
};
struct channel_send_move {
  heddle::channel<std::unique_ptr<int>> c;
  template <class T>
  bool wait(T t) {
    auto one = std::make_unique<int>(1);
    const bool sent = timed(
        t, [&](auto d) { return c.send_for(std::move(one), d); },
        [&](auto at) { return c.send_until(std::move(one), at); });
    return sent && !one;
  }
  void release() { (void)c.try_receive(); }
};

struct select_arguments {
  heddle::channel<int> c;
  template <class T>
  bool wait(T t) {
    heddle::receive_case from{c};
    return !timed(
        t, [&](auto d) { return heddle::select(from, heddle::on_timeout(d)); },
        [&](auto at) { return heddle::select(from, heddle::on_deadline(at)); });
  }
  void release() { (void)c.try_send(1); }
};
struct select_run_time {
  heddle::channel<int> c;
  template <class T>
  bool wait(T t) {
    heddle::receive_case from{c};
    heddle::select_case* const cases[] = {&from};
    return timed(
        t, [&](auto d) { return heddle::select_for(cases, d); },
        [&](auto at) { return heddle::select_until(cases, at); });
  }
  void release() { (void)c.try_send(1); }
};
struct select_stop {
  heddle::channel<int> c;
  std::stop_source stop;
  template <class T>
  bool wait(T t) {
    heddle::receive_case from{c};
    const auto token = stop.get_token();
    return timed(
        t, [&](auto d) { return heddle::select(from, heddle::on_timeout(d), heddle::on_stop(token)) == 2; },
        [&](auto at) { return heddle::select(from, heddle::on_deadline(at), heddle::on_stop(token)) == 2; });
  }
  void release() { stop.request_stop(); }
};

template <class Future>
struct future_wait {
  heddle::promise<int> p;
  Future f{p.get_future()};
  bool set = false;
  template <class T>
  bool wait(T t) {
    return timed(
        t, [&](auto d) { return f.wait_for(d) == heddle::future_status::ready; },
        [&](auto at) { return f.wait_until(at) == heddle::future_status::ready; });
  }
  void release() {
    if (!std::exchange(set, true)) p.set_value(1);
  }
};

template <class Semaphore>
struct semaphore_acquire {
  Semaphore s{0};
  bool given = false;
  template <class T>
  bool wait(T t) {
    return timed(
        t, [&](auto d) { return s.try_acquire_for(d); }, [&](auto at) { return s.try_acquire_until(at); });
  }
  void release() {
    if (!std::exchange(given, true)) s.release();
  }
};

/// The count of a latch or a wait_group, as an object to wait at.
template <class Waitable>
struct count {
  Waitable w;
  bool down = false;
  count() requires std::is_same_v<Waitable, heddle::latch> : w(1) {}
  count() { w.add(1); }
  ~count() { release(); }
  template <class T>
  bool wait(T t) {
    return timed(
        t, [&](auto d) { return w.wait_for(d); }, [&](auto at) { return w.wait_until(at); });
  }
  void release() {
    if (std::exchange(down, true)) return;
    if constexpr (requires { w.done(); })
      w.done();
    else
      w.count_down();
  }
};
struct barrier_wait {
  heddle::barrier<> b{2};
  heddle::barrier<>::arrival_token token = b.arrive();
  bool there = false;
  template <class T>
  bool wait(T t) {
    return timed(
        t, [&](auto d) { return b.wait_for(token, d); }, [&](auto at) { return b.wait_until(token, at); });
  }
  void release() {
    if (!std::exchange(there, true)) (void)b.arrive();
  }
};

/// use.operator()<Entry>(name) for each.
template <class Use>
void with_waits(Use use) {
  using heddle::condition_variable;
  using heddle::condition_variable_any;
  use.template operator()<sleep_with_stop>("sleep");
  use.template operator()<locked<heddle::timed_mutex>>("timed_mutex");
  use.template operator()<locked<heddle::recursive_timed_mutex>>("recursive_timed_mutex");
  use.template operator()<locked<heddle::shared_timed_mutex>>("shared_timed_mutex, writers");
  use.template operator()<locked_for_readers>("shared_timed_mutex, readers");
  use.template operator()<notified<condition_variable>>("condition_variable");
  use.template operator()<predicate<condition_variable>>("condition_variable, predicate");
  use.template operator()<predicate_with_stop<condition_variable>>("condition_variable, stop, predicate");
  use.template operator()<stopped_predicate<condition_variable>>("condition_variable, stopped");
  use.template operator()<notified<condition_variable_any>>("condition_variable_any");
  use.template operator()<predicate<condition_variable_any>>("condition_variable_any, predicate");
  use.template operator()<predicate_with_stop<condition_variable_any>>("condition_variable_any, stop, predicate");
  use.template operator()<stopped_predicate<condition_variable_any>>("condition_variable_any, stopped");
  use.template operator()<channel_receive>("receive");
  use.template operator()<channel_receive_stop>("receive, stop");
  use.template operator()<channel_send>("send");
  use.template operator()<channel_send_move>("send, moved");
  use.template operator()<select_arguments>("select");
  use.template operator()<select_run_time>("select over cases known at run time");
  use.template operator()<select_stop>("select, stop");
  use.template operator()<future_wait<heddle::future<int>>>("future");
  use.template operator()<future_wait<heddle::shared_future<int>>>("shared_future");
  use.template operator()<semaphore_acquire<heddle::semaphore>>("semaphore");
  use.template operator()<semaphore_acquire<heddle::counting_semaphore<7>>>("counting_semaphore");
  use.template operator()<semaphore_acquire<heddle::binary_semaphore>>("binary_semaphore");
  use.template operator()<count<heddle::latch>>("latch");
  use.template operator()<count<heddle::wait_group>>("wait_group");
  use.template operator()<barrier_wait>("barrier");
}

// --- what is done with it --------------------------------------------------------------------------------

constexpr setting settings[] = {one_at_a_time, {kind::threads, 1, false}};

/// A fiber or thread that waits at an object of the table until `t`.
template <class Entry>
class waiting {
 public:
  template <class T>
  waiting(crew& all, T t) {
    // As a function object: so the code that starts fibers and threads is not compiled for each pair of wait and time.
    all.start(std::function<void()>([this, t] {
      ended_otherwise_ = object_.wait(t);
      ended_ = true;
    }));
  }
  /// Lets others run until the wait has ended, or for so long.
  bool ends_within(std::chrono::nanoseconds d) {
    settle();
    for (const auto end = steady::now() + d; !ended_ && steady::now() < end;) heddle::this_fiber::sleep_for(50us);
    return ended_;
  }
  /// Ends the wait by release(). Returns whether the wait says so.
  bool released() {
    do object_.release();
    while (!ends_within(1ms));
    return ended_otherwise_;
  }

 private:
  Entry object_;
  std::atomic<bool> ended_{false};
  bool ended_otherwise_ = false;
};

template <class Entry, class T>
void returns_at_once(const char* wait, const char* time, crew& all, T t) {
  waiting<Entry> w(all, t);
  const bool ended = w.ends_within(late);
  BOOST_CHECK_MESSAGE(ended, wait << ", " << time << ": has not returned");
  BOOST_CHECK_MESSAGE(!w.released(), wait << ", " << time << ": got what was not there");
  all.join();
}

template <class Entry, class T>
void waits_for_ever(const char* wait, const char* time, crew& all, T t) {
  waiting<Entry> w(all, t);
  BOOST_CHECK_MESSAGE(!w.ends_within(200us), wait << ", " << time << ": has not waited");
  BOOST_CHECK_MESSAGE(w.released(), wait << ", " << time << ": did not get what was there");
  all.join();
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(times, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(what_has_passed_ends_every_wait_at_once) {
  for (const auto& s : settings)
    with_crew(s, [](crew& all) {
      with_waits([&]<class Entry>(const char* wait) {
        const auto check = [&](const char* time, auto t) { returns_at_once<Entry>(wait, time, all, t); };
        heddle::testing::with_durations_over(check);
        heddle::testing::with_times_over(check);
      });
    });
}

BOOST_AUTO_TEST_CASE(what_never_comes_ends_no_wait) {
  for (const auto& s : settings)
    with_crew(s, [](crew& all) {
      with_waits([&]<class Entry>(const char* wait) {
        const auto check = [&](const char* time, auto t) { waits_for_ever<Entry>(wait, time, all, t); };
        heddle::testing::with_durations_for_ever(check);
        heddle::testing::with_times_never(check);
      });
    });
}

// A clock that was set back during a wait is waited for again; a time that has come is believed.
BOOST_AUTO_TEST_CASE(a_clock_that_was_set_is_asked_again) {
  for (const auto& s : settings)
    with_crew(s, [](crew& all) {
      with_waits([&]<class Entry>(const char* wait) {
        if constexpr (requires { Entry::wakes_spuriously; }) return;
        signed_clock::shows = 0;
        waiting<Entry> w(all, heddle::testing::count<signed_clock>(1'000'000));
        BOOST_CHECK_MESSAGE(!w.ends_within(2ms), wait << ": has not asked the clock again");
        signed_clock::shows = -1'000'000;
        BOOST_CHECK_MESSAGE(!w.ends_within(3ms), wait << ": has not asked the clock again");
        signed_clock::shows = 1'000'000;
        BOOST_CHECK_MESSAGE(w.ends_within(late), wait << ": has not seen the clock's time");
        BOOST_CHECK_MESSAGE(!w.released(), wait);
        all.join();
      });
    });
}

BOOST_AUTO_TEST_CASE(no_wait_is_too_short) {
  with_crew(one_at_a_time, [](crew& all) {
    with_waits([&]<class Entry>(const char* wait) {
      const auto check = [&](auto t, steady::duration at_least) {
        Entry object;
        all.start(std::function<void()>([&] {
          const auto begin = steady::now();
          BOOST_CHECK_MESSAGE(!object.wait(t), wait);
          BOOST_CHECK_MESSAGE(steady::now() - begin >= at_least, wait);
        }));
        all.join();
      };
      check(std::chrono::duration<double>(0.0002), 200us);
      check(std::chrono::duration<std::uint8_t, std::milli>(1), 1ms);
      check(steady::now() + 200us, 0us);
      const auto t = std::chrono::system_clock::now() + 200us;
      check(t, 0us);
      BOOST_CHECK_MESSAGE(std::chrono::system_clock::now() >= t, wait);
    });
  });
}

BOOST_AUTO_TEST_CASE(sleep_without_an_end_but_time) {
  for (const auto& s : settings)
    with_crew(s, [](crew& all) {
      std::atomic<int> ended{0}, begun{0};
      const auto check = [&](const char*, auto t) {
        ++begun;
        all.start([&, t] {
          timed(
              t, [](auto d) { return heddle::this_fiber::sleep_for(d), true; },
              [](auto at) { return heddle::this_fiber::sleep_until(at), true; });
          ++ended;
        });
        all.join();
      };
      heddle::testing::with_durations_over(check);
      heddle::testing::with_times_over(check);
      BOOST_TEST(ended.load() == begun.load());
      signed_clock::shows = 0;
      std::atomic<bool> slept{false};
      all.start([&] {
        heddle::this_fiber::sleep_until(heddle::testing::count<signed_clock>(1'000'000));
        slept = true;
      });
      heddle::this_fiber::sleep_for(3ms);
      BOOST_TEST(!slept);
      signed_clock::shows = 1'000'000;
      all.join();
      BOOST_TEST(slept);
    });
}

// --- objects that are made with a time -------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(groups) {
  with_crew(one_at_a_time, [](crew&) {
    const auto times_out = [](heddle::group_options o) {
      heddle::group g(o);
      g.spawn([](std::stop_token stop) { heddle::this_fiber::sleep_for(late, stop); });
      BOOST_CHECK_THROW(g.wait(), heddle::deadline_exceeded);
    };
    const auto lasts = [](heddle::group_options o) {
      heddle::group g(o);
      heddle::this_fiber::sleep_for(100us);
      BOOST_TEST(g.spawn([] {}));
      BOOST_CHECK_NO_THROW(g.wait());
    };
    heddle::testing::with_durations_over([&](const char*, auto d) { times_out({.timeout = d}); });
    heddle::testing::with_durations_for_ever([&](const char*, auto d) { lasts({.timeout = d}); });
    times_out({.deadline = steady::time_point::min()});
    times_out({.deadline = heddle::testing::at<steady>(std::chrono::hours::min())});
    times_out({.deadline = steady::now() - 1ns});
    lasts({.deadline = steady::time_point::max()});
    lasts({.deadline = heddle::testing::at<steady>(std::chrono::hours::max())});
    // They are still of the types of std.
    heddle::group_options o;
    BOOST_TEST((o.timeout == std::chrono::nanoseconds::max() && o.deadline == steady::time_point::max()));
    o.timeout = 5ms;
    o.deadline = steady::time_point(1h);
    const std::chrono::nanoseconds timeout = o.timeout;
    const steady::time_point deadline = o.deadline;
    BOOST_TEST((timeout == 5ms && o.timeout + 1ms == 6ms && deadline == steady::time_point(1h)));
  });
}

BOOST_AUTO_TEST_CASE(timers) {
  with_crew(one_at_a_time, [](crew&) {
    heddle::testing::with_durations_over([](const char* name, auto d) {
      heddle::timer t(d);
      BOOST_CHECK_MESSAGE(t.channel().receive_for(late), name);
      t.reset(d);
      BOOST_CHECK_MESSAGE(t.channel().receive_for(late), name);
      BOOST_CHECK_MESSAGE(heddle::after(d).channel().receive_for(late), name);
    });
    heddle::testing::with_durations_for_ever([](const char* name, auto d) {
      heddle::timer t(d);
      BOOST_CHECK_MESSAGE(!t.channel().receive_for(100us), name);
      BOOST_CHECK_MESSAGE(t.reset(d), name);
      BOOST_CHECK_MESSAGE(!t.channel().receive_for(100us), name);
      BOOST_CHECK_MESSAGE(t.stop(), name);
    });
  });
}

BOOST_AUTO_TEST_CASE(slices) {
  heddle::options o;
  o.slice = std::chrono::microseconds::max();
  int runs = 0;
  heddle::run([&] { heddle::spawn([&] { ++runs; }).join(); }, o);
  BOOST_TEST(runs == 1);
}

// --- a clock that fails ----------------------------------------------------------------------------------

struct broken_clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<broken_clock>;
  [[maybe_unused]] static constexpr bool is_steady = false;
  static time_point now() { throw std::runtime_error("the clock is broken"); }
};

BOOST_AUTO_TEST_CASE(what_a_clock_throws_comes_out) {
  with_crew(one_at_a_time, [](crew& all) {
    with_waits([&]<class Entry>(const char* wait) {
      Entry object;
      all.start(std::function<void()>([&] {
        BOOST_CHECK_THROW(object.wait(broken_clock::time_point()), std::runtime_error);
        BOOST_CHECK_MESSAGE(!object.wait(-1ns), wait);  // and nothing is left locked or queued
      }));
      all.join();
    });
  });
}

BOOST_AUTO_TEST_SUITE_END()
