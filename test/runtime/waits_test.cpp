// SPDX-License-Identifier: BSL-1.0
//
// Reports of a deadlock: for each kind of wait, what it waits for; circles; files and lines.
#include "heddle/detail/wait_description.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>

#include "heddle/heddle.hpp"
#include "support/death.hpp"
#include "support/leak_check.hpp"
#include "support/scale.hpp"

// Outside of the unnamed namespace: the report shows the names of exported functions, too.
[[gnu::noinline]] void waits_at_this_line(heddle::channel<int>& c);
constexpr int line_of_wait = __LINE__ + 2;
void waits_at_this_line(heddle::channel<int>& c) {
  (void)c.receive();
  asm volatile("");
}

namespace {

using namespace std::chrono_literals;
using heddle::go;
using heddle::testing::death;
using heddle::testing::death_of;

/// The address of an object as reports print it.
std::string at(const void* object) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", object);
  return text;
}

/// The last words of a program whose fibers f starts; all end up waiting. It may start fibers, and wait itself.
template <class F>
death deadlock_of(F f) {
  return death_of([f] { heddle::run(f, {.procs = 1}); });
}

/// The words of the report about the fiber of that name.
std::string line_of(const death& d, const std::string& name) {
  const std::string start = '"' + name + "\": ";
  const std::size_t from = d.text.find(start);
  if (from == std::string::npos) return "no line of " + name + " in: " + d.text;
  return d.text.substr(from + start.size(), d.text.find('\n', from) - from - start.size());
}

void says(const death& d, const std::string& name, const std::string& words) {
  BOOST_TEST(d.signal == SIGABRT);
  BOOST_TEST(line_of(d, name) == "parked, waits " + words);
}

// Objects of static storage duration, so that their addresses are known here, in the parent.
heddle::channel<int> unbuffered, buffered(2), bounded(2);
heddle::mutex plain;
heddle::timed_mutex timed;
heddle::recursive_mutex recursive, recursive_too;
heddle::shared_mutex shared;
heddle::wait_group batch;
heddle::latch gate(3);
heddle::barrier<> meeting(3);
heddle::counting_semaphore<> permits(1);
heddle::semaphore weights(1);
heddle::once_flag once;
heddle::condition_variable changed;
heddle::mutex of_condition;

}  // namespace

BOOST_FIXTURE_TEST_SUITE(waits, heddle::testing::leak_check)

BOOST_AUTO_TEST_CASE(at_a_channel) {
  const death d = deadlock_of([] {
    buffered.send(1);
    buffered.send(2);
    go({.name = "reader"}, [] { (void)unbuffered.receive(); });
    go({.name = "second"}, [] { (void)unbuffered.receive(); });
    go({.name = "writer"}, [] { buffered.send(3); });
    std::stop_source never;
    (void)bounded.receive(never.get_token());
  });
  says(d, "reader",
       "to receive from channel " + at(&unbuffered) + " (unbuffered, not closed), until a send() or close()");
  says(d, "second",
       "to receive from channel " + at(&unbuffered) + " (unbuffered, not closed), until a send() or close()");
  says(d, "writer", "to send to channel " + at(&buffered) + " (2 of 2, not closed), until a receive() or close()");
  says(d, "main",
       "to receive from channel " + at(&bounded) +
           " (0 of 2, not closed), until a send() or close(), or a stop request");
}

BOOST_AUTO_TEST_CASE(in_a_select) {
  static heddle::channel<int> first, second;
  const death d = deadlock_of([] {
    go({.name = "none"}, [] {
      heddle::receive_case<int> never(nullptr);
      heddle::select(never);
    });
    go({.name = "one"}, [] {
      heddle::receive_case in(first);
      heddle::select(in);
    });
    heddle::receive_case in(first);
    heddle::send_case out(second, 1);
    heddle::select(out, in);
  });
  says(d, "none", "in a select that has no channel, so no case can become ready");
  says(d, "one", "in a select of 1 case: receive from " + at(&first));
  const std::string receive = "receive from " + at(&first), send = "send to " + at(&second);
  says(d, "main", "in a select of 2 cases: " + (&first < &second ? receive + ", " + send : send + ", " + receive));
}

BOOST_AUTO_TEST_CASE(for_a_mutex) {
  const death d = deadlock_of([] {
    plain.lock();
    timed.lock();
    go({.name = "timed"}, [] { timed.lock(); });
    go({.name = "stopped"}, [] {
      std::stop_source never;
      (void)plain.lock(never.get_token());
    });
    plain.lock();
  });
  says(d, "main", "to lock mutex " + at(&plain) + ", until an unlock()");
  says(d, "timed", "to lock mutex " + at(&timed) + ", until an unlock()");
  says(d, "stopped", "to lock mutex " + at(&plain) + ", until an unlock(), or a stop request");
}

