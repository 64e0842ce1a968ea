// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <mutex>
#include <vector>

#include "runtime/reserve/reserve.hpp"

namespace heddle::testing::reserve {
namespace {

heddle::mutex* contended = nullptr;
heddle::wait_group* group = nullptr;
heddle::condition_variable* changed = nullptr;
heddle::semaphore* room = nullptr;
heddle::barrier<>* step_of_two = nullptr;
heddle::once_flag* once = nullptr;

[[gnu::noinline]] void waits() { group->wait(); }
[[gnu::noinline]] void ends() { group->done(); }
[[gnu::noinline]] void ends_soon() { group->wait_for(2ms); }
[[gnu::noinline]] void waits_for_change() {
  std::unique_lock lock(*contended);
  changed->wait(lock);
}
[[gnu::noinline]] void waits_in_time() {
  std::unique_lock lock(*contended);
  changed->wait_for(lock, 1ms);
}
[[gnu::noinline]] void notifies() { changed->notify_one(); }
[[gnu::noinline]] void notifies_all() { changed->notify_all(); }
[[gnu::noinline]] void acquires() { room->acquire(); }
[[gnu::noinline]] void acquires_in_time() { (void)room->try_acquire_for(1ms, 9); }
[[gnu::noinline]] void releases() { room->release(); }
[[gnu::noinline]] void meets() { step_of_two->arrive_and_wait(); }
[[gnu::noinline]] void calls_once() {
  heddle::call_once(*once, [] {});
}
[[gnu::noinline]] void yields() { heddle::this_fiber::yield(); }

}  // namespace

/// What condition variables and their kin need; also of those on whose stacks others' mutexes are unlocked, since that
/// happens when the waiter is off its own.
void conditions() {
  heddle::mutex m;
  heddle::condition_variable c;
  contended = &m;
  changed = &c;
  {
    std::atomic<bool> over{false};
    auto notifier = soon([&] {
      for (; !over; heddle::this_fiber::sleep_for(1ms)) c.notify_one();  // one that comes too early is forgotten
    });
    check<waits_for_change>("wait for a condition");
    over = true;
  }
  check<waits_in_time>("wait for a condition in time", 3);
  for (const bool all : {false, true}) {
    std::atomic<int> awake{3};
    std::vector<heddle::join_handle<void>> waiting;
    for (int i = 0; i != 3; ++i)
      waiting.push_back(heddle::spawn([&, all] {
        all ? waits_in_time() : waits_for_change();
        --awake;
      }));
    heddle::this_fiber::sleep_for(500us);
    check<notifies>("notify");
    check<notifies_all>("notify all");
    for (; awake != 0; heddle::this_fiber::yield()) c.notify_all();  // those who came too late for it
  }
  {
    bool stop = false;
    std::vector<heddle::join_handle<void>> others;
    for (int i = 0; i != 8; ++i)
      others.push_back(heddle::spawn([&, i] {
        std::unique_lock lock(m);
        while (!stop) {
          heddle::this_fiber::yield();  // so that others queue up for the mutex
          if (i % 2 != 0)
            c.wait_for(lock, 100us);
          else
            c.notify_one();
        }
      }));
    check<yields>("yield among those who wait for conditions", 300);
    stop = true;
  }
  heddle::semaphore s(0);
  room = &s;
  {
    auto releaser = soon([&] { s.release(); });
    check<acquires>("acquire");
    check<acquires_in_time>("acquire in time");
    auto waiting = heddle::spawn([&] { s.acquire(); });
    heddle::this_fiber::sleep_for(500us);
    check<releases>("release");
  }
  heddle::barrier<> b(2);
  step_of_two = &b;
  for (int i = 0; i != 2; ++i) {
    auto other = i == 0 ? soon([&] { b.arrive_and_wait(); }) : heddle::spawn([&] { b.arrive_and_wait(); });
    if (i != 0) heddle::this_fiber::sleep_for(500us);
    check<meets>("barrier");
  }
  heddle::once_flag flag;
  once = &flag;
  auto caller = heddle::spawn([&] { heddle::call_once(flag, [] { heddle::this_fiber::sleep_for(2ms); }); });
  heddle::this_fiber::sleep_for(500us);
  check<calls_once>("call once");
  caller.join();
  heddle::wait_group g(1);
  group = &g;
  {
    auto done = soon([&] { g.done(); });
    check<waits>("wait");
  }
  g.add(1);
  auto waiter = heddle::spawn([&] { g.wait(); });
  heddle::this_fiber::yield();
  check<ends>("done");
  waiter.join();
  heddle::wait_group never(1);
  group = &never;
  check<ends_soon>("wait in time");
}

}  // namespace heddle::testing::reserve
