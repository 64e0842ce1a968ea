// SPDX-License-Identifier: BSL-1.0
#include "heddle/gc/cleanup.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "dying.hpp"
#include "heddle/gc.hpp"

namespace {

namespace gc = heddle::gc;
using heddle::testing::collect_until;
using heddle::testing::counted;
using heddle::testing::far_below;

struct object {
  int number = 0;
  int other = 0;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(cleanup, heddle::testing::collected_check)

BOOST_AUTO_TEST_CASE(runs_once_after_the_object_has_died) {
  std::atomic<int> ran{0};
  gc::ptr<object> kept;
  far_below([&] {
    kept = gc::make<object>(5);
    gc::cleanup(kept, [&ran, number = kept->number] { ran += number; });
  });
  gc::collect();
  BOOST_TEST(ran == 0);
  far_below([&] { kept = nullptr; });
  BOOST_TEST(collect_until([&] { return ran == 5; }));
  gc::collect();
  gc::collect();
  BOOST_TEST(ran == 5);
}

BOOST_AUTO_TEST_CASE(several_of_one_object_also_by_an_address_inside) {
  std::atomic<int> ran{0};
  far_below([&] {
    const gc::ptr<object> o = gc::make<object>();
    gc::cleanup(o, [&ran] { ran += 1; });
    gc::cleanup(o.get(), [&ran] { ran += 10; });
    gc::cleanup(gc::ptr<int>(&o->other), [&ran] { ran += 100; });
  });
  BOOST_TEST(collect_until([&] { return ran == 111; }));
}

BOOST_AUTO_TEST_CASE(what_it_holds_is_destroyed_with_it) {
  std::atomic<int> ran{0};
  far_below([&] {
    const gc::ptr<object> o = gc::make<object>();
    gc::cleanup(o, [&ran, c = std::make_unique<counted>()] { ran += counted::alive; });
  });
  BOOST_TEST(counted::alive == 1);
  BOOST_TEST(collect_until([&] { return ran == 1 && counted::alive == 0; }));
}

BOOST_AUTO_TEST_CASE(can_be_taken_back_once) {
  std::atomic<int> ran{0};
  gc::cleanup_handle none;
  BOOST_TEST(!none.cancel());
  gc::cleanup_handle handle, kept;
  far_below([&] {
    const gc::ptr<object> o = gc::make<object>();
    handle = gc::cleanup(o, [&ran, c = counted()] { ++ran; });
    kept = gc::cleanup(o, [&ran] { ran += 10; });
  });
  gc::cleanup_handle same = handle;
  BOOST_TEST(handle.cancel());
  BOOST_TEST(counted::alive == 0);
  BOOST_TEST(!same.cancel());
  BOOST_TEST(!handle.cancel());
  BOOST_TEST(collect_until([&] { return ran == 10; }));
  BOOST_TEST(!kept.cancel());
  BOOST_TEST(ran == 10);
}

BOOST_AUTO_TEST_CASE(may_cancel_itself_make_objects_and_collect) {
  static std::atomic<int> ran{0};
  static gc::cleanup_handle own;
  static std::atomic<bool> cancelled{true};
  ran = 0;
  far_below([] {
    own = gc::cleanup(gc::make<object>(), [] {
      cancelled = own.cancel();
      far_below([] { gc::cleanup(gc::make<object>(), [] { ++ran; }); });
      gc::collect();
      ++ran;
    });
  });
  BOOST_TEST(collect_until([] { return ran == 2; }));
  BOOST_TEST(!cancelled);
}

BOOST_AUTO_TEST_CASE(many_some_of_which_are_taken_back) {
  constexpr int many = 2000;
  std::atomic<int> ran{0};
  std::vector<gc::cleanup_handle> handles;
  far_below([&] {
    for (int i = 0; i < many; ++i) handles.push_back(gc::cleanup(gc::make<object>(), [&ran] { ++ran; }));
  });
  int taken_back = 0;
  for (int i = 0; i < many; i += 2) taken_back += handles[i].cancel();
  BOOST_TEST(collect_until([&] { return ran == many - taken_back; }));
  gc::collect();
  BOOST_TEST(ran == many - taken_back);
}

BOOST_AUTO_TEST_SUITE_END()