BOOST_AUTO_TEST_CASE(for_a_recursive_mutex_whose_owner_is_known) {
  const death d = deadlock_of([] {
    go({.name = "owner"}, [] {
      recursive.lock();
      (void)unbuffered.receive();
    });
    std::thread([] { recursive_too.lock(); }).join();
    go({.name = "second"}, [] { recursive_too.lock(); });
    go({.name = "gone"}, [] {
      static heddle::recursive_mutex left;
      go({.name = "leaves"}, [] { left.lock(); });
      heddle::this_fiber::sleep_for(1ms);
      left.lock();
    });
    heddle::this_fiber::sleep_for(2ms);
    recursive.lock();
  });
  const std::string owns = line_of(d, "main");
  const std::string begin = "parked, waits to lock recursive_mutex " + at(&recursive) + ", which fiber ";
  BOOST_TEST(owns.starts_with(begin), owns);
  BOOST_TEST(owns.ends_with(" \"owner\" owns, until its unlock()"), owns);
  says(d, "second",
       "to lock recursive_mutex " + at(&recursive_too) + ", which a plain thread owns, until its unlock()");
  BOOST_TEST(line_of(d, "gone").ends_with(", which a fiber that has ended owns, until its unlock()"),
             line_of(d, "gone"));
}

BOOST_AUTO_TEST_CASE(for_a_shared_mutex) {
  static heddle::shared_mutex of_writer;
  const death d = deadlock_of([] {
    shared.lock_shared();
    go({.name = "holder"}, [] {
      shared.lock_shared();
      (void)unbuffered.receive();
    });
    heddle::this_fiber::sleep_for(1ms);
    go({.name = "writer"}, [] { shared.lock(); });
    heddle::this_fiber::sleep_for(1ms);
    go({.name = "reader"}, [] { shared.lock_shared(); });
    of_writer.lock();
    go({.name = "behind a writer"}, [] { of_writer.lock_shared(); });
    of_writer.lock();
  });
  says(d, "writer",
       "to lock shared_mutex " + at(&shared) +
           " for writing, until the unlock_shared() of the 2 that hold it for reading");
  says(d, "reader",
       "to lock shared_mutex " + at(&shared) +
           " for reading, until the unlock_shared() of the 2 that hold it for reading, and the turn of a writer that "
           "waits before it");
  says(d, "behind a writer",
       "to lock shared_mutex " + at(&of_writer) + " for reading, until the unlock() of the writer that holds it");
  says(d, "main",
       "to lock shared_mutex " + at(&of_writer) + " for writing, until the unlock() of the writer that holds it");
}

BOOST_AUTO_TEST_CASE(for_a_count) {
  const death d = deadlock_of([] {
    batch.add(2);
    go({.name = "latch"}, [] {
      gate.count_down();
      gate.wait();
    });
    static heddle::promise<int> never;
    go({.name = "future"}, [] { (void)never.get_future().get(); });
    batch.wait();
  });
  says(d, "main", "for wait_group " + at(&batch) + " with a count of 2, until done() has been called so often");
  says(d, "latch", "for latch " + at(&gate) + ", until it has been counted down by 2 more");
  const std::string future = line_of(d, "future");
  BOOST_TEST(future.starts_with("parked, waits for future of the state 0x"), future);
  BOOST_TEST(future.ends_with(", until its promise is set or destroyed"), future);
}

BOOST_AUTO_TEST_CASE(for_the_children_of_a_group) {
  static heddle::group* family = nullptr;
  const death d = deadlock_of([] {
    heddle::group g({.limit = 2});
    std::fprintf(stderr, "group at %p\n", static_cast<void*>(&g));
    family = &g;
    go({.name = "third"}, [] {
      heddle::this_fiber::sleep_for(1ms);
      family->spawn([] {});
    });
    for (int i = 0; i != 2; ++i) g.spawn([] { (void)unbuffered.receive(); });
    g.wait();
  });
  const std::size_t from = d.text.find("group at ") + 9;
  const std::string where = d.text.substr(from, d.text.find('\n', from) - from);
  says(d, "main", "for the children of group " + where + ", 2 of which have not ended");
  says(d, "third", "to spawn into group " + where + ", until one of its 2 running children ends, or a stop request");
}

BOOST_AUTO_TEST_CASE(for_a_semaphore_a_barrier_and_a_call) {
  const death d = deadlock_of([] {
    go({.name = "semaphore"}, [] {
      permits.acquire();
      permits.acquire();
    });
    go({.name = "weights"}, [] { weights.acquire(3); });
    go({.name = "barrier"}, [] { meeting.arrive_and_wait(); });
    go({.name = "caller"}, [] { heddle::call_once(once, [] { (void)unbuffered.receive(); }); });
    heddle::this_fiber::sleep_for(1ms);
    heddle::call_once(once, [] {});
  });
  says(d, "semaphore", "for semaphore " + at(&permits) + " (wants 1, has 0), until a release()");
  says(d, "weights", "for semaphore " + at(&weights) + " (wants 3, has 1), until a release()");
  says(d, "barrier", "for barrier " + at(&meeting) + ", until 2 more arrive (it expects 3)");
  const std::string call = line_of(d, "main");
  BOOST_TEST(call.starts_with("parked, waits for the call of once_flag " + at(&once) + ", which fiber "), call);
  BOOST_TEST(call.ends_with(" \"caller\" makes"), call);
}

