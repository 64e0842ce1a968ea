// SPDX-License-Identifier: BSL-1.0
//
// Plain threads that come, go, and have objects in their thread-locals and in very large frames.
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "dying.hpp"
#include "heddle/gc/metrics.hpp"
#include "heddle/run.hpp"
#include "heddle/this_fiber.hpp"
#include "support/crew.hpp"
#include "support/scale.hpp"
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
using heddle::testing::timer;
using heddle::testing::witness;

/// Uses the heap when its thread ends, and looks at another variable of the thread.
struct parting {
  ~parting() {
    expect(list == nullptr || is_whole_list(list));
    if (list) expect(is_whole_list(make_list(list->id)));
  }
  gc::ptr<witness> list;
};
thread_local parting at_the_end;
thread_local gc::ptr<counted> own;

/// A key of pthread, whose destructor comes after those of thread-locals; it sets the value again once.
pthread_key_t make_key(std::atomic<int>& called) {
  static pthread_key_t key;
  static std::atomic<int>* calls;
  calls = &called;
  ::pthread_key_create(&key, [](void* value) {
    expect(is_whole_list(make_list(10)));
    ++*calls;
    if (value == &key) ::pthread_setspecific(key, calls);
  });
  return key;
}

/// A frame of 4.8 MB, at whose far end is an address.
[[gnu::noinline]] void in_a_large_frame(const std::atomic<bool>& over) {
  std::array<void*, 600'000> frame{};
  frame[7] = make_list(4).get();
  asm volatile("" : : "r"(frame.data()) : "memory");
  while (!over) std::this_thread::sleep_for(1ms);
  expect(is_whole_list(static_cast<const witness*>(frame[7])));
}

void make_large_stack(pthread_t& thread, std::atomic<bool>& over) {
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  ::pthread_attr_setstacksize(&attributes, std::size_t{8} << 20);
  ::pthread_create(
      &thread, &attributes,
      [](void* o) -> void* {
        in_a_large_frame(*static_cast<std::atomic<bool>*>(o));
        return nullptr;
      },
      &over);
  ::pthread_attr_destroy(&attributes);
}

/// The median gap between the beats of a fiber while cycles follow one another.
std::chrono::nanoseconds usual_gap() {
  std::vector<std::chrono::nanoseconds> gaps;
  heddle::run([&] {
    const collecting all_the_time;
    auto last = std::chrono::steady_clock::now();
    for (const timer t(300ms); !t.is_over();) {
      heddle::this_fiber::sleep_for(200us);
      const auto now = std::chrono::steady_clock::now();
      gaps.push_back(now - last);
      last = now;
    }
    while (all_the_time.cycles() < 3) heddle::this_fiber::sleep_for(1ms);
  });
  std::ranges::nth_element(gaps, gaps.begin() + static_cast<std::ptrdiff_t>(gaps.size() / 2));
  return gaps[gaps.size() / 2];
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(threads, heddle::testing::collected_check)

/// Short ones, some of which end before they are asked to stand still, each with what it has alone.
BOOST_AUTO_TEST_CASE(that_come_and_go) {
  const collecting all_the_time;
  for (const timer t(400ms); !t.is_over() || all_the_time.cycles() < 3;) {
    std::array<std::thread, 4> some;
    for (std::uint64_t i = 0; i != some.size(); ++i)
      some[i] = std::thread([i] {
        at_the_end.list = make_list(10 * i);
        for (int k = 0; k != 3; ++k) expect(is_whole_list(make_list(i)));
        expect(is_whole_list(at_the_end.list));
      });
    for (std::thread& s : some) s.join();
  }
}

BOOST_AUTO_TEST_CASE(that_use_the_heap_when_they_end) {
  static std::atomic<int> called;
  called = 0;
  const pthread_key_t key = make_key(called);
  {
    const collecting all_the_time;
    for (int i = 0; i != 50; ++i)
      std::thread([key] {
        at_the_end.list = make_list(20);
        ::pthread_setspecific(key, "once");
      }).join();
  }
  BOOST_TEST(called == 50);
  ::pthread_key_delete(key);
}

/// What a thread-local keeps dies with its thread.
BOOST_AUTO_TEST_CASE(whose_variables_end_with_them) {
  std::atomic<int> phase{0};
  std::thread thread([&] {
    far_below([] { own = gc::make<counted>(); });
    phase = 1;
    while (phase != 2) std::this_thread::sleep_for(1ms);
  });
  while (phase != 1) std::this_thread::sleep_for(1ms);
  for (int i = 0; i != 2; ++i) gc::collect();
  BOOST_TEST(counted::alive == 1);
  phase = 2;
  thread.join();
  BOOST_TEST(collect_until([] { return counted::alive == 0; }));
}

/// One that only holds an address, which a static variable had when it took it.
BOOST_AUTO_TEST_CASE(that_make_nothing_themselves) {
  static gc::ptr<witness> list;
  list = make_list(30);
  std::atomic<int> phase{0};
  std::thread thread([&] {
    const gc::ptr<witness> mine = list;
    phase = 1;
    while (phase != 2) std::this_thread::sleep_for(1ms);
    expect(is_whole_list(mine));
  });
  while (phase != 1) std::this_thread::sleep_for(1ms);
  far_below([] { list = nullptr; });
  {
    const collecting all_the_time;
    while (all_the_time.cycles() < 4) std::this_thread::sleep_for(1ms);
  }
  phase = 2;
  thread.join();
}

/// Each step tells of the node that leaves the queue, and all later ones hang on that. One that was told of when the
/// marks of a cycle were final already keeps nothing in the next one.
BOOST_AUTO_TEST_CASE(that_store_until_they_end) {
  struct passing {
    gc::ptr<passing> next;
  };
  for (int round = 0; round != 60; ++round) {
    std::atomic<bool> over{false};
    std::thread storing([&] {
      gc::ptr<passing> first = gc::make<passing>();
      gc::ptr<passing> last = first;
      while (!over) {
        last->next = gc::make<passing>();
        last = last->next;
        first = first->next;
      }
    });
    for (int i = 0; i != 3; ++i) gc::collect();
    over = true;
    storing.join();
    gc::collect();
    std::uint64_t left = 0;
    for (const gc::type_values& t : gc::heap_by_type())
      if (t.type.find("passing") != std::string::npos) left += t.objects;
    BOOST_TEST(left == 0u);
  }
}

/// Megabytes of a frame are looked at in one go: others, which beat regularly, do not stand still for as long as a
/// slice.
BOOST_AUTO_TEST_CASE(with_a_very_large_frame) {
  std::atomic<bool> over{false};
  pthread_t large;
  make_large_stack(large, over);
  // A busy machine holds up all in some of the rounds, a slow look in each.
  std::chrono::nanoseconds least = usual_gap();
  for (int i = 0; i != 20 && least >= 5ms; ++i) least = std::min(least, usual_gap());
  over = true;
  ::pthread_join(large, nullptr);
  BOOST_TEST((heddle::testing::sanitized || least < 5ms), least / 1us << " us");
}

BOOST_AUTO_TEST_SUITE_END()
