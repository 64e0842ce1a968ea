// SPDX-License-Identifier: BSL-1.0
//
// Counted objects that several threads and fibers have pointers to.
#include <array>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"
#include "heddle/heddle.hpp"
#include "support/crew.hpp"
#include "support/scale.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::all_settings;
using heddle::testing::crew;
using heddle::testing::expect;
using heddle::testing::with_crew;
using life = heddle::testing::counted;

struct node {
  gc::counted<node> next;
  int value = 0;
};
/// Its members end one by one.
struct named {
  gc::counted<named> next;
  std::string name;
  life alive;
};

struct counted_check : heddle::testing::collected_check {
  ~counted_check() { gc::collect_cycles(); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(counted_threads, counted_check)

BOOST_AUTO_TEST_CASE(another_thread_drops_the_last_one) {
  for (int i = 0; i < 200; ++i) {
    gc::counted<named> n = gc::make_counted<named>(nullptr, "x");
    std::thread([moved = std::move(n)]() mutable { moved = nullptr; }).join();
  }
  gc::collect_cycles();  // what still waits for this thread
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(what_waits_for_an_idle_owner_is_bounded) {
  constexpr int many = 10'000;
  std::vector<gc::counted<life>> all;
  for (int i = 0; i < many; ++i) all.push_back(gc::make_counted<life>());
  int left = 0;
  std::thread([&] {
    all.clear();
    left = life::alive;
  }).join();  // this thread, the owner, waits
  BOOST_TEST(left < 64);
  const gc::counted<life> next = gc::make_counted<life>();
  gc::collect_cycles();
  BOOST_TEST(life::alive == 1);
}

BOOST_AUTO_TEST_CASE(the_owner_sees_to_what_waits_when_it_makes_objects) {
  std::vector<gc::counted<life>> few;
  for (int i = 0; i < 10; ++i) few.push_back(gc::make_counted<life>());
  std::thread([&] { few.clear(); }).join();
  BOOST_TEST(life::alive == 10);  // they wait: nothing has been asked of the owner
  std::vector<gc::counted<life>> more;
  for (int i = 0; i < 5'000; ++i) more.push_back(gc::make_counted<life>());
  BOOST_TEST(life::alive == 5'000);
}

BOOST_AUTO_TEST_CASE(references_that_wait_are_counted_no_more) {
  const gc::counted<node> mine = gc::make_counted<node>();
  std::vector<gc::counted<node>> others(5, mine);
  std::thread([&] {
    others.resize(2);  // one waits for this thread, two make the count of others negative
    BOOST_TEST(mine.use_count() == 3);
  }).join();
  BOOST_TEST(mine.use_count() == 3);
  gc::collect_cycles();
  BOOST_TEST(mine.use_count() == 3);
}

/// The object is one candidate until a search has looked at it, whichever threads drop references, and however often.
BOOST_AUTO_TEST_CASE(an_object_is_a_candidate_once) {
  const auto drop_in = [](std::vector<gc::counted<node>>& some, std::size_t left) {
    std::thread([&] { some.resize(left); }).join();
  };
  const auto candidates = [] { return gc::counted_statistics().candidates; };
  gc::collect_cycles();
  std::uint64_t then = candidates();
  BOOST_TEST(then == 0u);
  {
    std::vector<gc::counted<node>> some(5, gc::make_counted<node>());  // the argument ends: noted
    BOOST_TEST(candidates() == 1u);
    some.resize(3);
    drop_in(some, 2);
    gc::make_counted<int>();  // sees to what waits: merged
    drop_in(some, 1);
    BOOST_TEST(candidates() == 1u);
    gc::collect_cycles();
    BOOST_TEST(candidates() == 0u);
  }
  {
    gc::counted<node> first = gc::make_counted<node>();
    std::vector<gc::counted<node>> some;
    for (int i = 0; i != 4; ++i) some.push_back(first);
    first = std::move(some.back());  // the first of its references to end, but first and the last are the same object
    some.pop_back();
    gc::collect_cycles();
    drop_in(some, 2);  // noted by another thread, or when it is merged
    gc::make_counted<int>();
    BOOST_TEST(candidates() == 1u);
    drop_in(some, 1);
    first = nullptr;
    BOOST_TEST(candidates() == 1u);
    gc::collect_cycles();
    BOOST_TEST(candidates() == 0u);
  }
  {
    gc::counted<node> first = gc::make_counted<node>();
    std::vector<gc::counted<node>> some;
    std::thread([&] { some.assign(2, first); }).join();  // counted by another thread
    gc::collect_cycles();
    first = nullptr;  // the owner's last: noted
    BOOST_TEST(candidates() == 1u);
    some.pop_back();
    BOOST_TEST(candidates() == 1u);
    gc::collect_cycles();
    BOOST_TEST(candidates() == 0u);
  }
}

/// A thread that begins takes over what one that has ended has left: 8,190 are enough for any number.
BOOST_AUTO_TEST_CASE(threads_follow_threads, *boost::unit_test::enable_if<!heddle::testing::sanitized>()) {
  std::uint64_t seen = 0;
  for (int i = 0; i != 8'500; ++i) std::thread([&] { seen += gc::make_counted<node>(nullptr, 1)->value; }).join();
  BOOST_TEST(seen == 8'500u);
}

BOOST_AUTO_TEST_CASE(objects_outlive_the_thread_that_made_them) {
  gc::counted<named> kept;
  std::vector<gc::counted<life>> many;
  std::thread([&] {
    for (int i = 0; i < 1'000; ++i) kept = gc::make_counted<named>(std::move(kept), std::to_string(i));
    for (int i = 0; i < 1'000; ++i) many.push_back(gc::make_counted<life>());
  }).join();
  gc::counted<named> copy = kept;
  BOOST_TEST((kept->name == "999" && life::alive == 2'000));
  kept = nullptr;
  many.clear();
  BOOST_TEST(life::alive == 1'000);
  copy = nullptr;
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(the_next_thread_takes_over_the_objects) {
  gc::counted<life> kept;
  for (int i = 0; i < 50; ++i) {
    std::thread([&] {
      gc::counted<life> mine = gc::make_counted<life>();
      gc::counted<life> copy = kept != nullptr ? kept : mine;
      kept = std::move(mine);
    }).join();
    BOOST_TEST((life::alive == 1 && kept.use_count() == 1));
  }
}

BOOST_AUTO_TEST_CASE(fibers_and_threads_share_objects) {
  for (const auto& s : all_settings) {
    with_crew(s, [&](crew& c) {
      const gc::counted<node> shared = gc::make_counted<node>(gc::make_counted<node>(nullptr, 2), 1);
      for (int who = 0; who < 4; ++who)
        c.start([&, mine = shared] {
          for (int i = 0; i < 1'000; ++i) {
            const gc::counted<node> copy = mine;
            const gc::counted<node> inner = copy->next;
            if (i % 50 == 0) heddle::this_fiber::yield();
            expect(copy->value == 1 && inner->value == 2);
          }
        });
      c.join();
    });
  }
  gc::collect_cycles();
}

BOOST_AUTO_TEST_CASE(objects_go_from_hand_to_hand) {
  for (const auto& s : all_settings) {
    with_crew(s, [&](crew& c) {
      std::array<std::mutex, 4> locks;
      std::array<gc::counted<named>, 4> places;
      for (int who = 0; who < 4; ++who)
        c.start([&, who] {
          unsigned random = static_cast<unsigned>(who) + 1;
          for (int i = 0; i < 2'000; ++i) {
            random = random * 1'664'525 + 1'013'904'223;
            const std::size_t at = random >> 30;
            gc::counted<named> mine = i % 3 == 0 ? gc::make_counted<named>(nullptr, "object") : nullptr;
            {
              const std::lock_guard hold(locks[at]);
              i % 3 == 2 && places[at] != nullptr ? (mine = places[at], void()) : swap(mine, places[at]);
            }
            if (mine != nullptr) expect(mine->name == "object");
          }
        });
      c.join();
    });
  }
  gc::collect_cycles();
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_CASE(a_fiber_that_is_suspended_in_a_destructor) {
  struct sleeper {
    gc::counted<named> last;
    ~sleeper() {
      heddle::this_fiber::sleep_for(std::chrono::milliseconds(2));
      last = nullptr;
    }
  };
  heddle::run(
      [] {
        std::vector<heddle::join_handle<void>> all;
        for (int i = 0; i < 20; ++i)
          all.push_back(heddle::spawn([] {
            gc::counted<sleeper> s = gc::make_counted<sleeper>();
            for (int k = 0; k < 100; ++k) s->last = gc::make_counted<named>(std::move(s->last), "y");
            s = nullptr;
          }));
        for (int i = 0; i < 1'000; ++i) gc::make_counted<named>(nullptr, "others go on");
        for (auto& f : all) f.join();
      },
      {.procs = 2});
  gc::collect_cycles();
  BOOST_TEST(life::alive == 0);
}

BOOST_AUTO_TEST_SUITE_END()