BOOST_AUTO_TEST_CASE(for_a_condition) {
  const death d = deadlock_of([] {
    go({.name = "stopped"}, [] {
      std::stop_source never;
      std::unique_lock hold(of_condition);
      changed.wait(hold, never.get_token(), [] { return false; });
    });
    std::unique_lock hold(of_condition);
    changed.wait(hold);
  });
  const std::string words =
      "for a notify at condition_variable " + at(&changed) + " (with mutex " + at(&of_condition) + ")";
  says(d, "main", words);
  says(d, "stopped", words + ", or a stop request");
}

BOOST_AUTO_TEST_CASE(to_join) {
  const death d = deadlock_of([] {
    heddle::spawn(heddle::fiber_options{.name = "joiner"}, [] {
      auto begun = heddle::spawn(heddle::fiber_options{.name = "begun"}, [] { (void)unbuffered.receive(); });
      heddle::this_fiber::sleep_for(1ms);
      begun.join();
    }).join();
  });
  const std::string join = line_of(d, "joiner"), lends = line_of(d, "main");
  BOOST_TEST(join.starts_with("parked, waits to join fiber "), join);
  BOOST_TEST(join.ends_with(" \"begun\""), join);
  BOOST_TEST(lends.starts_with("joins a fiber on its own stack"), lends);
  if (!heddle::testing::sanitized) BOOST_TEST(lends.ends_with(" \"joiner\""), lends);
  BOOST_TEST(!d.says("in a circle"));
}

BOOST_AUTO_TEST_CASE(in_a_circle) {
  const death d = deadlock_of([] {
    const auto crosswise = [](heddle::recursive_mutex& a, heddle::recursive_mutex& b) {
      const std::lock_guard one(a);
      heddle::this_fiber::sleep_for(1ms);
      const std::lock_guard two(b);
    };
    auto left =
        heddle::spawn(heddle::fiber_options{.name = "left"}, crosswise, std::ref(recursive), std::ref(recursive_too));
    auto right =
        heddle::spawn(heddle::fiber_options{.name = "right"}, crosswise, std::ref(recursive_too), std::ref(recursive));
    heddle::this_fiber::yield();
    left.join();
  });
  const std::size_t from = d.text.find("heddle: in a circle: fiber ");
  BOOST_REQUIRE(from != std::string::npos);
  const std::string circle = d.text.substr(from, d.text.find('\n', from) - from);
  for (const char* const name : {"\"left\"", "\"right\""}) BOOST_TEST(circle.find(name) != std::string::npos, circle);
  BOOST_TEST(circle.find("main") == std::string::npos, circle);  // which waits for the circle, but is not in it
  BOOST_TEST(d.text.find("in a circle", from + 12) == std::string::npos);  // once
}

BOOST_AUTO_TEST_CASE(threads_that_wait_are_counted) {
  const death one = deadlock_of([] { (void)unbuffered.receive(); });
  BOOST_TEST(one.says("deadlock (1 fiber; 1 plain thread waits for them)"), one.text);  // the one in run()
  const death two = deadlock_of([] {
    std::thread([] { (void)unbuffered.receive(); }).detach();
    (void)unbuffered.receive();
  });
  BOOST_TEST(two.says("; 2 plain threads wait for them)"), two.text);
}

#ifdef WITH_LINES
BOOST_AUTO_TEST_CASE(show_files_and_lines, *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  const death d = deadlock_of([] { waits_at_this_line(unbuffered); });
  // Before the name of the file there may be the folder in which it was compiled.
  const std::size_t at = d.text.find("waits_at_this_line(heddle::channel<int>&) at ");
  BOOST_TEST_REQUIRE(at != std::string::npos, d.text);
  const std::string line = d.text.substr(at, d.text.find('\n', at) - at);
  BOOST_TEST(line.ends_with("/waits_test.cpp:" + std::to_string(line_of_wait)), line);
  BOOST_TEST(!d.says("heddle::detail::"), d.text);
}
#endif

BOOST_AUTO_TEST_CASE(text_that_does_not_fit_is_cut_off) {
  heddle::run([] {
    heddle::detail::wait_text text(*static_cast<const heddle::detail::fiber*>(heddle::detail::caller()));
    for (int i = 0; i != 1000; ++i) text.say("%d,", i);
    const std::string s = text.text();
    BOOST_TEST(s.size() == 511u);
    BOOST_TEST(s.starts_with("0,1,2,"));
  });
}

BOOST_AUTO_TEST_SUITE_END()
