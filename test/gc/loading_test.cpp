// SPDX-License-Identifier: BSL-1.0
//
// Libraries come and go while cycles follow each other: their variables are roots as long as they are there.
#include "loaded_module.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>

#include "dying.hpp"
#include "heddle/gc.hpp"
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
using heddle::testing::loaded_module;
using heddle::testing::make_list;
using heddle::testing::timer;
using heddle::testing::witness;

/// Only the variable has the list: stored as a gc::ptr stores it.
void keep_in(void** variable, std::uint64_t n) {
  far_below([&] { *reinterpret_cast<gc::ptr<witness>*>(variable) = make_list(n); });
}
const witness* kept_in(void* const* variable) { return static_cast<const witness*>(*variable); }

void load_use_and_close(const char* path) {
  const loaded_module module(path);
  keep_in(module.variable(), 5);
  keep_in(module.own_variable(), 3);
  std::this_thread::sleep_for(300us);
  far_below([] { make_list(100); });
  expect(is_whole_list(kept_in(module.variable())));
  expect(is_whole_list(kept_in(module.own_variable())));
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(loading, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(libraries_come_and_go_while_collecting) {
  const collecting all_the_time;
  std::thread other([] {
    for (const timer t(400ms); !t.is_over();) load_use_and_close(ROOTS_MODULE_EARLY);
  });
  for (const timer t(400ms); !t.is_over() || all_the_time.cycles() < 3;) load_use_and_close(ROOTS_MODULE);
  other.join();
}

/// A thread that lives longer than the library, and has had variables of it.
BOOST_AUTO_TEST_CASE(threads_outlive_a_library) {
  const collecting all_the_time;
  for (int i = 0; i != 20; ++i) {
    std::atomic<int> phase{0};
    std::thread thread;
    {
      const loaded_module module;
      thread = std::thread([&] {
        keep_in(module.own_variable(), 3);
        expect(is_whole_list(kept_in(module.own_variable())));
        phase = 1;
        while (phase != 2) std::this_thread::yield();
        expect(is_whole_list(make_list(10)));
      });
      while (phase != 1) std::this_thread::yield();
    }
    std::this_thread::sleep_for(1ms);
    phase = 2;
    thread.join();
  }
}

/// What only a closed library referred to dies.
BOOST_AUTO_TEST_CASE(closed_libraries_keep_nothing) {
  {
    const loaded_module module;
    far_below([&] { *reinterpret_cast<gc::ptr<counted>*>(module.variable()) = gc::make<counted>(); });
    gc::collect();
    gc::collect();
    BOOST_TEST(counted::alive == 1);
  }
  BOOST_TEST(collect_until([] { return counted::alive == 0; }));
}

BOOST_AUTO_TEST_SUITE_END()
